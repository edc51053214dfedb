/** Gemini and Claude on Vertex AI, by an upstream that gives tokens for what a service account signed, and takes no other. */
import { generateKeyPairSync } from 'node:crypto'
import { jwtVerify } from 'jose'
import { beforeEach, describe, expect, test, vi } from 'vitest'
import { providerOf } from '../../providers/registry.ts'
import { rowsOf } from '../support/call-books.ts'
import { useProduct } from '../support/product.ts'
import type { Json } from '../support/response-answers.ts'
import { awkward, whole } from '../support/splits.ts'
import { MASTER_KEY, postChat } from '../support/tollgate.ts'
import type { ReceivedRequest } from '../support/upstream.ts'
import { type Answer, jsonAnswer, rawStream, type Script } from '../support/upstream-answers.ts'

const { privateKey, publicKey } = generateKeyPairSync('rsa', { modulusLength: 2048 })
const account = (tokenUri: string, more: Json = {}) => ({
  type: 'service_account',
  project_id: 'acme-billing',
  private_key_id: 'k1',
  private_key: privateKey.export({ type: 'pkcs8', format: 'pem' }),
  client_email: 'gate@acme.iam.gserviceaccount.com',
  token_uri: tokenUri,
  ...more,
})

let tokenUri = ''
const product = useProduct((url) => {
  const host = new URL(url).origin
  tokenUri = `${host}/token`
  const on = (name: string, params: Json, credential: Json = account(tokenUri)) => ({
    model_name: name,
    litellm_params: { api_base: host, vertex_credentials: JSON.stringify(credential), ...params },
  })
  return {
    models: [
      on('gemini', { model: 'vertex_ai/gemini-2.5-flash', vertex_location: 'europe-west4' }),
      on('claude', { model: 'vertex_ai/claude-sonnet-4-5@20250929', vertex_location: 'europe-west1' }),
      on('everywhere', {
        model: 'vertex_ai/claude-sonnet-4-5@20250929',
        vertex_location: 'global',
        vertex_project: 'p2',
      }),
      on('refused', { model: 'vertex_ai/gemini-2.5-flash' }, account(tokenUri, { client_email: 'nobody@x' })),
      on('away', { model: 'vertex_ai/gemini-2.5-flash' }, account(tokenUri, { client_email: 'later@x' })),
      on('plain', { model: 'vertex_ai/gemini-2.5-flash' }, account('http://127.0.0.2/token')),
      on('inside', { model: 'vertex_ai/gemini-2.5-flash' }, account('https://127.0.0.2/token')),
      on('token', {
        model: 'vertex_ai/gemini-2.5-flash',
        api_key: 'ya29.own',
        vertex_project: 'p3',
        vertex_credentials: undefined,
      }),
    ],
    router_settings: { num_retries: 0, disable_cooldowns: true },
    tollgate: { allowed_addresses: [new URL(url).host] },
  }
})

let issued = 0
/** What Google answers to a token, beside the answer that a test gives to models. */
async function tokenFor({ body }: ReceivedRequest): Promise<Script> {
  const form = new URLSearchParams(body.toString())
  expect(form.get('grant_type')).toBe('urn:ietf:params:oauth:grant-type:jwt-bearer')
  const { payload } = await jwtVerify(form.get('assertion') ?? '', publicKey, { audience: tokenUri })
  if (payload.iss === 'nobody@x') return jsonAnswer({ error: 'invalid_grant', error_description: 'x' }, { status: 400 })
  if (payload.iss === 'later@x') return jsonAnswer({ error: 'internal_failure' }, { status: 503 })
  expect(payload.scope).toBe('https://www.googleapis.com/auth/cloud-platform')
  issued += 1
  return jsonAnswer({ access_token: `ya29.issued-${issued}`, expires_in: 3_599, token_type: 'Bearer' })
}

