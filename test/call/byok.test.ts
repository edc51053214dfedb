/** Calls by the caller's own key: whose key goes out by plan, what is charged (nothing), what is recorded (the true cost), what falls back. */
import { describe, expect, onTestFinished, test, vi } from 'vitest'
import { goodKey, keyless, ROOT_KEY, useKeysProduct } from '../api/keys-product.ts'
import { expectBookedRows, recovered } from '../support/booked-rows.ts'
import { balanceOf, rowOfCall, rowsOf } from '../support/call-books.ts'
import { rowOfRequest } from '../support/call-row.ts'
import type { SeededOrganization } from '../support/database.ts'
import { expectRefusal } from '../support/error-shape.ts'
import { openCall } from '../support/open-call.ts'
import { type CallAnswer, configFor, MASTER_KEY, postChat, startTollgate } from '../support/tollgate.ts'
import { chat, chatAnswer, chatStream, errorAnswer, rawStream, type Script, sse } from '../support/upstream-answers.ts'

const PLATFORM_KEY = 'sk-proj-of-the-platform'
const OWN_KEY = goodKey('openai')
const PRICED = { input_cost_per_token: 0, output_cost_per_token: 0.00002 }

const product = useKeysProduct(
  (url) => ({
    models: [
      keyless('priced', 'openai/exact', url, PRICED),
      keyless('mini', 'openai/gpt-4o-mini', url),
      keyless('router', 'openrouter/openai/gpt-4o-mini', url),
      keyless('unpriced', 'openai/nobody-knows-what-it-costs', url),
      keyless('written', 'openai/exact', url, { ...PRICED, api_key: 'sk-written-here' }),
      keyless('foreign', 'openai/exact', url.replace('127.0.0.1', '0.0.0.0'), {
        ...PRICED,
        api_key: 'sk-of-that-server',
      }),
      keyless('account', 'openai/exact', url, {
        ...PRICED,
        organization: 'org-of-the-operator',
        extra_headers: { 'OpenAI-Project': 'proj_operator', Authorization: 'Bearer operator', 'X-Title': 'Tollgate' },
      }),
      keyless('pair', 'openai/exact', url, { ...PRICED, weight: 100_000_000 }),
      { ...keyless('pair', 'openai/exact', url, { ...PRICED, weight: 1 }), model_info: { id: 'pair-second' } },
      { model_name: 'canned', litellm_params: { model: 'openai/exact', mock_response: 'Hello', ...PRICED } },
    ],
    router_settings: { num_retries: 1, disable_cooldowns: true },
  }),
  { OPENAI_API_KEY: PLATFORM_KEY, OPENROUTER_API_KEY: 'sk-or-v1-of-the-platform' },
)

type Plan = 'platform' | 'byok' | 'hybrid'
type Org = SeededOrganization<'alice' | 'bob'>

/** Alice is its owner. */
function organization(plan: Plan, allocated: number | string = 50): Promise<Org> {
  return product.db.seedOrganization({ plan, credits: 1_000, users: { alice: allocated, bob: allocated } })
}

async function bring(org: Org, apiKey = OWN_KEY, more: Record<string, unknown> = {}): Promise<void> {
  const body = { provider: apiKey.startsWith('sk-or') ? 'openrouter' : 'openai', api_key: apiKey, ...more }
  expect((await product.send('POST', '/api/v1/llm/byok/keys', body, org.keys.alice)).status).toBe(200)
}

const ask = (model: string, stream: boolean, more: object = {}) => ({
  model,
  stream,
  max_tokens: 100,
  messages: [{ role: 'user', content: 'Go on' }],
  ...(stream ? { stream_options: { include_usage: true } } : {}),
  ...more,
})

/** What the provider was sent as a key by each call since, in order. */
function keysSince(before: number): (string | undefined)[] {
  return product.upstream.requests.slice(before).map(({ headers }) => headers.authorization?.replace('Bearer ', ''))
}

/** Answers by the key the call came with. */
function respondByKey(scripts: Record<string, Script>): void {
  product.upstream.respond(({ headers, json }) => {
    const script = scripts[headers.authorization?.replace('Bearer ', '') ?? '']
    if (script !== undefined) return script
    return json?.stream === true ? chatStream({ model: 'exact' }) : chatAnswer({ model: 'exact' })
  })
}

