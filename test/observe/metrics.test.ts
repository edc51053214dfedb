/** /metrics says what happened, in the numbers of the books, and is read by nobody else. */
import { expect, onTestFinished, test, vi } from 'vitest'
import { createMetricsAccess } from '../../src/observe/metrics-access.ts'
import { rowsOf } from '../support/call-books.ts'
import { openCall } from '../support/open-call.ts'
import { useProduct } from '../support/product.ts'
import { startTcpProxy } from '../support/tcp-proxy.ts'
import { configFor, get, MASTER_KEY, postChat, startTollgate } from '../support/tollgate.ts'
import { chat, chatAnswer, errorAnswer } from '../support/upstream-answers.ts'
import { growth, scrape } from './samples.ts'

const product = useProduct(() => ({ litellm_settings: { num_retries: 0 } }))
const HELLO = { model: 'gpt-4o-mini', messages: [{ role: 'user', content: 'Say hello' }] }

test('Calls, tokens and credits are what the books say.', async () => {
  const { tollgate, upstream, db } = product
  const acme = await db.seedOrganization({ credits: 1_000, users: { alice: 500 } })
  const before = await scrape(tollgate)
  upstream.respond(chat())
  await postChat(tollgate, acme.keys.alice, HELLO)
  await postChat(tollgate, acme.keys.alice, { ...HELLO, stream: true })
  const usage = {
    prompt_tokens: 1_000,
    completion_tokens: 70,
    total_tokens: 1_070,
    prompt_tokens_details: { cached_tokens: 300 },
    completion_tokens_details: { reasoning_tokens: 50 },
  }
  upstream.respond(chatAnswer({ usage }))
  await postChat(tollgate, acme.keys.alice, HELLO)

  const after = await scrape(tollgate)
  const rows = await rowsOf(db.pool, acme.id)
  // Two of 11 and 5 tokens, (11 x 150 + 5 x 600) x 1.5; one of 700 x 150 + 300 x 75 + 70 x 600, x 1.5
  expect(rows.map(({ credits_used }) => credits_used)).toEqual(['0.006975', '0.006975', '0.254250'])
  expect(
    growth(before, after, 'tollgate_calls_total', 'tollgate_tokens_total', 'tollgate_credits_charged_total'),
  ).toEqual({
    'tollgate_calls_total{provider="openai",outcome="answered",stream="false"}': 2,
    'tollgate_calls_total{provider="openai",outcome="answered",stream="true"}': 1,
    'tollgate_tokens_total{provider="openai",kind="input"}': 722,
    'tollgate_tokens_total{provider="openai",kind="cache_read"}': 300,
    'tollgate_tokens_total{provider="openai",kind="output"}': 30,
    'tollgate_tokens_total{provider="openai",kind="reasoning"}': 50,
    'tollgate_credits_charged_total{provider="openai",provenance="provider_usage"}': 0.2682,
  })
  expect(growth(before, after, 'tollgate_errors_total')).toEqual({})
  for (const [series, count] of [
    ['tollgate_hold_duration_seconds_count', 3],
    ['tollgate_settle_seconds_count', 3],
    ['tollgate_overhead_seconds_count', 3],
    ['tollgate_first_byte_seconds_count{provider="openai"}', 1],
    ['tollgate_batch_size_sum{kind="hold"}', 3],
    ['tollgate_batch_size_sum{kind="close"}', 3],
  ] as const)
    expect(after.get(series)! - (before.get(series) ?? 0), series).toBe(count)
})

test('What is refused and what fails is counted once, by a code of ours.', async () => {
  const { tollgate, upstream, db } = product
  const acme = await db.seedOrganization({ credits: 1_000, users: { alice: 500, bob: 0 } })
  const before = await scrape(tollgate)
  await postChat(tollgate, null, HELLO)
  await postChat(tollgate, acme.keys.alice, { ...HELLO, model: 'none-such' })
  await postChat(tollgate, acme.keys.bob, HELLO)
  await get(tollgate, null, '/none-such')
  for (const status of [400, 500]) {
    upstream.respond(errorAnswer(status, { message: 'no', code: 'whatever_a_provider_likes' }))
    for (const stream of [false, true]) await postChat(tollgate, acme.keys.alice, { ...HELLO, stream })
  }
  expect(growth(before, await scrape(tollgate), 'tollgate_errors_total', 'tollgate_calls_total')).toEqual({
    'tollgate_errors_total{code="missing_api_key"}': 1,
    'tollgate_errors_total{code="model_not_found"}': 1,
    'tollgate_errors_total{code="insufficient_credits"}': 1,
    'tollgate_errors_total{code="route_not_found"}': 1,
    'tollgate_errors_total{code="provider_bad_request"}': 2,
    'tollgate_errors_total{code="provider_failed"}': 2,
    'tollgate_calls_total{provider="openai",outcome="failed",stream="false"}': 2,
    'tollgate_calls_total{provider="openai",outcome="failed",stream="true"}': 2,
  })
})

