/**
 * What a caller is told when a call can't be made, in every dialect: the status and the code, in the envelope its clients read, and in
 * the headers whether a repeat would help. Final: x-should-retry is false. Passing: Retry-After says when. Nothing is charged.
 */
import { describe, expect, test } from 'vitest'
import { failing } from '../clients/real/scripted-model.ts'
import { rowsOf } from '../support/call-books.ts'
import { useProduct } from '../support/product.ts'
import { respondingOn } from '../support/response-answers.ts'
import { modelOn, postChat } from '../support/tollgate.ts'
import { chat as chatOf, type Handler } from '../support/upstream-answers.ts'

type Json = Record<string, unknown>

const PRICES = { input_cost_per_token: 0.00001, output_cost_per_token: 0.00001 }
const product = useProduct((url) => ({
  models: [
    modelOn(url, 'chat', { model: 'openai/gpt-4o-mini', ...PRICES }),
    respondingOn(url, 'response', { model: 'openai/gpt-4o-mini', ...PRICES }),
    modelOn(url, 'claude', { model: 'anthropic/claude-sonnet-4-5', ...PRICES }),
    modelOn(url, 'gemini', { model: 'gemini/gemini-2.5-flash', api_base: url.replace(/v1$/, 'v1beta'), ...PRICES }),
    modelOn(url, 'embedding', { model: 'openai/text-embedding-3-small', ...PRICES }),
    modelOn(url, 'image', { model: 'openai/dall-e-3', output_cost_per_image: 0.04 }),
  ],
  router_settings: { num_retries: 0, disable_cooldowns: true },
}))

type Envelope = 'openai' | 'codex' | 'anthropic' | 'google'

interface Dialect {
  path: (model: string) => string
  envelope: Envelope
  model: string
  body: Json
  /** Who serves it. */
  by?: string
}

const hello = [{ role: 'user', content: 'Hello' }]
const contents = [{ role: 'user', parts: [{ text: 'Hello' }] }]
const chat: Dialect = {
  path: () => '/v1/chat/completions',
  envelope: 'openai',
  model: 'chat',
  body: { messages: hello, max_tokens: 300 },
}
const response: Dialect = {
  path: () => '/v1/responses',
  envelope: 'codex',
  model: 'chat',
  body: { input: 'Hello', max_output_tokens: 300 },
}
const message: Dialect = { ...chat, path: () => '/v1/messages', envelope: 'anthropic' }
const content: Dialect = {
  path: (model) => `/v1beta/models/${model}:generateContent`,
  envelope: 'google',
  model: 'chat',
  body: { contents, generationConfig: { maxOutputTokens: 300 } },
}
const DIALECTS: readonly [string, Dialect][] = [
  ['chat completions', chat],
  ['chat completions of Claude', { ...chat, model: 'claude', by: 'Anthropic' }],
  ['responses by chat', response],
  ['responses as they are', { ...response, model: 'response' }],
  ['messages by chat', message],
  ['messages as they are', { ...message, model: 'claude', by: 'Anthropic' }],
  ['completions', { ...chat, path: () => '/v1/completions', body: { prompt: 'Hello', max_tokens: 300 } }],
  ['embeddings', { ...chat, path: () => '/v1/embeddings', model: 'embedding', body: { input: 'Hello' } }],
  ['Gemini’s surface by chat', content],
  ['Gemini’s surface as it is', { ...content, model: 'gemini', by: 'Google' }],
  ['images', { ...chat, path: () => '/v1/images/generations', model: 'image', body: { prompt: 'A cat' } }],
]

interface Failure {
  what: string
  /** How it comes about. */
  upstream?: Handler
  credits?: number
  prepare?: (keyId: string) => Promise<unknown>
  key?: string
  model?: string
  /** What is told. */
  status: number
  code: string
  says: (dialect: Dialect) => string
  /** Seconds, for what passes; null for what a repeat can't mend and nobody need wait for. */
  retryAfter: number | null
  isFinal: boolean
  param?: string
  fields?: Json
}

const sql = (text: string) => (keyId: string) => product.db.pool.query(text, [keyId])
const account = ({ by = 'OpenAI' }: Dialect) =>
  `${by} did not accept this gateway's account. The operator has been told; trying again later may help.`
const final = { isFinal: true, retryAfter: null }