const rejected = errorAnswer(401, { message: 'Incorrect API key provided', code: 'invalid_api_key' })
const noMoney = errorAnswer(429, { message: 'You exceeded your current quota', code: 'insufficient_quota' })
const tooOften = errorAnswer(429, { message: 'Rate limit reached', code: 'rate_limit_exceeded' })
const broken = errorAnswer(500, { message: 'boom' })

const usageFrame = (body: string) => {
  const frames = body.split('\n\n').filter((frame) => frame.includes('"usage":{'))
  return JSON.parse((frames.at(-1) ?? 'data: {}').slice('data: '.length)) as { usage?: Record<string, unknown> }
}
const usageOf = (answer: CallAnswer, stream: boolean) =>
  (stream ? usageFrame(answer.body) : (answer.json() as { usage?: Record<string, unknown> })).usage

/** How often the operator was told that a provider rejects the platform's key. */
const alarms = () => product.tollgate.output().split('THE PROVIDER REJECTS OUR ACCOUNT').length - 1

/** 5 output tokens at $0.00002, on the platform plan and on hybrid with 50 % on top: 0.15 credits. */
const CHARGED = '0.150000'
const COST = '0.000100000'

describe.each([
  ['JSON', false],
  ['stream', true],
])('%s: whose key goes out', (_, stream) => {
  test.each([
    // plan, own key, key that goes out, charge, byok
    ['platform', false, PLATFORM_KEY, CHARGED],
    ['platform', true, PLATFORM_KEY, CHARGED],
    ['byok', true, OWN_KEY, '0.000000'],
    ['hybrid', false, PLATFORM_KEY, CHARGED],
    ['hybrid', true, OWN_KEY, '0.000000'],
  ] as const)('Plan %s, own key stored %s: %s.', async (plan, brings, sent, charged) => {
    const { db, upstream, tollgate } = product
    const org = await organization(plan)
    if (brings) await bring(org)
    respondByKey({})
    const before = upstream.requests.length
    const answer = await postChat(tollgate, org.keys.alice, ask('priced', stream))
    expect(answer.status).toBe(200)
    expect(keysSince(before)).toEqual([sent])
    const own = sent === OWN_KEY
    expect(answer.headers.get('x-byok')).toBe(String(own))
    expect(answer.headers.get('x-byok-provider')).toBe(own ? 'openai' : null)
    if (!stream) {
      expect(answer.headers.get('x-cost-incurred')).toBe(charged)
      expect(answer.headers.get('x-credits-used')).toBe(charged)
      expect(answer.headers.get('x-litellm-response-cost')).toBe(own ? '0' : '0.00015')
      expect(answer.headers.get('x-credits-remaining')).toBe(own ? '50.000' : '49.850')
    }
    expect(usageOf(answer, stream)).toEqual({
      prompt_tokens: 11,
      completion_tokens: 5,
      total_tokens: 16,
      ...(own ? {} : { cost: 0.00015 }),
    })
    const row = await rowOfCall(db.pool, answer.headers.get('x-litellm-call-id'))
    expect(row).toMatchObject({
      credits_used: charged,
      api_cost: COST,
      markup_applied: own ? '0.000000000' : '0.000050000',
      provenance: 'provider_usage',
      outcome: 'answered',
    })
    expect(row.details.byok).toBe(own ? true : undefined)
    expect(row.details.key_owner).toBe(own ? 'user' : undefined)
    expect(await balanceOf(db.pool, org.id, 'alice')).toEqual(
      own
        ? { used: '0.000000', remaining: '50.000000', held: '0.000000' }
        : { used: '0.150000', remaining: '49.850000', held: '0.000000' },
    )
  })

  test('Plan byok without a key of the caller’s is refused by name, and nothing goes out.', async () => {
    const { db, upstream, tollgate } = product
    const org = await organization('byok')
    const before = upstream.requests.length
    const answer = await postChat(tollgate, org.keys.alice, ask('priced', stream))
    const message = expectRefusal(answer, { status: 403, code: 'byok_key_missing', type: 'permission_error' })
    expect(message).toContain('OpenAI')
    expect(upstream.requests).toHaveLength(before)
    expect(await rowsOf(db.pool, org.id)).toEqual([])
  })

  test.each([
    ['past_due', 403],
    ['paused', 403],
    ['canceled', 403],
    ['trialing', 200],
    ['active', 200],
  ] as const)('Plan byok that is %s: %i, and never the operator’s key.', async (status, expected) => {
    const { db, upstream, tollgate } = product
    const org = await organization('byok')
    await db.pool.query('update organization_subscriptions set status = $2 where org_id = $1', [org.id, status])
    await bring(org)
    respondByKey({})
    const before = upstream.requests.length
    const answer = await postChat(tollgate, org.keys.alice, ask('priced', stream))
    expect(answer.status).toBe(expected)
    expect(keysSince(before)).toEqual(expected === 200 ? [OWN_KEY] : [])
    if (expected === 200) return
    const message = expectRefusal(answer, { status: 403, code: 'plan_inactive', type: 'permission_error' })
    expect(message).toContain(status)
    expect(await rowsOf(db.pool, org.id)).toEqual([])
  })

  test('Plan hybrid that is past_due is refused where its own key would have paid, and served by credits where it has none.', async () => {
    const { db, upstream, tollgate } = product
    const org = await organization('hybrid')
    await db.pool.query(`update organization_subscriptions set status = 'past_due' where org_id = $1`, [org.id])
    respondByKey({})
    const served = await postChat(tollgate, org.keys.alice, ask('priced', stream))
    expect([served.status, served.headers.get('x-byok')]).toEqual([200, 'false'])
    await bring(org)
    const before = upstream.requests.length
    const answer = await postChat(tollgate, org.keys.alice, ask('priced', stream))
    expectRefusal(answer, { status: 403, code: 'plan_inactive', type: 'permission_error' })
    expect(upstream.requests).toHaveLength(before)
  })

  test('A caller’s own key needs no credits.', async () => {
    const { tollgate } = product
    for (const plan of ['byok', 'hybrid'] as const) {
      const org = await organization(plan, 0)
      await bring(org)
      respondByKey({})
      const answer = await postChat(tollgate, org.keys.alice, ask('priced', stream))
      expect([answer.status, answer.headers.get('x-byok')]).toEqual([200, 'true'])
    }
  })

  test('A caller’s own key pays for a model without a known price, and the row says so.', async () => {
    const { db, tollgate } = product
    const org = await organization('byok')
    await bring(org)
    product.upstream.respond(chat({ model: 'nobody-knows-what-it-costs' }))
    const answer = await postChat(tollgate, org.keys.alice, ask('unpriced', stream))
    expect(answer.status).toBe(200)
    const row = await rowOfCall(db.pool, answer.headers.get('x-litellm-call-id'))
    expect(row).toMatchObject({ credits_used: '0.000000', api_cost: '0.000000000', markup_applied: '0.000000000' })
    expect(row.details).toMatchObject({ price: 'unknown', note: 'api_cost is 0: no price is known for this model' })
    const platform = await organization('platform')
    expectRefusal(await postChat(tollgate, platform.keys.alice, ask('unpriced', stream)), {
      status: 400,
      code: 'unknown_price',
      param: 'model',
    })
  })

  test.each([
    ['a bill of 0.0123 dollars', 0.0123, '0.012300000', 'provider_cost'],
    ['a bill of nothing', 0, '0.000000000', 'provider_cost'],
    ['a bill beyond belief', 999_999, '999999.000000000', 'provider_cost'],
    ['no bill', undefined, '0.000004650', 'provider_usage'],
  ])('The provider’s %s is what is recorded, and stays in the response.', async (_name, cost, apiCost, provenance) => {
    const { db, tollgate } = product
    const org = await organization('hybrid')
    await bring(org, goodKey('openrouter'))
    const usage = { prompt_tokens: 11, completion_tokens: 5, total_tokens: 16, ...(cost === undefined ? {} : { cost }) }
    product.upstream.respond(chat({ model: 'openai/gpt-4o-mini', usage }))
    const answer = await postChat(tollgate, org.keys.alice, ask('router', stream))
    expect(answer.headers.get('x-byok-provider')).toBe('openrouter')
    expect(usageOf(answer, stream)).toEqual(usage)
    const row = await rowOfCall(db.pool, answer.headers.get('x-litellm-call-id'))
    expect(row).toMatchObject({
      credits_used: '0.000000',
      markup_applied: '0.000000000',
      api_cost: apiCost,
      provenance,
    })
    expect(await balanceOf(db.pool, org.id, 'alice')).toMatchObject({ used: '0.000000', remaining: '50.000000' })
  })

  test('Impossible numbers move no credits and break no books.', async () => {
    const { db, tollgate } = product
    const org = await organization('byok')
    await bring(org)
    const most = 1e12
    const usage = { prompt_tokens: 11, completion_tokens: most - 11, total_tokens: most }
    product.upstream.respond(chat({ model: 'exact', usage }))
    const answer = await postChat(tollgate, org.keys.alice, ask('priced', stream))
    const row = await rowOfCall(db.pool, answer.headers.get('x-litellm-call-id'))
    expect(row).toMatchObject({ credits_used: '0.000000', api_cost: '0.000000000', provenance: 'provider_usage' })
    expect(row.details.note).toBe("api_cost is 0: the provider's numbers are beyond belief")
  })

  test.each([
    ['byok', rejected, { status: 403, code: 'byok_key_rejected', type: 'permission_error' }],
    ['byok', noMoney, { status: 402, code: 'byok_quota_exceeded', type: 'insufficient_quota' }],
  ] as const)(
    'Plan %s: the caller is told what the provider says of the caller’s own key.',
    async (plan, script, refusal) => {
      const { db, upstream, tollgate } = product
      const org = await organization(plan)
      await bring(org)
      respondByKey({ [OWN_KEY]: script })
      const before = upstream.requests.length
      const heard = alarms()
      const answer = await postChat(tollgate, org.keys.alice, ask('priced', stream))
      expectRefusal(answer, refusal)
      expect(answer.headers.get('x-should-retry')).toBe('false')
      expect(keysSince(before)).toEqual([OWN_KEY])
      const row = await rowOfCall(db.pool, answer.headers.get('x-litellm-call-id'))
      expect(row).toMatchObject({ credits_used: '0.000000', outcome: 'failed' })
      expect(row.details).toMatchObject({ byok: true })
      expect(alarms()).toBe(heard)
    },
  )

  test.each([
    ['rejected', rejected],
    ['without money', noMoney],
    ['called too often', tooOften],
  ])('Hybrid: where the own key is %s the platform’s pays, and the caller for it.', async (_name, script) => {
    const { db, upstream, tollgate } = product
    const org = await organization('hybrid')
    await bring(org)
    respondByKey({ [OWN_KEY]: script })
    const before = upstream.requests.length
    const answer = await postChat(tollgate, org.keys.alice, ask('priced', stream))
    expect(answer.status).toBe(200)
    expect(keysSince(before)).toEqual([OWN_KEY, PLATFORM_KEY])
    expect(answer.headers.get('x-byok')).toBe('false')
    expect(answer.headers.get('x-litellm-attempted-fallbacks')).toBe('1')
    const row = await rowOfCall(db.pool, answer.headers.get('x-litellm-call-id'))
    // Held before it went out: 100 tokens at 0.03 credits.
    expect(row).toMatchObject({ credits_used: CHARGED, api_cost: COST })
    expect(row.details).toMatchObject({ held: '3', markup_percent: 50 })
    expect(await balanceOf(db.pool, org.id, 'alice')).toMatchObject({ used: '0.150000' })
  })

  test('Hybrid: a call that credits can’t cover is not made, and the caller is told of their own key.', async () => {
    const { db, upstream, tollgate } = product
    // The least worth starting for is 100 tokens: 3 credits.
    const org = await organization('hybrid', '2.999999')
    await bring(org)
    respondByKey({ [OWN_KEY]: rejected })
    const before = upstream.requests.length
    const answer = await postChat(tollgate, org.keys.alice, ask('priced', stream))
    expectRefusal(answer, { status: 403, code: 'byok_key_rejected' })
    expect(keysSince(before)).toEqual([OWN_KEY])
    expect(await balanceOf(db.pool, org.id, 'alice')).toMatchObject({ used: '0.000000', remaining: '2.999999' })
  })

  test('Hybrid: where both keys are rejected, the operator hears of the platform’s, and so does the caller.', async () => {
    const { db, upstream, tollgate } = product
    const org = await organization('hybrid')
    await bring(org)
    respondByKey({ [OWN_KEY]: rejected, [PLATFORM_KEY]: rejected })
    const before = upstream.requests.length
    const heard = alarms()
    const answer = await postChat(tollgate, org.keys.alice, ask('priced', stream))
    expectRefusal(answer, { status: 503, code: 'provider_account' })
    expect(keysSince(before)).toEqual([OWN_KEY, PLATFORM_KEY])
    await vi.waitFor(() => expect(alarms()).toBe(heard + 1))
    expect(await balanceOf(db.pool, org.id, 'alice')).toMatchObject({ used: '0.000000', held: '0.000000' })
  })

  test('Hybrid: when a provider fails, another deployment is called with the caller’s own key, never at the caller’s cost.', async () => {
    const { db, upstream, tollgate } = product
    const org = await organization('hybrid')
    await bring(org)
    respondByKey({ [OWN_KEY]: broken })
    const before = upstream.requests.length
    const answer = await postChat(tollgate, org.keys.alice, ask('pair', stream))
    expectRefusal(answer, { status: 503, code: 'provider_failed' })
    expect(keysSince(before)).toEqual([OWN_KEY, OWN_KEY])
    expect(await balanceOf(db.pool, org.id, 'alice')).toMatchObject({ used: '0.000000' })
  })

  test('Hybrid: an own key that one deployment rejected is not tried at the others.', async () => {
    const { upstream, tollgate } = product
    const org = await organization('hybrid')
    await bring(org)
    respondByKey({ [OWN_KEY]: rejected })
    const before = upstream.requests.length
    expect((await postChat(tollgate, org.keys.alice, ask('pair', stream))).status).toBe(200)
    expect(keysSince(before)).toEqual([OWN_KEY, PLATFORM_KEY])
  })
})