test('Usage that does not add up and charges beyond belief are counted.', async () => {
  const { tollgate, upstream, db } = product
  const acme = await db.seedOrganization({ credits: 100_000, users: { alice: 50_000 } })
  const before = await scrape(tollgate)
  upstream.respond(chatAnswer({ usage: { prompt_tokens: 11, completion_tokens: 5, total_tokens: 99 } }))
  await postChat(tollgate, acme.keys.alice, HELLO)
  const absurd = { prompt_tokens: 11, completion_tokens: 50_000_000, total_tokens: 50_000_011 }
  upstream.respond(chatAnswer({ usage: absurd }))
  await postChat(tollgate, acme.keys.alice, { ...HELLO, max_tokens: 100 })
  expect(growth(before, await scrape(tollgate), 'tollgate_usage_mism', 'tollgate_disputed')).toEqual({
    'tollgate_usage_mismatches_total{provider="openai"}': 1,
    tollgate_disputed_total: 1,
  })
})

test('A running call is seen: its hold, and how old that is.', async () => {
  const { tollgate, upstream, db } = product
  const acme = await db.seedOrganization({ credits: 1_000, users: { alice: 500 } })
  const gate = Promise.withResolvers<void>()
  const seen = upstream.requests.length
  upstream.respond(chat({ beforeHead: gate.promise }))
  const call = openCall(tollgate, acme.keys.alice, HELLO)
  await upstream.received(seen + 1)
  const age = async () => {
    const { rows } = await db.pool.query<{ age: number }>(
      `select extract(epoch from tollgate.tollgate_now() - created_at)::float8 as age from tollgate.ledger_holds where state = 'open'`,
    )
    return rows[0]?.age ?? Number.NaN
  }
  const least = await age()
  const during = await scrape(tollgate)
  const most = await age()
  gate.resolve()
  await call.closed

  expect(during.get('tollgate_open_holds')).toBe(1)
  expect(during.get('tollgate_calls_in_flight')).toBe(1)
  expect(during.get('tollgate_open_hold_age_seconds_max')).toBeGreaterThanOrEqual(least)
  expect(during.get('tollgate_open_hold_age_seconds_max')).toBeLessThanOrEqual(most)
  const after = await scrape(tollgate)
  expect(after.get('tollgate_open_holds')).toBe(0)
  expect(after.get('tollgate_open_hold_age_seconds_max')).toBe(0)
})

test('While the database is silent a scrape answers without what only the database knows, and shows the spool.', async () => {
  const { upstream, db } = product
  const acme = await db.seedOrganization({ credits: 1_000, users: { alice: 500 } })
  const proxy = await startTcpProxy(db.url)
  onTestFinished(() => proxy.close())
  const tollgate = await startTollgate({
    databaseUrl: proxy.url,
    config: configFor(upstream.url, { tollgate: { limits: { booking_wait_seconds: 0.25 } } }),
  })
  onTestFinished(async () => {
    proxy.restore()
    await tollgate.stop()
  })
  const gate = Promise.withResolvers<void>()
  const seen = upstream.requests.length
  upstream.respond(chat({ beforeHead: gate.promise }))
  const call = postChat(tollgate, acme.keys.alice, HELLO)
  await upstream.received(seen + 1)
  proxy.stall()
  gate.resolve()
  expect((await call).headers.get('x-tollgate-settlement')).toBe('pending')

  const away = await scrape(tollgate)
  expect(away.get('tollgate_database_up')).toBe(0)
  expect(away.has('tollgate_open_holds')).toBe(false)
  expect(away.has('tollgate_open_hold_age_seconds_max')).toBe(false)
  expect(away.get('tollgate_spool_entries')).toBe(1)
  expect(away.get('tollgate_spool_oldest_seconds')).toBeGreaterThan(0.25)
  expect(away.get('tollgate_pending_settlements_total')).toBe(1)

  proxy.restore()
  await vi.waitFor(
    async () => {
      const back = await scrape(tollgate)
      expect(back.get('tollgate_database_up')).toBe(1)
      expect(back.get('tollgate_open_holds')).toBe(0)
      expect(back.get('tollgate_spool_entries')).toBe(0)
    },
    { timeout: 20_000, interval: 100 },
  )
})

