/** The requests that LoopNet Leads and Center-Deep Pro are documented to send, as they are written, with keys that are secrets. */
import OpenAI from 'openai'
import { beforeAll, describe, expect, test } from 'vitest'
import { newApiKey } from '../../src/identity/api-key.ts'
import { storedSessions } from '../../src/identity/session/session-store.ts'
import { rowOfCall } from '../support/call-books.ts'
import { useProduct } from '../support/product.ts'
import { chatAnswer, chatStream } from '../support/upstream-answers.ts'

const LOOPNET = 'sk-loopnet-c41b7f09e6d25a8830bd'
const CENTERDEEP = 'sk-centerdeep-0e93a7d1c8f4625b71ea'
const MESSAGES = [{ role: 'user', content: 'Hello!' }] as const
const EXTRACT = 'Extract company name, industry, and location. Return as JSON.'

const product = useProduct(() => ({
  tollgate: {
    service_keys: [
      { name: 'loopnet', key: LOOPNET, act_as: 'members' },
      { name: 'centerdeep', key: CENTERDEEP },
    ],
  },
}))

const base = () => `${product.tollgate.url}/api/v1/llm`

/** Without a content type of its own, as the `requests` sample sends it, unless the headers name one. */
async function send(path: string, body: unknown, headers: Record<string, string>): Promise<Response> {
  const stream = (body as { stream?: boolean }).stream === true
  product.upstream.respond(stream ? chatStream({ text: ['Hi'] }) : chatAnswer({ text: ['Hi there'] }))
  return fetch(`${base()}${path}`, { method: 'POST', headers, body: Buffer.from(JSON.stringify(body)) })
}

const bearer = (key: string) => ({ authorization: `Bearer ${key}` })

async function contentOf(answer: Response): Promise<[number, string | undefined]> {
  const { choices } = (await answer.json()) as { choices?: { message: { content: string } }[] }
  return [answer.status, choices?.[0]?.message.content]
}

async function payerOf(answer: Response): Promise<unknown> {
  return (await rowOfCall(product.db.pool, answer.headers.get('x-litellm-call-id') ?? '')).user_id
}

beforeAll(async () => {
  await product.db.pool.query(
    `select add_credits_to_pool(id, 1000) from organizations where name in ('loopnet', 'centerdeep')`,
  )
  await product.db.pool.query(
    `insert into organization_members (org_id, user_id) select id, 'jane@loopnet.example' from organizations where name = 'loopnet'`,
  )
  await product.db.pool.query(
    `select allocate_credits_to_user(id, 'jane@loopnet.example', 100) from organizations where name = 'loopnet'`,
  )
})