describe('X-BYOK says who paid in the end', () => {
  const begun = [sse({ model: 'exact', choices: [{ index: 0, delta: { role: 'assistant', content: '' } }] })]
  const rejects = sse({ error: { message: 'Invalid key', code: 'invalid_api_key', status_code: 401 } })

  test('X-BYOK says who paid in the end of a stream that began with the own key and was served by the platform’s.', async () => {
    const { db, tollgate } = product
    const org = await organization('hybrid')
    await bring(org)
    respondByKey({ [OWN_KEY]: rawStream([...begun, rejects]) })
    const answer = await postChat(tollgate, org.keys.alice, ask('priced', true))
    expect(answer.status).toBe(200)
    expect(answer.headers.get('x-byok')).toBe('false')
    expect(answer.headers.get('x-byok-provider')).toBeNull()
    const row = await rowOfCall(db.pool, answer.headers.get('x-litellm-call-id'))
    expect(row).toMatchObject({ credits_used: CHARGED })
    expect(row.details).not.toHaveProperty('byok')
  })

  test('X-BYOK says nothing where the head leaves before it is known who pays.', { timeout: 20_000 }, async () => {
    const { tollgate } = product
    const org = await organization('hybrid')
    await bring(org)
    const { promise: later, resolve } = Promise.withResolvers<void>()
    respondByKey({ [OWN_KEY]: rawStream([...begun, rejects], { gate: (i) => (i === 1 ? later : undefined) }) })
    setTimeout(resolve, 5_500)
    const answer = await postChat(tollgate, org.keys.alice, ask('priced', true))
    expect(answer.body).toContain(': keep-alive')
    for (const name of ['x-byok', 'x-byok-provider', 'x-provider-used', 'x-litellm-attempted-fallbacks'])
      expect(answer.headers.get(name), name).toBeNull()
    expect(answer.body).toContain('data: [DONE]')
  })
})

