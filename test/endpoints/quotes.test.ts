/** POST /v1/quotes, and calls that bring a quote along. A second replica has other prices, as after a change of config.yaml. */
import { randomBytes, randomUUID } from 'node:crypto'
import { SignJWT } from 'jose'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { balanceOf, rowOfCall } from '../support/call-books.ts'
import { useProduct } from '../support/product.ts'
import { configFor, modelOn, postChat, startTollgate, type Tollgate } from '../support/tollgate.ts'
import { chat } from '../support/upstream-answers.ts'

/** Dollars a token. A call uses 11 tokens of input and 5 of output: the provider takes 0.021 credits of it at these. */
const priced = (factor: number) => ({
  input_cost_per_token: 0.000001 * factor,
  output_cost_per_token: 0.000002 * factor,
})
const modelsAt = (url: string, rose: number, soared: number, fell: number) => [
  modelOn(url, 'rose', priced(rose)),
  modelOn(url, 'soared', priced(soared)),
  modelOn(url, 'fell', priced(fell)),
]

const product = useProduct((url) => ({
  models: [
    ...modelsAt(url, 1, 1, 1),
    { ...modelOn(url, 'either', priced(1)), model_info: { id: 'either-cheap' } },
    { ...modelOn(url, 'either', { ...priced(3), model: 'openai/either-dear' }), model_info: { id: 'either-dear' } },
    modelOn(url, 'gemini', { model: 'gemini/gemini-2.5-flash', api_base: url.replace('/v1', '/v1beta') }),
  ],
}))

/** The same models at other prices: a fifth dearer, ten times dearer, half; and twice the markup. */
let other: Tollgate | undefined
beforeAll(async () => {
  const config = configFor(product.upstream.url, {
    models: modelsAt(product.upstream.url, 1.2, 10, 0.5),
    tollgate: { plans: { platform: { markup_percent: 100 } }, power_levels: { eco: 1, balanced: 1, precision: 4 } },
  })
  other = await startTollgate({ databaseUrl: product.db.url, config })
})
afterAll(() => other?.stop())

const MESSAGES = [{ role: 'user', content: 'Say hello' }]
const seed = () => product.db.seedOrganization({ credits: 1_000, users: { alice: 400, bob: 100 } })

async function quoteFor(key: string, body: unknown, headers: Record<string, string> = {}, path = '/v1/quotes') {
  const { status, headers: received, json } = await postChat(product.tollgate, key, body, { path, headers })
  return { status, headers: received, quote: json() as unknown as Quote & { error: { code: string; message: string } } }
}

interface Quote {
  quote_id: string
  max_credits: number
  expected_credits: number
  held_credits: number
  expected: Record<string, unknown>
  price: { version: string; reference: string }
  power_level: string
  created_at: string
  expires_at: string
}

const withQuote = (id: string) => ({ headers: { 'X-Tollgate-Quote': id } })

