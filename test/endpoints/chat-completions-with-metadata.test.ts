/** L1 to L6: calls as LoopNet Leads and Center-Deep Pro make them, and what they read of the response. */
import { randomUUID } from 'node:crypto'
import OpenAI from 'openai'
import { describe, expect, test } from 'vitest'
import { useProduct } from '../support/product.ts'

const product = useProduct()
const path = '/api/v1/llm/chat/completions'
const messages = [{ role: 'user', content: 'Hello!' }]
type Json = ReturnType<typeof JSON.parse>

const seed = () => product.db.seedOrganization({ credits: 1_000, users: { alice: 400, poor: 0 } })

async function post(
  key: string,
  body: unknown,
  headers = {},
  to = path,
): Promise<{ status: number; headers: Headers; text: string; json: Json }> {
  const response = await fetch(`${product.tollgate.url}${to}`, {
    method: 'POST',
    headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json', ...headers },
    body: JSON.stringify(body),
  })
  const text = await response.text()
  return {
    status: response.status,
    headers: response.headers,
    text,
    json: text.startsWith('{') ? JSON.parse(text) : null,
  }
}

async function credits(key: string): Promise<number> {
  const response = await fetch(`${product.tollgate.url}/api/v1/llm/credits`, {
    headers: { authorization: `Bearer ${key}` },
  })
  return ((await response.json()) as { credits_remaining: number }).credits_remaining
}

/** A tenth of a microcredit is nothing the books know. */
const micro = (amount: number) => Math.round(amount * 1e6)

describe('A call of the internal LLM API', () => {
  test.each([
    ['L1', { model: 'gpt-4o-mini', messages }],
    [
      'L2',
      { model: 'gpt-4o-mini', messages, temperature: 0.7, max_tokens: 500, stream: false, power_level: 'balanced' },
    ],
    ['L4', { model: 'gpt-4o-mini', messages, temperature: 0.3, power_level: 'eco' }],
  ])('%s says what it cost in _metadata, and the credits differ by exactly that.', async (_, body) => {
    const org = await seed()
    const before = await credits(org.keys.alice)
    const { status, headers, json } = await post(org.keys.alice, body)
    expect(status).toBe(200)
    expect(json.choices[0].message.content).toEqual(expect.any(String))
    const { cost_incurred: cost, credits_remaining: left, ...metadata } = json._metadata
    expect(metadata).toEqual({
      provider_used: 'openai',
      transaction_id: headers.get('x-litellm-call-id'),
      power_level: 'power_level' in body ? body.power_level : 'balanced',
      user_tier: 'platform',
      using_byok: false,
      byok_provider: null,
    })
    expect(cost).toBeGreaterThan(0)
    expect(micro(before) - micro(await credits(org.keys.alice))).toBe(micro(cost))
    expect(micro(left)).toBe(micro(before) - micro(cost))
    expect(Number(headers.get('x-cost-incurred'))).toBe(cost)
    expect(Number(headers.get('x-credits-used'))).toBe(cost)
    expect(headers.get('x-credits-remaining')).toMatch(/^\d+\.\d{3}$/)
    for (const name of ['x-provider-used', 'x-byok', 'x-org-credits', 'x-request-id'])
      expect(headers.get(name)).not.toBeNull()
  })

  test('Only a call of the internal LLM API has _metadata.', async () => {
    const org = await seed()
    const body = { model: 'gpt-4o-mini', messages }
    const plain = await post(org.keys.alice, body, {}, '/v1/chat/completions')
    expect(plain.json._metadata).toBeUndefined()
    const own = await post(org.keys.alice, body)
    const { _metadata, ...rest } = own.json
    expect(Object.keys(rest)).toEqual(Object.keys(plain.json))
  })

  test('A call of the internal LLM API takes the power level of the header before that of the body; an unknown one is balanced.', async () => {
    const org = await seed()
    const level = async (body: string, header?: string) =>
      (
        await post(
          org.keys.alice,
          { model: 'gpt-4o-mini', messages, power_level: body },
          header === undefined ? {} : { 'x-power-level': header },
        )
      ).json._metadata.power_level
    expect(await level('eco', 'precision')).toBe('precision')
    expect(await level('turbo')).toBe('balanced')
  })

  test('L6: a call of the internal LLM API streams to [DONE] without _metadata.', async () => {
    const org = await seed()
    const { status, headers, text } = await post(
      org.keys.alice,
      { model: 'gpt-4o-mini', messages, stream: true },
      { 'x-power-level': 'eco' },
    )
    expect({ status, type: headers.get('content-type') }).toEqual({
      status: 200,
      type: 'text/event-stream; charset=utf-8',
    })
    expect(text.trimEnd().endsWith('data: [DONE]')).toBe(true)
    expect(text).not.toContain('_metadata')
  })

  test('A call of the internal LLM API is charged once under one Idempotency-Key, and answered the same.', async () => {
    const org = await seed()
    const key = { 'idempotency-key': randomUUID() }
    const [first, second] = [
      await post(org.keys.alice, { model: 'gpt-4o-mini', messages }, key),
      await post(org.keys.alice, { model: 'gpt-4o-mini', messages }, key),
    ]
    expect(second.text).toBe(first.text)
    expect(micro(await credits(org.keys.alice))).toBe(micro(400) - micro(first.json._metadata.cost_incurred))
  })

  test('A call of the internal LLM API that is not covered is refused for both kinds of reader.', async () => {
    const org = await seed()
    const { status, headers, json } = await post(org.keys.poor, { model: 'gpt-4o-mini', messages })
    expect({ status, code: json.error.code }).toEqual({ status: 402, code: 'insufficient_credits' })
    expect(json.detail).toBe(json.error.message)
    expect(headers.get('x-should-retry')).toBe('false')
  })

  test('L16: the internal LLM API serves the SDK of OpenAI.', async () => {
    const org = await seed()
    const client = new OpenAI({ baseURL: `${product.tollgate.url}/api/v1/llm`, apiKey: org.keys.alice })
    const answer = await client.chat.completions.create({
      model: 'gpt-4o-mini',
      messages: [{ role: 'user', content: 'Hello!' }],
    })
    expect(answer.choices[0]?.message.content).toEqual(expect.any(String))
    expect((await client.models.list()).data.map(({ id }) => id)).toContain('gpt-4o-mini')
  })
})