describe('which of the caller’s own keys pays', () => {
  test('The user’s own key comes before the organization’s, which serves everybody who has none.', async () => {
    const { upstream, tollgate } = product
    const org = await organization('byok')
    const shared = `${OWN_KEY}-of-the-organization`
    await bring(org, shared, { scope: 'organization' })
    respondByKey({})
    const before = upstream.requests.length
    const first = await postChat(tollgate, org.keys.alice, ask('priced', false))
    await bring(org)
    await postChat(tollgate, org.keys.alice, ask('priced', false))
    await postChat(tollgate, org.keys.bob, ask('priced', false))
    expect(keysSince(before)).toEqual([shared, OWN_KEY, shared])
    const row = await rowOfCall(product.db.pool, first.headers.get('x-litellm-call-id'))
    expect(row.details.key_owner).toBe('organization')
  })

  test('A key that is switched off is not used.', async () => {
    const { upstream, tollgate } = product
    const org = await organization('hybrid')
    await bring(org)
    await product.send('POST', '/api/v1/llm/byok/keys/openai/toggle', { enabled: false }, org.keys.alice)
    respondByKey({})
    const before = upstream.requests.length
    await postChat(tollgate, org.keys.alice, ask('priced', false))
    await product.send('POST', '/api/v1/llm/byok/keys/openai/toggle', { enabled: true }, org.keys.alice)
    await postChat(tollgate, org.keys.alice, ask('priced', false))
    expect(keysSince(before)).toEqual([PLATFORM_KEY, OWN_KEY])
  })

  test('A caller’s own key comes before what config.yaml says of the platform’s.', async () => {
    const { upstream, tollgate } = product
    const org = await organization('hybrid')
    await bring(org)
    respondByKey({})
    const before = upstream.requests.length
    await postChat(tollgate, org.keys.alice, ask('written', false))
    expect(keysSince(before)).toEqual([OWN_KEY])
  })

  test('A caller’s own key is never sent to a server of the operator’s.', async () => {
    const { upstream, tollgate } = product
    const byok = await organization('byok')
    await bring(byok)
    const before = upstream.requests.length
    expectRefusal(await postChat(tollgate, byok.keys.alice, ask('foreign', false)), {
      status: 403,
      code: 'byok_not_possible',
      param: 'model',
    })
    respondByKey({})
    const hybrid = await organization('hybrid')
    await postChat(tollgate, hybrid.keys.alice, ask('foreign', false))
    expect(keysSince(before)).toEqual(['sk-of-that-server'])
  })

  test('The operator’s account does not go along with a caller’s own key.', async () => {
    const { upstream, tollgate } = product
    const org = await organization('byok')
    await bring(org)
    respondByKey({})
    await postChat(tollgate, org.keys.alice, ask('account', false))
    const { headers } = upstream.requests.at(-1) ?? { headers: {} }
    expect(headers).toMatchObject({ authorization: `Bearer ${OWN_KEY}`, 'x-title': 'Tollgate' })
    expect(headers).not.toHaveProperty('openai-project')
    expect(headers).not.toHaveProperty('openai-organization')
  })

  test('The master key’s caller is served by the platform.', async () => {
    const { upstream, tollgate } = product
    await product.send('POST', '/api/v1/llm/byok/keys', { provider: 'openai', api_key: OWN_KEY })
    respondByKey({})
    const before = upstream.requests.length
    const answer = await postChat(tollgate, MASTER_KEY, ask('priced', false))
    expect(answer.headers.get('x-byok')).toBe('false')
    expect(keysSince(before)).toEqual([PLATFORM_KEY])
  })

  test('A canned response calls no provider, on every plan.', async () => {
    const org = await organization('byok')
    const answer = await postChat(product.tollgate, org.keys.alice, ask('canned', false))
    expect([answer.status, answer.headers.get('x-byok')]).toEqual([200, 'false'])
  })
})