const respond = (answer: Answer) =>
  product.upstream.respond((request) => {
    if (request.path === '/token') return tokenFor(request)
    const isKnown = /^Bearer ya29\.(?:issued-\d+|own)$/.test(request.headers.authorization ?? '')
    return isKnown ? answer : jsonAnswer({ error: { code: 401, status: 'UNAUTHENTICATED' } }, { status: 401 })
  })

const USAGE = { promptTokenCount: 40, candidatesTokenCount: 10, totalTokenCount: 50, trafficType: 'ON_DEMAND' }
const candidate = (text: string, more: Json = {}) => ({
  candidates: [{ index: 0, content: { role: 'model', parts: [{ text }] }, ...more }],
  modelVersion: 'gemini-2.5-flash',
})
const CONTENT = { ...candidate('Hello there', { finishReason: 'STOP' }), usageMetadata: USAGE }
const WORDS = ['Hello', ' there', ' this', ' is', ' a', ' tëst']
const data = (value: Json) => `data: ${JSON.stringify(value)}\r\n\r\n`
/** As Vertex AI sends them: before the last frame nothing is said of usage but the traffic. */
const FRAMES = [
  ...WORDS.map((text) => data({ ...candidate(text), usageMetadata: { trafficType: 'ON_DEMAND' } })),
  data({ ...candidate('', { finishReason: 'STOP' }), usageMetadata: USAGE }),
]
const begun = { id: 'msg_vrtx_1', type: 'message', role: 'assistant', model: 'claude-sonnet-4-5-20250929' }
const MESSAGE = {
  ...begun,
  content: [{ type: 'text', text: 'Hello there' }],
  stop_reason: 'end_turn',
  usage: { input_tokens: 40, cache_read_input_tokens: 100, output_tokens: 10 },
}
const event = (type: string, members: Json = {}) => `event: ${type}\ndata: ${JSON.stringify({ type, ...members })}\n\n`
const EVENTS = [
  event('message_start', { message: { ...begun, content: [], usage: { ...MESSAGE.usage, output_tokens: 1 } } }),
  event('content_block_start', { index: 0, content_block: { type: 'text', text: '' } }),
  ...WORDS.map((text) => event('content_block_delta', { index: 0, delta: { type: 'text_delta', text } })),
  event('content_block_stop', { index: 0 }),
  event('message_delta', { delta: { stop_reason: 'end_turn' }, usage: { output_tokens: 10 } }),
  event('message_stop'),
]

const hello = { messages: [{ role: 'user', content: 'Hello' }], max_tokens: 300 }
const call = (body: Json, path = '/v1/chat/completions') =>
  postChat(product.tollgate, MASTER_KEY, { ...hello, ...body }, { path })
const models = () => product.upstream.requests.filter(({ path }) => path !== '/token')
const last = () => models().at(-1)!

beforeEach(() => respond(jsonAnswer(CONTENT)))

describe('who asks', () => {
  test('Many calls at once wait for one token, which later calls use too.', async () => {
    const before = issued
    const answers = await Promise.all(Array.from({ length: 20 }, () => call({ model: 'gemini' })))
    expect(answers.map(({ status }) => status)).toEqual(Array(20).fill(200))
    expect((await call({ model: 'gemini' })).status).toBe(200)
    expect(issued - before).toBe(1)
    expect(
      new Set(
        models()
          .slice(-21)
          .map(({ headers }) => headers.authorization),
      ).size,
    ).toBe(1)
  })

  test('A token that is written is sent as it is, for the project that is named.', async () => {
    await call({ model: 'token' })
    expect(last().headers.authorization).toBe('Bearer ya29.own')
    expect(last().path).toBe(
      '/v1beta1/projects/p3/locations/us-central1/publishers/google/models/gemini-2.5-flash:generateContent',
    )
  })

  test.each([
    ['refused', 503, 'provider_account'],
    ['away', 503, 'provider_unreachable'],
    ['plain', 503, 'provider_account'],
    ['inside', 503, 'provider_account'],
  ])(
    'Where a credential is %s, no model is asked, for a stream neither, and nothing of it is shown.',
    async (model, status, code) => {
      const before = models().length
      for (const stream of [false, true]) {
        const response = await call({ model, stream })
        expect([response.status, response.json()]).toMatchObject([status, { error: { code } }])
        expect(response.body).not.toMatch(/127\.0\.0\.2|invalid_grant|PRIVATE/)
      }
      expect(models()).toHaveLength(before)
      expect(product.tollgate.output()).not.toMatch(/PRIVATE KEY|ya29|eyJhbGci/)
    },
  )
})