describe('A call of a service', () => {
  test.each([
    ['L1', LOOPNET, { model: 'gpt-4o-mini', messages: MESSAGES }],
    [
      'L2',
      LOOPNET,
      {
        model: 'gpt-4o-mini',
        messages: [{ role: 'system', content: 'You are a helpful assistant.' }, ...MESSAGES],
        temperature: 0.7,
        max_tokens: 500,
        stream: false,
        power_level: 'balanced',
      },
    ],
    [
      'L3',
      LOOPNET,
      { model: 'gpt-4o-mini', messages: MESSAGES, temperature: 0.7, max_tokens: 500, power_level: 'eco' },
    ],
    [
      'L4',
      LOOPNET,
      {
        model: 'gpt-4o-mini',
        messages: [
          { role: 'system', content: EXTRACT },
          { role: 'user', content: 'Acme Inc., a maker of anvils in Austin.' },
        ],
        power_level: 'eco',
        temperature: 0.3,
      },
    ],
    [
      'L5',
      CENTERDEEP,
      {
        model: 'gpt-4o-mini',
        messages: [
          { role: 'system', content: 'Summarize search results concisely.' },
          { role: 'user', content: 'Search results:\n1. Title: Anvils' },
        ],
        power_level: 'balanced',
      },
    ],
  ])('The documented call of a service works: %s.', async (_, key, body) => {
    expect(await contentOf(await send('/chat/completions', body, bearer(key)))).toEqual([200, 'Hi there'])
  })

  test('L6: a stream at X-Power-Level eco ends with [DONE].', async () => {
    const body = { model: 'gpt-4o-mini', messages: MESSAGES, stream: true }
    const answer = await send('/chat/completions', body, { ...bearer(LOOPNET), 'X-Power-Level': 'eco' })
    const text = await answer.text()
    expect([answer.status, text.startsWith('data: '), text.trimEnd().endsWith('data: [DONE]')]).toEqual([
      200,
      true,
      true,
    ])
  })

  test('L11: the key is in X-Service-Key, and the user in the body is no authority.', async () => {
    const body = { model: 'gpt-4o-mini', messages: MESSAGES, user: 'loopnet-service' }
    const answer = await send('/chat/completions', body, { 'X-Service-Key': LOOPNET })
    expect(await payerOf(answer)).toBe('loopnet-service')
    expect(await contentOf(answer)).toEqual([200, 'Hi there'])
  })

  test('L14: the member in X-User-ID pays.', async () => {
    const headers = { ...bearer(LOOPNET), 'X-User-ID': 'jane@loopnet.example' }
    const answer = await send('/chat/completions', { model: 'gpt-4o-mini', messages: MESSAGES }, headers)
    expect(answer.status).toBe(200)
    expect(await payerOf(answer)).toBe('jane@loopnet.example')
    await answer.text()
  })

  test.each([
    { name: 'gpt-3.5-turbo', user: 'user-1' },
    { name: 'gpt-4', user: 'user-2' },
  ])('L13: without a credential $name is a 401 that both kinds of readers understand.', async ({ name, user }) => {
    const answer = await send('/chat/completions', { model: name, messages: MESSAGES, user, max_tokens: 50 }, {})
    expect([answer.status, await answer.json()]).toMatchObject([
      401,
      { error: { message: expect.any(String), code: 'missing_api_key' }, detail: expect.any(String) },
    ])
  })
})

test('L10: a provider key is stored by a service, for its own calls.', async () => {
  const body = {
    provider: 'openrouter',
    api_key: `sk-or-v1-${'0f'.repeat(32)}`,
    metadata: { description: 'LoopNet’s own' },
  }
  const answer = await send('/byok/keys', body, { ...bearer(LOOPNET), 'content-type': 'application/json' })
  expect([answer.status, await answer.json()]).toMatchObject([200, { success: true }])
})

test('L15: a browser sends its session cookie.', async () => {
  await storedSessions(product.db.database).save('of-jane', { user: { user_id: 'jane@loopnet.example' } }, 60)
  const body = { model: 'gpt-4o-mini', messages: MESSAGES }
  const headers = {
    cookie: 'session_token=of-jane',
    'sec-fetch-site': 'same-origin',
    'content-type': 'application/json',
  }
  const answer = await send('/chat/completions', body, headers)
  expect(await payerOf(answer)).toBe('jane@loopnet.example')
  expect(await contentOf(answer)).toEqual([200, 'Hi there'])
})

test.each(['a service key', 'an API key'])('L16: the OpenAI SDK calls with %s.', async (which) => {
  const { key, hash, preview } = newApiKey()
  if (which === 'an API key')
    await product.db.pool.query(
      `insert into tollgate.api_keys (key_hash, preview, org_id, user_id)
        select $1, $2, id, 'jane@loopnet.example' from organizations where name = 'loopnet'`,
      [hash, preview],
    )
  product.upstream.respond(chatAnswer({ text: ['Hi there'] }))
  const client = new OpenAI({ baseURL: base(), apiKey: which === 'an API key' ? key : LOOPNET, maxRetries: 0 })
  const { choices } = await client.chat.completions.create({ model: 'gpt-4o-mini', messages: [...MESSAGES] })
  expect(choices[0]?.message.content).toBe('Hi there')
})