test('No cap is put on what the caller’s own account pays.', async () => {
  const org = await organization('byok')
  await bring(org)
  respondByKey({})
  const answer = await postChat(product.tollgate, org.keys.alice, ask('priced', false, { max_tokens: undefined }))
  expect(answer.headers.get('x-max-tokens-applied')).toBeNull()
  const { json } = product.upstream.requests.at(-1) ?? { json: null }
  expect(json).not.toHaveProperty('max_completion_tokens')
  expect(json).not.toHaveProperty('max_tokens')
})

test('A caller who leaves in mid-stream leaves a row without a charge.', async () => {
  const { db, upstream, tollgate } = product
  const org = await organization('byok')
  await bring(org)
  let go = () => {}
  const gate = new Promise<void>((resolve) => {
    go = resolve
  })
  upstream.respond(chatStream({ model: 'exact', text: ['a', 'b', 'c'], gate: (i) => (i === 2 ? gate : undefined) }))
  const call = openCall(tollgate, org.keys.alice, ask('priced', true))
  await call.frames(2)
  call.leave()
  const row = await rowOfRequest(product, call.requestId)
  go()
  expect(row).toMatchObject({ credits_used: '0.000000', markup_applied: '0.000000000', outcome: 'client_disconnected' })
  expect(row.details.byok).toBe(true)
  expect(await balanceOf(db.pool, org.id, 'alice')).toMatchObject({ used: '0.000000', held: '0.000000' })
})