const FAILURES: readonly Failure[] = [
  {
    what: 'An unknown key',
    key: `uc_${'0'.repeat(48)}`,
    ...final,
    status: 401,
    code: 'invalid_api_key',
    says: () => 'Incorrect API key provided. Check it, or ask an admin of your organization for a new one.',
  },
  {
    what: 'A user without credits',
    credits: 0,
    ...final,
    status: 402,
    code: 'insufficient_credits',
    says: () =>
      'Insufficient credits: this call needs at least N credits and 0 are available. Ask an admin of your organization to allocate more.',
    fields: { required: 'N', available: '0' },
  },
  {
    what: 'A key over its budget',
    prepare: sql(
      "insert into tollgate.ledger_limits (kind, id, window_start, limit_amount) values ('key', $1, tollgate.ledger_all_time(), 0.001)",
    ),
    isFinal: true,
    retryAfter: 60,
    status: 429,
    code: 'budget_exceeded',
    says: () =>
      "Budget has been exceeded: this call needs at least N credits and the limit 'key' of 0.001 credits leaves 0.001.",
    fields: {
      required: 'N',
      available: '0.001',
      limit: 'key',
      limit_id: 'N',
      limit_unit: 'credits',
      limit_amount: 0.001,
      limit_left: 0.001,
      resets_at: null,
    },
  },
  {
    what: 'A key that called too often',
    prepare: sql('update tollgate.api_keys set requests_per_minute = 0 where id = $1'),
    isFinal: false,
    retryAfter: 60,
    status: 429,
    code: 'rate_limit_exceeded',
    says: () => 'Rate limit exceeded. Maximum 0 calls of this key per minute.',
  },
  {
    what: 'A model the key may not call',
    prepare: sql("update tollgate.api_keys set models = '{other}' where id = $1"),
    ...final,
    status: 403,
    code: 'model_not_allowed',
    says: ({ model }) => `This key may not call the model "${model}". GET /v1/models lists those it may.`,
    param: 'model',
  },
  {
    what: 'An unknown model',
    model: 'no-such-model',
    ...final,
    status: 404,
    code: 'model_not_found',
    says: () => 'The model "no-such-model" does not exist here. GET /v1/models lists what there is.',
    param: 'model',
  },
  {
    what: 'A provider that limits the rate',
    upstream: failing(429, 'Slow down.', { 'retry-after': '7' }),
    isFinal: false,
    retryAfter: 7,
    status: 429,
    code: 'provider_rate_limited',
    says: ({ by = 'OpenAI' }) => `${by} limits the rate of calls right now. Try again after the time in Retry-After.`,
  },
  {
    what: 'A provider that is overloaded',
    upstream: failing(503, 'Overloaded.'),
    isFinal: false,
    retryAfter: 2,
    status: 503,
    code: 'provider_overloaded',
    says: ({ by = 'OpenAI' }) => `${by} is overloaded. Try again shortly.`,
  },
  {
    what: 'A provider that hangs up',
    upstream: () => 'hangUp',
    isFinal: false,
    retryAfter: 2,
    status: 503,
    code: 'provider_failed',
    says: ({ by = 'OpenAI' }) => `${by} broke off its answer. Try again shortly.`,
  },
  {
    what: 'An operator’s key that the provider refuses',
    upstream: failing(401, 'Incorrect API key'),
    isFinal: true,
    retryAfter: 2,
    status: 503,
    code: 'provider_account',
    says: account,
  },
  {
    what: 'An operator’s account that is empty',
    upstream: failing(402, 'Your account has no credit.'),
    isFinal: true,
    retryAfter: 2,
    status: 503,
    code: 'provider_account',
    says: account,
  },
]

const TYPES: Readonly<Record<number, readonly [openai: string, anthropic: string, google: string]>> = {
  401: ['authentication_error', 'authentication_error', 'UNAUTHENTICATED'],
  402: ['insufficient_credits', 'billing_error', 'FAILED_PRECONDITION'],
  403: ['permission_error', 'permission_error', 'PERMISSION_DENIED'],
  404: ['not_found_error', 'not_found_error', 'NOT_FOUND'],
  429: ['rate_limit_error', 'rate_limit_error', 'RESOURCE_EXHAUSTED'],
  503: ['server_error', 'overloaded_error', 'UNAVAILABLE'],
}

/** The body as a client of the dialect reads it; what differs from call to call is N. */
function bodyOf(envelope: Envelope, failure: Failure, says: string): Json {
  const { status, code, param = null, fields = {}, isFinal, retryAfter } = failure
  const [openai, anthropic, google] = TYPES[status]!
  const isBudget = code === 'budget_exceeded'
  if (envelope === 'anthropic')
    return {
      type: 'error',
      error: { type: status === 503 && isFinal ? 'api_error' : anthropic, message: says, code, param, ...fields },
      detail: says,
    }
  if (envelope === 'google') {
    const told = Object.entries({ ...(param === null ? {} : { param }), ...fields })
    const metadata = Object.fromEntries(told.map(([name, value]) => [name, String(value)]))
    const info = { '@type': 'type.googleapis.com/google.rpc.ErrorInfo', reason: code, domain: 'tollgate', metadata }
    const quota = { '@type': 'type.googleapis.com/google.rpc.QuotaFailure', violations: [{ quotaId: 'BudgetPerDay' }] }
    const retry = { '@type': 'type.googleapis.com/google.rpc.RetryInfo', retryDelay: `${retryAfter}s` }
    const details = [info, ...(isBudget ? [quota] : []), ...(isFinal ? [] : [retry])]
    return { error: { code: status, message: says, status: google, details }, detail: says }
  }
  const type = isBudget ? (envelope === 'codex' ? 'usage_limit_reached' : 'budget_exceeded') : openai
  return { error: { message: says, type, param, code, ...fields }, detail: says }
}