const TOKEN = 'metrics-4b1d9e70c2f85a36'
const OTHER = 'sk-9d1e7b5c3a2f4860e1c7b9d5f3a18264c0'
const bearer = (key: string) => ({ authorization: `Bearer ${key}` })
test.for([
  { from: '127.0.0.1', headers: { host: '127.0.0.1:8084' }, open: true },
  { from: '::1', headers: { host: '[::1]:8084' }, open: true },
  { from: '::ffff:127.0.0.1', headers: { host: 'localhost' }, open: true },
  { from: '127.0.0.1', headers: { host: 'LOCALHOST:8084', accept: '*/*' }, open: true },
  // A name that resolves to here: a browser's page, or a proxy that keeps the host.
  { from: '127.0.0.1', headers: {}, open: false },
  { from: '127.0.0.1', headers: { host: '' }, open: false },
  { from: '127.0.0.1', headers: { host: 'tollgate.example' }, open: false },
  { from: '127.0.0.1', headers: { host: 'localhost.evil.example:8084' }, open: false },
  { from: '127.0.0.1', headers: { host: '127.0.0.1.nip.io' }, open: false },
  { from: '127.0.0.1', headers: { host: 'evil.example/localhost' }, open: false },
  { from: '192.0.2.1', headers: { host: 'localhost' }, open: false },
  ...[
    'x-forwarded-for',
    'x-forwarded-proto',
    'x-forwarded-server',
    'forwarded',
    'via',
    'x-real-ip',
    'true-client-ip',
  ].map((name) => ({ from: '127.0.0.1', headers: { host: 'localhost', [name]: '127.0.0.1' }, open: false })),
  ...[
    'cf-connecting-ip',
    'x-client-ip',
    'x-original-uri',
    'x-envoy-external-address',
    'x-amzn-trace-id',
    'cdn-loop',
  ].map((name) => ({ from: '127.0.0.1', headers: { host: 'localhost', [name]: '1' }, open: false })),
  { from: '127.0.0.1', headers: { 'x-forwarded-for': '192.0.2.1', ...bearer(TOKEN) }, open: true },
  { from: '192.0.2.1', headers: {}, open: false },
  { from: '::ffff:192.0.2.1', headers: {}, open: false },
  { from: undefined, headers: {}, open: false },
  { from: '192.0.2.1', headers: bearer(MASTER_KEY), open: true },
  { from: '192.0.2.1', headers: bearer(TOKEN), open: true },
  { from: '192.0.2.1', headers: bearer(OTHER), open: false },
  { from: '192.0.2.1', headers: bearer(''), open: false },
  { from: '192.0.2.1', headers: { authorization: TOKEN }, open: false },
])('A scrape from $from with $headers is let in: $open', ({ from, headers, open }) => {
  const access = createMetricsAccess({ masterKey: MASTER_KEY, token: TOKEN })
  const enter = () => access({ headers, socket: { remoteAddress: from } as never })
  if (open) expect(enter).not.toThrow()
  else expect(enter).toThrow(expect.objectContaining({ status: 401, code: 'metrics_key_required' }))
})

test('Without any key configured nobody else gets in, whatever they send.', () => {
  const access = createMetricsAccess({ masterKey: null, token: null })
  for (const headers of [{}, bearer(''), bearer('null'), bearer('undefined')])
    expect(() => access({ headers, socket: { remoteAddress: '192.0.2.1' } as never })).toThrow()
})

test('A forwarded request for the metrics needs a key, and its refusal has the envelope of every error.', async () => {
  const { tollgate } = product
  expect((await get(tollgate, null, '/metrics')).status).toBe(200)
  const forwarded = await fetch(`${tollgate.url}/metrics`, { headers: { 'x-forwarded-for': '192.0.2.1' } })
  expect(forwarded.status).toBe(401)
  expect(forwarded.headers.get('www-authenticate')).toBe('Bearer')
  expect(await forwarded.json()).toMatchObject({
    error: { code: 'metrics_key_required', type: 'authentication_error' },
    detail: expect.stringContaining('TOLLGATE_METRICS_TOKEN'),
  })
  expect(await statusFromAfar(tollgate.url, MASTER_KEY)).toBe(200)
})

async function statusFromAfar(url: string, key: string): Promise<number> {
  const answer = await fetch(`${url}/metrics`, { headers: { 'x-forwarded-for': '192.0.2.1', ...bearer(key) } })
  await answer.text()
  return answer.status
}

test('A metrics token that can be guessed stops the start; a good one opens /metrics and nothing else.', async () => {
  const { db, upstream } = product
  const start = (token: string) =>
    startTollgate({ databaseUrl: db.url, config: configFor(upstream.url), env: { TOLLGATE_METRICS_TOKEN: token } })
  await expect(start('fifteen-chars-x')).rejects.toThrow(
    /ended with 3 [\s\S]*TOLLGATE_METRICS_TOKEN is shorter than 16 characters/,
  )
  const tollgate = await start(TOKEN)
  onTestFinished(async () => void (await tollgate.stop()))
  expect(await statusFromAfar(tollgate.url, TOKEN)).toBe(200)
  expect(await statusFromAfar(tollgate.url, OTHER)).toBe(401)
  expect((await get(tollgate, TOKEN, '/v1/models')).status).toBe(401)
  expect((await postChat(tollgate, TOKEN, HELLO)).status).toBe(401)
})

test('No label tells who called or what was asked for.', async () => {
  const { tollgate, db, upstream } = product
  const acme = await db.seedOrganization({ name: 'label-organization', credits: 1_000, users: { 'label-user': 500 } })
  upstream.respond(chat({ model: 'label-served-model' }))
  await postChat(tollgate, acme.keys['label-user'], HELLO)
  await postChat(tollgate, acme.keys['label-user'], { ...HELLO, model: 'label-asked-model' })
  await get(tollgate, acme.keys['label-user'], '/label-path')
  const series = [...(await scrape(tollgate)).keys()].filter((name) => name.startsWith('tollgate_')).join('\n')
  for (const name of ['label-', 'gpt-4o-mini', acme.id, acme.keys['label-user']]) expect(series).not.toContain(name)
})