test('A process that dies in the middle of a BYOK call leaves a row without a charge.', async () => {
  const { db, upstream } = product
  const org = await organization('hybrid')
  await bring(org)
  const config = configFor(upstream.url, {
    models: [keyless('priced', 'openai/exact', upstream.url, PRICED)],
    tollgate: { leases: { renew_seconds: 0.5, dead_after_seconds: 1 } },
  })
  const start = async () => {
    const tollgate = await startTollgate({ databaseUrl: db.url, config, env: { TOLLGATE_ROOT_KEY: ROOT_KEY } })
    onTestFinished(async () => {
      tollgate.kill()
      await tollgate.exited
    })
    return tollgate
  }
  const [victim] = [await start(), await start()]
  upstream.respond(chatStream({ model: 'exact', gate: (i) => (i === 2 ? new Promise(() => {}) : undefined) }))
  const call = openCall(victim, org.keys.alice, ask('priced', true))
  await call.frames(2)
  await vi.waitFor(async () => {
    const { rows } = await db.pool.query(
      'select held_credits as held, checkpoint_credits as noted from tollgate.ledger_holds where request_id = $1',
      [call.requestId],
    )
    expect(rows).toEqual([{ held: '0.000000', noted: '0.000000' }])
  })
  victim.kill()
  await expectBookedRows(db.pool, call, [recovered('0.000000')])
  expect(await balanceOf(db.pool, org.id, 'alice')).toMatchObject({ used: '0.000000', remaining: '50.000000' })
})