const READ = /^(?:x-should-retry|retry-after|x-codex-.*|anthropic-ratelimit-.*limit|anthropic-ratelimit-.*remaining)$/

function headersOf(envelope: Envelope, { isFinal, retryAfter, code, fields = {} }: Failure): Json {
  const { available } = fields
  return {
    ...(isFinal ? { 'x-should-retry': 'false' } : {}),
    ...(retryAfter === null ? {} : { 'retry-after': String(retryAfter) }),
    ...(envelope === 'codex' && available !== undefined
      ? {
          'x-codex-credits-has-credits': 'false',
          'x-codex-credits-unlimited': 'false',
          'x-codex-credits-balance': Number(available).toFixed(3),
        }
      : {}),
    ...(envelope === 'anthropic' && code === 'rate_limit_exceeded'
      ? { 'anthropic-ratelimit-requests-limit': '0', 'anthropic-ratelimit-requests-remaining': '0' }
      : {}),
  }
}

/** What differs from call to call. */
const withoutNumbers = (text: string) =>
  text
    .replaceAll(/(at least|"required":) ?"?[\d.]+"?/g, (_, before: string) =>
      before.endsWith(':') ? `${before}"N"` : `${before} N`,
    )
    .replaceAll(/("limit_id":)"[^"]+"/g, '$1"N"')

describe.each(FAILURES)('$what', (failure) => {
  const { upstream, credits = 1_000, prepare, key, model } = failure
  test.each(DIALECTS)(`${failure.what} is told as clients of %s read it.`, async (_, dialect) => {
    const { path, envelope, body } = dialect
    const { id, keys, keyIds } = await product.db.seedOrganization({ credits: 5_000, users: { alice: credits } })
    await prepare?.(keyIds.alice as string)
    if (upstream !== undefined) product.upstream.respond(upstream)
    const before = product.upstream.requests.length
    const asked = model ?? dialect.model
    const sent = envelope === 'google' ? body : { model: asked, ...body }
    const answer = await postChat(product.tollgate, key ?? (keys.alice as string), sent, { path: path(asked) })
    const shown = JSON.parse(withoutNumbers(answer.body)) as Json
    const read = Object.fromEntries([...answer.headers].filter(([name]) => READ.test(name)))
    expect([answer.status, shown, read]).toEqual([
      failure.status,
      bodyOf(envelope, failure, failure.says(dialect)),
      headersOf(envelope, failure),
    ])
    expect(answer.headers.get('request-id')).toBe(envelope === 'anthropic' ? answer.headers.get('x-request-id') : null)
    // Once, where it got there at all: who repeats a call is the client.
    expect(product.upstream.requests.length - before).toBe(upstream === undefined ? 0 : 1)
    const rows = await rowsOf(product.db.pool, id)
    expect(rows.map(({ credits_used, outcome }) => [outcome, credits_used])).toEqual(
      upstream === undefined ? [] : [['failed', '0.000000']],
    )
  })
})

test('Codex, which repeats every 503, gets 400 where a repeat can’t help; what passes stays a 503.', async () => {
  const { keys } = await product.db.seedOrganization({ credits: 5_000, users: { alice: 1_000 } })
  const ask = (headers: Record<string, string>) =>
    postChat(
      product.tollgate,
      keys.alice as string,
      { model: 'chat', ...response.body },
      { path: '/v1/responses', headers },
    )
  const codex = { originator: 'codex_exec', 'user-agent': 'codex_exec/0.171.0 (Linux; x86_64)' }
  product.upstream.respond(failing(401, 'Incorrect API key'))
  const refused = await ask(codex)
  expect([refused.status, refused.json()]).toMatchObject([400, { error: { code: 'provider_account' } }])
  expect((await ask({ 'user-agent': 'OpenAI/Python 3.57.0' })).status).toBe(503)
  product.upstream.respond(failing(503, 'Overloaded.'))
  expect((await ask(codex)).status).toBe(503)
})