describe('gemini', () => {
  const PATH = '/v1beta1/projects/acme-billing/locations/europe-west4/publishers/google/models/gemini-2.5-flash'
  /** 40 tokens at $0.30 a million and 10 at $2.50. */
  const COST = '0.000037'

  test('A chat completion is translated as for Google.', async () => {
    const response = await call({ model: 'gemini' })
    expect([response.status, last().path]).toEqual([200, `${PATH}:generateContent`])
    expect(last().headers['x-goog-api-key']).toBeUndefined()
    expect(last().json).toMatchObject({ contents: [{ role: 'user', parts: [{ text: 'Hello' }] }] })
    expect(response.headers.get('x-litellm-response-cost')).toBe(COST)
  })

  test('Gemini’s own surface passes as it was sent.', async () => {
    const body = {
      contents: [{ role: 'user', parts: [{ text: 'Hello' }] }],
      generationConfig: { maxOutputTokens: 300 },
    }
    const path = '/v1beta/models/gemini:generateContent'
    const response = await postChat(product.tollgate, MASTER_KEY, body, { path })
    expect([response.status, last().path, last().json]).toEqual([200, `${PATH}:generateContent`, body])
    expect(response.json()).toMatchObject({ usageMetadata: { cost: 0.000037 } })
  })

  test.each([
    ['/v1/chat/completions', { stream_options: { include_usage: true } }],
    ['/v1/messages', {}],
  ])('%s: a stream is read however it is cut.', async (path, more) => {
    for (const split of [whole, awkward]) {
      respond(rawStream(FRAMES, { split }))
      const response = await call({ model: 'gemini', stream: true, ...more }, path)
      expect([response.status, last().path]).toEqual([200, `${PATH}:streamGenerateContent?alt=sse`])
      expect(response.body).toContain(' tëst')
      expect(response.body).toContain(COST)
    }
  })

  test('A tier that only Google’s other API knows is refused by name.', async () => {
    expect((await call({ model: 'gemini', service_tier: 'flex' })).json()).toMatchObject({
      error: { param: 'service_tier' },
    })
  })
})

describe('claude', () => {
  const PATH = '/v1/projects/acme-billing/locations/europe-west1/publishers/anthropic/models/claude-sonnet-4-5@20250929'

  test('A chat completion is Anthropic’s request, and costs a tenth more in a region than everywhere.', async () => {
    respond(jsonAnswer(MESSAGE))
    const response = await call({ model: 'claude' })
    expect([response.status, last().path]).toEqual([200, `${PATH}:rawPredict`])
    expect(last().json).toEqual({
      anthropic_version: 'vertex-2023-10-16',
      max_tokens: 300,
      messages: [{ role: 'user', content: [{ type: 'text', text: 'Hello' }] }],
    })
    // 40 x $3, 100 x $0.30 and 10 x $15 a million.
    expect(response.headers.get('x-litellm-response-cost')).toBe('0.00033')
    const everywhere = await call({ model: 'everywhere' })
    expect(everywhere.headers.get('x-litellm-response-cost')).toBe('0.0003')
    expect(last().path).toContain('/projects/p2/locations/global/')
  })

  test('A message passes as it is, and features stay in the header.', async () => {
    respond(rawStream(EVENTS))
    const response = await postChat(
      product.tollgate,
      MASTER_KEY,
      { model: 'claude', ...hello, stream: true },
      { path: '/v1/messages', headers: { 'anthropic-beta': 'x' } },
    )
    expect([response.status, last().path]).toEqual([200, `${PATH}:streamRawPredict`])
    expect(last().body.toString()).toBe(
      '{"messages":[{"role":"user","content":"Hello"}],"max_tokens":300,"stream":true,"anthropic_version":"vertex-2023-10-16"}',
    )
    expect(last().headers).toMatchObject({ 'anthropic-beta': 'x' })
    expect(response.body).toContain('"cost":0.00033')
  })
})