test('Where little is left, a call that falls back from the caller’s key to ours is covered at a token a byte.', async () => {
  const { upstream, tollgate } = product
  // Some 1 250 tokens by the fast estimate, 0.29 credits; 5 000 bytes are 1.13.
  const call = ask('mini', false, { max_tokens: 1, messages: [{ role: 'user', content: 'word '.repeat(1_000) }] })
  for (const [credits, sent] of [
    ['1.1', [OWN_KEY]],
    ['10', [OWN_KEY, PLATFORM_KEY]],
  ] as const) {
    const org = await organization('hybrid', credits)
    await bring(org)
    respondByKey({ [OWN_KEY]: rejected })
    const before = upstream.requests.length
    expect((await postChat(tollgate, org.keys.alice, call)).status).toBe(sent.length === 1 ? 403 : 200)
    expect(keysSince(before)).toEqual(sent)
  }
})

test("Another organization's user of the same name has another key.", async () => {
  const own = await organization('byok')
  await bring(own)
  const other = await organization('byok')
  const before = product.upstream.requests.length
  const answer = await postChat(product.tollgate, other.keys.alice, ask('priced', false))
  expectRefusal(answer, { status: 403, code: 'byok_key_missing' })
  expect(product.upstream.requests).toHaveLength(before)
  const listed = await product.send('GET', '/api/v1/llm/byok/keys', undefined, other.keys.alice)
  expect(JSON.parse(listed.body)).toEqual({ providers: [] })
})