describe('A quote', () => {
  test('A quote says the most a call can cost, what is held and what is expected, and moves no balance.', async () => {
    const { keys, id } = await seed()
    const before = product.upstream.requests.length
    const { status, quote } = await quoteFor(keys.alice, { model: 'rose', messages: MESSAGES, max_tokens: 100 })
    expect(status).toBe(200)
    const { quote_id, created_at, expires_at, ...rest } = quote
    expect(rest).toEqual({
      object: 'quote',
      model: 'rose',
      power_level: 'balanced',
      max_credits: expect.any(Number),
      // 100 tokens of output at 0.002 credits and 10 of input at 0.001, with 50 % on top.
      expected_credits: 0.315,
      held_credits: 0.315,
      expected: { basis: 'estimate', calls: 0, input_tokens: 10, output_tokens: 100 },
      price: { version: expect.stringMatching(/^[0-9a-f]{12}$/), reference: 'config.yaml' },
    })
    expect(quote.max_credits).toBeGreaterThan(quote.held_credits)
    expect(Date.parse(expires_at) - Date.parse(created_at)).toBe(600_000)
    expect(quote_id.length).toBeLessThan(1_000)
    expect(product.upstream.requests.length).toBe(before)
    expect(await balanceOf(product.db.pool, id, 'alice')).toEqual({
      used: '0.000000',
      remaining: '400.000000',
      held: '0.000000',
    })
  })

  test('A quote expects what the caller’s calls of that model usually use.', async () => {
    const { keys } = await seed()
    const body = { model: 'rose', messages: MESSAGES }
    const first = await quoteFor(keys.alice, body)
    expect(first.quote.expected).toMatchObject({ basis: 'estimate', output_tokens: 400 })
    await postChat(product.tollgate, keys.alice, body)
    const own = await quoteFor(keys.alice, body)
    expect(own.quote.expected).toEqual({ basis: 'history', calls: 1, input_tokens: 10, output_tokens: 5 })
    // 10 x 0.001 and 5 x 0.002, and a half.
    expect(own.quote.expected_credits).toBe(0.03)
    expect((await quoteFor(keys.bob, body)).quote.expected.basis).toBe('estimate')
    expect((await quoteFor(keys.alice, { ...body, model: 'fell' })).quote.expected.basis).toBe('estimate')
  })

  test('A quote is made without the history where that takes too long to read.', async () => {
    const { keys } = await seed()
    const body = { model: 'rose', messages: MESSAGES }
    await postChat(product.tollgate, keys.alice, body)
    const client = await product.db.pool.connect()
    try {
      await client.query('begin; lock table credit_usage_attribution in access exclusive mode')
      expect((await quoteFor(keys.alice, body)).quote.expected).toMatchObject({ basis: 'estimate', output_tokens: 400 })
    } finally {
      await client.query('rollback')
      client.release()
    }
    expect((await quoteFor(keys.alice, body)).quote.expected).toMatchObject({ basis: 'history', output_tokens: 5 })
  })

  test('A quote of a body of several megabytes is for all of it.', async () => {
    const { keys } = await seed()
    const body = (end: string) => ({
      model: 'exact',
      messages: [{ role: 'user', content: `${'word '.repeat(500_000)}${end}` }],
      max_tokens: 5,
    })
    const { status, quote } = await quoteFor(keys.alice, body('a'))
    expect(status).toBe(200)
    const other = await postChat(product.tollgate, keys.alice, body('b'), withQuote(quote.quote_id))
    expect([other.status, (other.json().error as { code: string }).code]).toEqual([400, 'quote_of_another_request'])
    expect((await postChat(product.tollgate, keys.alice, body('a'), withQuote(quote.quote_id))).status).toBe(200)
  })

  test('A quote is as much as its provider can state, to the token: beyond that the call is disputed and costs less.', async () => {
    const { keys } = await seed()
    for (const [stream, n] of [
      [false, 1],
      [true, 1],
      [false, 3],
    ] as const) {
      const body = { model: 'rose', messages: MESSAGES, max_tokens: 100, stream, n }
      const { quote } = await quoteFor(keys.alice, body)
      // A half on top of 0.001 credits a token of input and 0.002 of output.
      const input = Math.round(quote.max_credits / 1.5 / 0.001) - 2 * 100 * n
      for (const more of [0, 1]) {
        const usage = { prompt_tokens: input + more, completion_tokens: 100 * n, total_tokens: input + more + 100 * n }
        product.upstream.respond(chat({ usage }))
        const answer = await postChat(product.tollgate, keys.alice, body, withQuote(quote.quote_id))
        const row = await rowOfCall(product.db.pool, answer.headers.get('x-litellm-call-id'))
        expect(row.provenance).toBe(more === 0 ? 'provider_usage' : 'disputed')
        if (more === 0) expect(Number(row.credits_used)).toBe(quote.max_credits)
        else expect(Number(row.credits_used)).toBeLessThan(quote.max_credits)
      }
    }
    product.upstream.respond(chat())
  })

  test('A quote is the most over all who may serve the call.', async () => {
    const { keys } = await seed()
    const cap = { messages: MESSAGES, max_tokens: 100 }
    const cheap = await quoteFor(keys.alice, { model: 'rose', ...cap })
    const either = await quoteFor(keys.alice, { model: 'either', ...cap })
    expect(either.quote.held_credits).toBe(Number((cheap.quote.held_credits * 3).toFixed(6)))
    expect(either.quote.max_credits).toBeGreaterThan(cheap.quote.max_credits * 2.9)
  })

  test('A quote has the same version as long as the price is the same.', async () => {
    const { keys } = await seed()
    const version = async (body: object, headers = {}) => {
      const { quote } = await quoteFor(keys.alice, { messages: MESSAGES, ...body }, headers)
      return quote.price.version
    }
    const usual = await version({ model: 'rose' })
    expect(await version({ model: 'rose', max_tokens: 7 })).toBe(usual)
    expect(await version({ model: 'either' })).not.toBe(usual)
    expect(await version({ model: 'rose' }, { 'X-Power-Level': 'precision' })).not.toBe(usual)
  })

  test("A quote costs nothing where the caller's own key pays, and neither does the call.", async () => {
    const body = { model: 'rose', messages: MESSAGES }
    for (const [plan, isFree] of [
      ['byok', true],
      ['hybrid', false],
    ] as const) {
      const { keys } = await product.db.seedOrganization({ plan, credits: 10, users: { alice: 10 } })
      if (plan === 'byok') {
        const none = await quoteFor(keys.alice, body)
        expect([none.status, none.quote.error.code]).toEqual([403, 'byok_key_missing'])
      }
      const stored = await postChat(
        product.tollgate,
        keys.alice,
        { provider: 'openai', api_key: `sk-${'a'.repeat(48)}` },
        { path: '/api/v1/llm/byok/keys' },
      )
      expect(stored.status).toBe(200)
      const { quote } = await quoteFor(keys.alice, body)
      // On hybrid the operator's key stands behind the caller's.
      expect({ ...quote, most: quote.max_credits === 0 }).toMatchObject({ expected_credits: 0, most: isFree })
      const answer = await postChat(other!, keys.alice, body, withQuote(quote.quote_id))
      expect([answer.status, answer.headers.get('x-credits-used')]).toEqual([200, '0.000000'])
    }
  })

  test('A quote fetches nothing of what its request names.', async () => {
    const { keys } = await seed()
    const before = product.upstream.requests.length
    const image = { type: 'image_url', image_url: { url: `${product.upstream.url}/cat.png` } }
    const { status, quote } = await quoteFor(keys.alice, {
      model: 'gemini',
      messages: [{ role: 'user', content: [{ type: 'text', text: 'What is this?' }, image] }],
    })
    expect(status).toBe(200)
    expect(quote.max_credits).toBeGreaterThan(quote.expected_credits)
    expect(product.upstream.requests.length).toBe(before)
  })

  test('A quote is refused for what the call would be refused for, and for an endpoint that has none.', async () => {
    const { keys } = await seed()
    const code = async (body: unknown, path?: string) => {
      const { status, quote } = await quoteFor(keys.alice, body, {}, path)
      return [status, quote.error.code]
    }
    expect(await code({ model: 'nobody', messages: MESSAGES })).toEqual([404, 'model_not_found'])
    expect(await code({ model: 'rose', messages: [] })).toEqual([400, 'invalid_request'])
    expect(await code({ model: 'rose', messages: MESSAGES }, '/v1/quotes?endpoint=/v1/images')).toEqual([
      400,
      'unknown_endpoint',
    ])
    expect(await code({ model: 'rose', messages: MESSAGES }, '/v1/quotes?endpoint=toString')).toEqual([
      400,
      'unknown_endpoint',
    ])
    const named = await quoteFor(
      keys.alice,
      { model: 'rose', messages: MESSAGES },
      {},
      '/v1/quotes?endpoint=/v1/chat/completions',
    )
    expect(named.status).toBe(200)
  })

  test('A quote is made sixty times a minute for a caller, and leaves no row.', async () => {
    const { keys } = await seed()
    const size =
      'select sum(pg_relation_size(c.oid))::text as bytes from pg_class c join pg_namespace n on n.oid = relnamespace and nspname = $1'
    const before = (await product.db.pool.query(size, ['tollgate'])).rows
    const body = { model: 'rose', messages: MESSAGES }
    for (let n = 0; n < 60; n += 1) expect((await quoteFor(keys.alice, body)).status).toBe(200)
    const { status, headers, quote } = await quoteFor(keys.alice, body)
    expect([status, quote.error.message]).toEqual([429, 'Rate limit exceeded. Maximum 60 quotes per minute.'])
    expect(Number(headers.get('retry-after'))).toBeGreaterThan(0)
    expect((await quoteFor(keys.bob, body)).status).toBe(200)
    expect((await product.db.pool.query(size, ['tollgate'])).rows).toEqual(before)
  })
})