describe.each([
  ['gemini', FRAMES],
  ['claude', EVENTS],
] as const)('%s', (model, frames) => {
  test('A stream that is cut after any frame is charged for what came, once.', async () => {
    const { id, keys } = await product.db.seedOrganization({ credits: 10_000, users: { alice: 10_000 } })
    const charged: number[] = []
    for (let passed = 0; passed <= frames.length; passed += 1) {
      const cutAfter = Buffer.byteLength(frames.slice(0, passed).join(''))
      respond(rawStream(frames, passed < frames.length ? { cutAfter } : {}))
      await postChat(product.tollgate, keys.alice as string, { model, ...hello, stream: true })
      const row = await vi.waitFor(async () => {
        const rows = await rowsOf(product.db.pool, id)
        expect(rows).toHaveLength(passed + 1)
        return rows.at(-1)!
      })
      charged.push(Number(row.credits_used))
      if (passed === frames.length) expect([row.outcome, row.provenance]).toEqual(['answered', 'provider_usage'])
    }
    const all = charged.at(-1)!
    expect(all).toBe(model === 'claude' ? 0.495 : 0.0555)
    for (const [passed, charge] of charged.entries()) {
      const isShown = frames.slice(0, passed).some((frame) => frame.includes('Hello'))
      if (isShown) expect(charge).toBeGreaterThan(0)
      else expect(charge).toBe(0)
      expect(charge).toBeLessThanOrEqual(all)
      expect(charge).toBeGreaterThanOrEqual(charged[passed - 1] ?? 0)
    }
  })
})

test.each([
  ['gemini-2.5-pro', 'europe-west4', undefined],
  ['gemini-3.5-flash', 'eu', 110],
  ['gemini-3.5-flash', 'global', undefined],
  ['claude-opus-4-1@20250805', 'us-east5', undefined],
  ['claude-opus-4-6', 'us', 110],
  ['claude-opus-4-6', 'global', undefined],
])('%s at %s costs the list price, times %s hundredths where it is dearer.', (model, location, percent) => {
  expect(providerOf('vertex_ai').listedAs(model, `https://x.googleapis.com?location=${location}`)?.percent).toBe(
    percent,
  )
})

test.each([
  [
    429,
    { error: { code: 429, status: 'RESOURCE_EXHAUSTED', message: 'Quota exceeded' } },
    429,
    'provider_rate_limited',
  ],
  [
    403,
    { error: { code: 403, status: 'PERMISSION_DENIED', message: 'on projects/acme-billing' } },
    503,
    'provider_account',
  ],
  [
    404,
    [{ error: { code: 404, status: 'NOT_FOUND', message: 'Publisher Model was not found' } }],
    404,
    'model_not_found',
  ],
  [
    400,
    { type: 'error', error: { type: 'invalid_request_error', message: 'max_tokens: too small' } },
    400,
    'bad_request',
  ],
  [529, { type: 'error', error: { type: 'overloaded_error', message: 'Overloaded' } }, 503, 'provider_overloaded'],
])('Status %s with %j is %s %s.', async (status, body, shown, code) => {
  respond(jsonAnswer(body, { status }))
  const response = await call({ model: 'claude' })
  expect([response.status, response.json()]).toMatchObject([shown, { error: { code } }])
  expect(response.body).not.toContain('acme-billing')
})
