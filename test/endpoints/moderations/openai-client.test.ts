/** OpenAI's own client on the route of moderations: what reaches the provider, what the client makes of the response, what is booked. */
import type OpenAI from 'openai'
import { beforeAll, describe, expect, test, vi } from 'vitest'
import { rowsOf } from '../../support/call-books.ts'
import { seedPayer } from '../../support/openai-payer.ts'
import { useProduct } from '../../support/product.ts'
import { tellApart } from '../../support/tell-apart.ts'
import { modelOn } from '../../support/tollgate.ts'
import { type Answer, errorAnswer, type Handler, jsonAnswer } from '../../support/upstream-answers.ts'

type Json = Record<string, unknown>

const mode = { mode: 'moderation' }
const product = useProduct((url) => ({
  models: [
    modelOn(url, 'omni-moderation-latest'),
    { ...modelOn(url, 'judge', { model: 'openai/judge', input_cost_per_token: 0.000001 }), model_info: mode },
    { ...modelOn(url, 'unpriced', { model: 'openai/other' }), model_info: mode },
    modelOn(url, 'priced', { model: 'openai/omni-moderation-latest', input_cost_per_token: 0.000001 }),
    modelOn(url, 'mocked', { model: 'openai/omni-moderation-latest', mock_response: 'x' }),
    modelOn(url, 'gpt-4o-mini'),
  ],
  router_settings: { num_retries: 0 },
}))

const RESULTS = [{ flagged: false, categories: { violence: false }, category_scores: { violence: 0.01 } }]
const judged = (more: Json = {}): Answer =>
  jsonAnswer({ id: 'modr-1', model: 'omni-moderation-2024-09-26', results: RESULTS, ...more })

let orgId: string
let client: OpenAI

async function payer(upstream: Handler | Answer, credits = 10): Promise<void> {
  ;({ orgId, client } = await seedPayer(product, upstream, credits))
}

beforeAll(() => payer(judged()))

async function booked(): Promise<Json[]> {
  return (await rowsOf(product.db.pool, orgId)).map(({ outcome, credits_used, service_type }) => {
    return { outcome, charge: credits_used, service_type }
  })
}

const row = (charge: string, more: Json = {}): Json => ({
  outcome: 'answered',
  charge,
  service_type: 'moderation',
  ...more,
})
const IMAGE = [
  { type: 'text' as const, text: 'Hello' },
  { type: 'image_url' as const, image_url: { url: 'https://x.test/a.png' } },
]

describe('Moderations', () => {
  test('What is sent passes as it is, and the response shows the name that was asked for; it costs nothing and has its row.', async () => {
    await payer(judged())
    const response = await client.moderations.create({ model: 'omni-moderation-latest', input: ['Hello', 'world'] })
    expect(response).toEqual({ id: 'modr-1', model: 'omni-moderation-latest', results: RESULTS })
    const [sent] = product.upstream.requests
    expect([sent?.path, sent?.json]).toEqual([
      '/v1/moderations',
      { model: 'omni-moderation-latest', input: ['Hello', 'world'] },
    ])
    expect(await booked()).toEqual([row('0.000000')])
  })

  test("Without a model it is OpenAI's default, images are judged too, and who has no credits left may ask.", async () => {
    await payer(judged(), 0)
    await client.moderations.create({ input: 'Hello' })
    await client.moderations.create({ input: IMAGE })
    expect(product.upstream.requests.map(({ json }) => json)).toEqual([
      { model: 'omni-moderation-latest', input: 'Hello' },
      { model: 'omni-moderation-latest', input: IMAGE },
    ])
    expect(await booked()).toEqual([row('0.000000'), row('0.000000')])
  })

  test('A model with a price is charged by the tokens of its texts, and gets no images.', async () => {
    await payer(judged())
    for (const model of ['judge', 'priced']) {
      await client.moderations.create({ model, input: 'Hello' })
      await expect(client.moderations.create({ model, input: IMAGE })).rejects.toMatchObject({
        status: 400,
        param: 'input',
      })
    }
    // One token at $1 a million, and half of it on top.
    expect(await booked()).toEqual([row('0.001500'), row('0.001500')])
  })

  test('An error keeps its words; a model without a price, one that judges nothing, and inputs of other kinds are refused by name.', async () => {
    await payer(errorAnswer(400, { message: 'Too long.' }))
    await expect(client.moderations.create({ input: 'Hello' })).rejects.toMatchObject({
      error: { message: 'Too long.' },
    })
    expect(await booked()).toEqual([row('0.000000', { outcome: 'failed' })])
    const create = (more: Json) => client.moderations.create({ input: 'Hello', ...more })
    await expect(create({ model: 'unpriced' })).rejects.toMatchObject({ code: 'unknown_price' })
    await expect(create({ model: 'gpt-4o-mini' })).rejects.toMatchObject({ code: 'unsupported_endpoint' })
    for (const [param, value] of [
      ['input', 7],
      ['input', []],
      ['input', [{ type: 'input_audio' }]],
      ['stream', true],
      ['Input', 'Hello'],
      ['model', 7],
    ] as const)
      await expect(create({ [param]: value })).rejects.toMatchObject({ status: 400, param })
    expect(product.upstream.requests).toHaveLength(1)
  })

  test('A caller who leaves has a row too, and a deployment with a mock_response finds nothing wrong.', async () => {
    let release = () => {}
    const beforeHead = new Promise<void>((resolve) => {
      release = resolve
    })
    await payer({ ...judged(), beforeHead })
    const left = new AbortController()
    const call = client.moderations.create({ input: 'Hello' }, { signal: left.signal })
    await product.upstream.received(1)
    left.abort()
    await expect(call).rejects.toThrow()
    await tellApart(product.tollgate)
    release()
    await vi.waitFor(async () => {
      expect(await booked()).toEqual([row('0.000000', { outcome: 'client_disconnected' })])
    })
    const { results } = await client.moderations.create({ model: 'mocked', input: ['a', 'b'] })
    expect(results.map(({ flagged }) => flagged)).toEqual([false, false])
  })
})