describe('A call with a quote', () => {
  test.each([
    // 0.021 with 50 % on top, where it would be 0.0252 and as much again.
    { model: 'rose', charge: '0.031500', without: '0.050400', cost: '0.000025200' },
    // Never below what the provider takes by now.
    { model: 'soared', charge: '0.210000', without: '0.420000', cost: '0.000210000' },
    // What was agreed on holds in both directions: whoever wants the new price leaves the quote out.
    { model: 'fell', charge: '0.031500', without: '0.021000', cost: '0.000010500' },
  ])(
    'A call with a quote is charged $charge where the price $model, $without without it.',
    async ({ model, charge, without, cost }) => {
      const { keys } = await seed()
      for (const stream of [false, true]) {
        const body = { model, messages: MESSAGES, stream }
        const { quote } = await quoteFor(keys.alice, body)
        const answer = await postChat(other!, keys.alice, body, withQuote(quote.quote_id))
        expect(answer.status).toBe(200)
        const row = await rowOfCall(product.db.pool, answer.headers.get('x-litellm-call-id'))
        expect(row).toMatchObject({
          credits_used: charge,
          api_cost: cost,
          details: { quoted_price: quote.price.version },
        })
        const plain = await postChat(other!, keys.alice, body)
        const row2 = await rowOfCall(product.db.pool, plain.headers.get('x-litellm-call-id'))
        expect(row2).toMatchObject({ credits_used: without, api_cost: cost })
        expect(row2.details.quoted_price).toBeUndefined()
      }
    },
  )

  test('A call with a quote is made by the level that was quoted, where it states none.', async () => {
    const { keys } = await seed()
    const body = { model: 'rose', messages: MESSAGES }
    const { quote } = await quoteFor(keys.alice, body, { 'X-Power-Level': 'precision' })
    expect(quote.power_level).toBe('precision')
    // Twice 0.0315; the other replica would take four times its own.
    const answer = await postChat(other!, keys.alice, body, withQuote(quote.quote_id))
    expect(answer.headers.get('x-credits-used')).toBe('0.063000')
    const same = { headers: { 'X-Tollgate-Quote': quote.quote_id, 'X-Power-Level': 'Precision' } }
    expect((await postChat(other!, keys.alice, body, same)).headers.get('x-credits-used')).toBe('0.063000')
  })

  test('A call with a quote may be made again while the quote holds, also through the internal API.', async () => {
    const { keys } = await seed()
    const body = { model: 'rose', messages: MESSAGES }
    const { quote } = await quoteFor(keys.alice, body, {}, '/api/v1/llm/quotes')
    for (const path of ['/v1/chat/completions', '/api/v1/llm/chat/completions', '/chat/completions']) {
      const answer = await postChat(other!, keys.alice, body, { path, ...withQuote(quote.quote_id) })
      expect(answer.headers.get('x-credits-used')).toBe('0.031500')
    }
  })

  test("A call with a quote of another endpoint's dialect is quoted where the quote names it.", async () => {
    const { keys } = await seed()
    const body = { model: 'rose', max_tokens: 100, messages: MESSAGES }
    const { status, quote } = await quoteFor(keys.alice, body, {}, '/v1/quotes?endpoint=/v1/messages')
    expect(status).toBe(200)
    const answer = await postChat(other!, keys.alice, body, { path: '/v1/messages', ...withQuote(quote.quote_id) })
    expect([answer.status, answer.headers.get('x-credits-used')]).toEqual([200, '0.031500'])
    expect(quote.max_credits).toBeGreaterThan(0.0315)
  })

  test('A call with a quote is repeated by its Idempotency-Key with the same quote only.', async () => {
    const { keys } = await seed()
    const body = { model: 'rose', messages: MESSAGES }
    const { quote } = await quoteFor(keys.alice, body)
    const key = { 'Idempotency-Key': randomUUID() }
    const quoted = { headers: { ...key, 'X-Tollgate-Quote': quote.quote_id } }
    const first = await postChat(product.tollgate, keys.alice, body, quoted)
    const again = await postChat(product.tollgate, keys.alice, body, quoted)
    expect([again.status, again.headers.get('idempotent-replayed'), again.body]).toEqual([200, 'true', first.body])
    const plain = await postChat(product.tollgate, keys.alice, body, { headers: key })
    expect([plain.status, plain.json().error]).toEqual([
      409,
      expect.objectContaining({ code: 'idempotency_key_reused' }),
    ])
  })

  test('A call with a quote of a deployment that was not quoted is refused.', async () => {
    const { keys } = await seed()
    const body = { model: 'either', messages: MESSAGES }
    const moved = { ...body, model: 'rose' }
    const { quote } = await quoteFor(keys.alice, moved)
    const [head, payload] = quote.quote_id.split('.')
    expect(head).toBeDefined()
    const claims = JSON.parse(Buffer.from(payload!, 'base64url').toString())
    const { rows } = await product.db.pool.query('select secret from tollgate.quote_secret')
    const forged = await sign({ ...claims, on: [] }, rows[0].secret)
    const answer = await postChat(product.tollgate, keys.alice, moved, withQuote(forged))
    expect([answer.status, answer.json().error]).toEqual([400, expect.objectContaining({ code: 'quote_void' })])
  })
})