test.each([
  ['chat completions', chat],
  ['messages', message],
  ['responses', response],
] as const)(
  'opencode, which repeats every 503 and every server_error, gets 400 from %s where a repeat can’t help; what passes stays a 503.',
  async (_, { path, body }) => {
    const { keys } = await product.db.seedOrganization({ credits: 5_000, users: { alice: 1_000 } })
    const headers = { 'user-agent': 'opencode/1.18.33 ai-sdk/provider-utils/4.0.23 runtime/bun/1.3.14' }
    const ask = () =>
      postChat(product.tollgate, keys.alice as string, { model: 'chat', ...body }, { path: path('chat'), headers })
    product.upstream.respond(failing(401, 'Incorrect API key'))
    const refused = await ask()
    expect([refused.status, refused.json(), refused.headers.get('x-should-retry')]).toMatchObject([
      400,
      { error: { type: 'invalid_request_error', code: 'provider_account' } },
      'false',
    ])
    product.upstream.respond(failing(503, 'Overloaded.'))
    expect((await ask()).status).toBe(503)
  },
)

describe('What a call that succeeds says of what is left', () => {
  async function caller(more: { credits?: number; perMinute?: number }) {
    const { keys, keyIds } = await product.db.seedOrganization({
      credits: 5_000,
      users: { alice: more.credits ?? 1_000 },
    })
    if (more.perMinute !== undefined)
      await product.db.pool.query('update tollgate.api_keys set requests_per_minute = $2 where id = $1', [
        keyIds.alice,
        more.perMinute,
      ])
    return keys.alice as string
  }
  const codex = (headers: Headers) =>
    ['has-credits', 'unlimited', 'balance'].map((name) => headers.get(`x-codex-credits-${name}`))
  const ask = (key: string, { path, body }: Dialect, more: Json = {}) =>
    postChat(product.tollgate, key, { model: 'chat', ...body, ...more }, { path: path('chat') })

  test('Codex reads the balance: after the charge where it is known, and before it at the head of a stream.', async () => {
    const key = await caller({ credits: 100 })
    product.upstream.respond(chatOf())
    // 16 tokens at $10 a million, and half of it on top: 0.24.
    expect(codex((await ask(key, response)).headers)).toEqual(['true', 'false', '99.760'])
    expect(codex((await ask(key, response, { stream: true })).headers)).toEqual(['true', 'false', '99.760'])
    expect(codex((await ask(key, chat)).headers)).toEqual([null, null, null])
  })

  test('Anthropic’s clients read the limit of calls in their words.', async () => {
    const key = await caller({ perMinute: 5 })
    product.upstream.respond(chatOf())
    const { headers } = await ask(key, message)
    const read = ['limit', 'remaining', 'reset'].map((name) => headers.get(`anthropic-ratelimit-requests-${name}`))
    const reset = new Date(Number(headers.get('x-ratelimit-reset')) * 1_000)
    expect(read).toEqual(['5', '4', reset.toISOString().replace('.000Z', 'Z')])
    expect((await ask(await caller({}), message)).headers.get('anthropic-ratelimit-requests-limit')).toBeNull()
  })
})

describe('Paths as clients spell them', () => {
  test.each(['/v1/chat/completions/', '//v1//chat/completions', '/v1/./chat/completions', '/chat/completions/'])(
    '%s is the route of chat completions.',
    async (path) => {
      const { keys } = await product.db.seedOrganization({ credits: 5_000, users: { alice: 1_000 } })
      product.upstream.respond(chatOf())
      const { status } = await postChat(
        product.tollgate,
        keys.alice as string,
        { model: 'chat', ...chat.body },
        { path },
      )
      expect(status).toBe(200)
    },
  )

  test('The HEAD requests of Codex and Claude Code are answered at once, and cost nothing.', async () => {
    const { id, keys } = await product.db.seedOrganization({ credits: 5_000, users: { alice: 1_000 } })
    const head = async (path: string, key: string | null = keys.alice as string) => {
      const headers: Record<string, string> = key === null ? {} : { authorization: `Bearer ${key}` }
      return (await fetch(`${product.tollgate.url}${path}`, { method: 'HEAD', headers })).status
    }
    expect(await head('/v1/models')).toBe(200)
    expect(await head('/v1/responses')).toBe(405)
    expect(await head('/api/hello')).toBe(404)
    expect(await head('/api/hello', null)).toBe(401)
    expect(await rowsOf(product.db.pool, id)).toEqual([])
  })

  test('The error for an unknown route names the method and the path.', async () => {
    const { keys } = await product.db.seedOrganization({ credits: 5_000, users: { alice: 1_000 } })
    const answer = await postChat(product.tollgate, keys.alice as string, {}, { path: '/v1/no/such' })
    expect([answer.status, answer.headers.get('x-should-retry')]).toEqual([404, 'false'])
    expect(answer.json()).toMatchObject({
      error: { code: 'route_not_found', message: expect.stringMatching(/^POST \/v1\/no\/such is not/) },
    })
  })
})