function sign(claims: Record<string, unknown>, secret: Uint8Array, alg = 'HS256', typ = 'quote'): Promise<string> {
  return new SignJWT(claims).setProtectedHeader({ alg, typ }).sign(secret)
}

describe('A quote is refused before anything is held, and nobody is called', () => {
  const body = { model: 'soared', messages: MESSAGES }
  const claimsOf = (id: string) => JSON.parse(Buffer.from(id.split('.')[1] ?? '', 'base64url').toString())
  const secretOf = async () =>
    (await product.db.pool.query('select secret from tollgate.quote_secret')).rows[0].secret as Buffer

  test.each<{
    what: string
    code: string
    change: (id: string) => string | Promise<string>
    asks?: object
    level?: string
  }>([
    {
      what: 'that has expired',
      code: 'quote_expired',
      change: async (id) => sign({ ...claimsOf(id), iat: 1, exp: Math.floor(Date.now() / 1000) }, await secretOf()),
    },
    {
      what: 'that never expires',
      code: 'invalid_quote',
      change: async (id) => {
        const { exp: _, ...rest } = claimsOf(id)
        return sign(rest, await secretOf())
      },
    },
    { what: 'signed by somebody else', code: 'invalid_quote', change: (id) => sign(claimsOf(id), randomBytes(64)) },
    {
      what: 'signed by another algorithm',
      code: 'invalid_quote',
      change: async (id) => sign(claimsOf(id), await secretOf(), 'HS512'),
    },
    {
      what: 'that is another kind of token',
      code: 'invalid_quote',
      change: async (id) => sign(claimsOf(id), await secretOf(), 'HS256', 'JWT'),
    },
    {
      what: 'whose prices were changed',
      code: 'invalid_quote',
      change: (id) => {
        const [head, , signature] = id.split('.')
        return [
          head,
          Buffer.from(JSON.stringify({ ...claimsOf(id), factors: ['0', '1'] })).toString('base64url'),
          signature,
        ].join('.')
      },
    },
    {
      what: 'that is not signed at all',
      code: 'invalid_quote',
      change: (id) => `${Buffer.from('{"alg":"none","typ":"quote"}').toString('base64url')}.${id.split('.')[1]}.`,
    },
    { what: 'that is a word', code: 'invalid_quote', change: () => 'cheap' },
    { what: 'that is empty', code: 'invalid_quote', change: () => '' },
    { what: 'that is longer than any', code: 'invalid_quote', change: (id) => `${id}${'A'.repeat(9_000)}` },
    { what: 'that is two', code: 'invalid_quote', change: (id) => `${id}, ${id}` },
    {
      what: 'for another body',
      code: 'quote_of_another_request',
      change: (id) => id,
      asks: { ...body, max_tokens: 5 },
    },
    {
      what: 'for another model',
      code: 'quote_of_another_request',
      change: (id) => id,
      asks: { ...body, model: 'fell' },
    },
    { what: 'for a stream', code: 'quote_of_another_request', change: (id) => id, asks: { ...body, stream: true } },
    { what: 'for another power level', code: 'quote_of_another_level', change: (id) => id, level: 'eco' },
    {
      what: 'of another list of prices',
      code: 'quote_void',
      change: async (id) => sign({ ...claimsOf(id), list: 'genai-prices@0.0.1' }, await secretOf()),
    },
  ])(
    'A quote is refused before anything is held, and nobody is called: $what: $code',
    async ({ code, change, asks = body, level }) => {
      const { keys, id: org } = await seed()
      const { quote } = await quoteFor(keys.alice, body)
      const before = product.upstream.requests.length
      const headers = {
        'X-Tollgate-Quote': await change(quote.quote_id),
        ...(level === undefined ? {} : { 'X-Power-Level': level }),
      }
      const answer = await postChat(product.tollgate, keys.alice, asks, { headers })
      expect([answer.status, (answer.json().error as { code: string }).code]).toEqual([400, code])
      expect(answer.headers.get('x-should-retry')).toBe('false')
      expect(product.upstream.requests.length).toBe(before)
      expect(await balanceOf(product.db.pool, org, 'alice')).toMatchObject({ used: '0.000000', held: '0.000000' })
      const { rows } = await product.db.pool.query(
        'select count(*)::int as holds from tollgate.ledger_holds where org_id = $1',
        [org],
      )
      expect(rows).toEqual([{ holds: 0 }])
    },
  )

  test('A quote of another user, and of another organization with a user of that name, is refused before anything is held.', async () => {
    const [acme, globex] = [await seed(), await seed()]
    const { quote } = await quoteFor(acme.keys.alice, body)
    for (const key of [acme.keys.bob, globex.keys.alice]) {
      const answer = await postChat(product.tollgate, key, body, withQuote(quote.quote_id))
      expect([answer.status, (answer.json().error as { code: string }).code]).toEqual([400, 'quote_of_another_caller'])
    }
  })
})
