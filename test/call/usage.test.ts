/** Where the price comes from: what the provider states, what is counted here when it states nothing usable, and whom not to believe. */
import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { serve } from '@hono/node-server'
import { expect, onTestFinished, test } from 'vitest'
import { PROVIDERS } from '../../providers/registry.ts'
import { createBodies } from '../../src/admission/bodies.ts'
import { createBoundsOf } from '../../src/admission/caller-bounds.ts'
import { createFetchBudget } from '../../src/admission/fetch-budget.ts'
import { createFindCredit } from '../../src/admission/find-credit.ts'
import { createProviderConnections } from '../../src/admission/provider-connections.ts'
import { createRateLimits } from '../../src/admission/rate-limits.ts'
import { createRateWindows } from '../../src/admission/rate-windows.ts'
import { createRefusedCalls } from '../../src/admission/refused-calls.ts'
import { createRunningCalls } from '../../src/admission/running-calls.ts'
import { createUnknownKeys } from '../../src/admission/unknown-keys.ts'
import { createApp } from '../../src/app.ts'
import { createCallQuotas } from '../../src/call/call-quota.ts'
import { createHiddenShares } from '../../src/call/hidden-shares.ts'
import { createQuotes } from '../../src/call/quotes.ts'
import { createUpstream } from '../../src/call/upstream.ts'
import { createUsualTiers } from '../../src/call/usual-tiers.ts'
import { loadConfig } from '../../src/config/load.ts'
import { createQuoteSecret } from '../../src/db/quote-secret.ts'
import { createKeptResponses } from '../../src/endpoints/responses/kept-responses.ts'
import { createAddressGuard } from '../../src/http/address-guard.ts'
import { createCors } from '../../src/http/cors.ts'
import { createClientOf } from '../../src/http/trusted-proxies.ts'
import { createIdentify } from '../../src/identity/identify.ts'
import { openPeople } from '../../src/identity/people.ts'
import { readOpenHolds } from '../../src/ledger/open-holds.ts'
import { createRuns } from '../../src/ledger/runs.ts'
import { createPriceBook } from '../../src/metering/price.ts'
import { createTokenizer } from '../../src/metering/tokenizer.ts'
import { createHealth } from '../../src/observe/health.ts'
import { createLog } from '../../src/observe/log.ts'
import { createMetrics } from '../../src/observe/metrics.ts'
import { createMetricsAccess } from '../../src/observe/metrics-access.ts'
import { createRouter } from '../../src/routing/route.ts'
import { createTraffic } from '../../src/routing/traffic.ts'
import { readRootKeys } from '../../src/vault/root-key.ts'
import { rowOfCall } from '../support/call-books.ts'
import { openLedger } from '../support/open-ledger.ts'
import { useProduct } from '../support/product.ts'
import { configFor, MASTER_KEY, modelOn, postChat, ROOT_KEY, UPSTREAM_KEY } from '../support/tollgate.ts'
import { chatAnswer, chatStream, jsonAnswer, rawStream, sse } from '../support/upstream-answers.ts'
import { openTestVault } from '../support/vault.ts'

const product = useProduct((url) => ({
  models: [
    modelOn(url, 'twice', { model: 'openai/exact', n: 2, input_cost_per_token: 0, output_cost_per_token: 0.00002 }),
    modelOn(url, 'priced', {
      model: 'openai/gpt-4o-mini',
      input_cost_per_token: 0.00002,
      output_cost_per_token: 0.00004,
    }),
    modelOn(url, 'half-priced', { model: 'openai/gpt-4o-mini', input_cost_per_token: 0.00002 }),
  ],
}))

/**
 * In o200k_base "user" and "Say hello now" are 4 tokens; a message's frame adds 3 and the answer's opening 3. "Hello world" is 2.
 * (10 x 150 + 2 x 600) x 1.5 = 4 050 nano-dollars.
 */
const HELLO = { model: 'gpt-4o-mini', messages: [{ role: 'user', content: 'Say hello now' }] }
const COUNTED = { prompt_tokens: 10, completion_tokens: 2, total_tokens: 12 }

test('A JSON response without usage is counted here, marked estimated, and shown with the counts.', async () => {
  const { db, upstream, tollgate } = product
  const acme = await db.seedOrganization({ credits: 1_000, users: { alice: 500 } })
  upstream.respond(chatAnswer({ usage: null }))
  const answer = await postChat(tollgate, acme.keys.alice, HELLO)
  expect(answer.status).toBe(200)
  expect(answer.headers.get('x-cost-provenance')).toBe('estimated')
  expect(answer.headers.get('x-credits-used')).toBe('0.004050')
  expect(answer.json()).toMatchObject({
    choices: [{ message: { content: 'Hello world' } }],
    usage: { ...COUNTED, cost: 0.00000405 },
  })
  const row = await rowOfCall(db.pool, answer.headers.get('x-litellm-call-id'))
  expect(row).toMatchObject({ credits_used: '0.004050', provenance: 'estimated', details: { usage: COUNTED } })
})

test('A stream without usage is counted here too, and the usage frame asked for is made.', async () => {
  const { db, upstream, tollgate } = product
  const acme = await db.seedOrganization({ credits: 1_000, users: { alice: 500 } })
  upstream.respond(chatStream({ usage: null }))
  const answer = await postChat(tollgate, acme.keys.alice, {
    ...HELLO,
    stream: true,
    stream_options: { include_usage: true },
  })
  const frames = answer.body.split('\n\n')
  expect(frames.slice(-2)).toEqual(['data: [DONE]', ''])
  expect(JSON.parse(frames.at(-3)?.slice(6) ?? '')).toMatchObject({
    object: 'chat.completion.chunk',
    choices: [],
    usage: { ...COUNTED, cost: 0.00000405 },
  })
  const row = await rowOfCall(db.pool, answer.headers.get('x-litellm-call-id'))
  expect(row).toMatchObject({ credits_used: '0.004050', provenance: 'estimated', outcome: 'answered' })
})

test('What a stream shows after its usage was stated is counted on top, and marked estimated.', async () => {
  const { db, upstream, tollgate } = product
  const acme = await db.seedOrganization({ credits: 1_000, users: { alice: 500 } })
  const { frames } = chatStream({ usage: null })
  const early = sse({ id: 'c', model: 'gpt-4o-mini', choices: [], usage: { prompt_tokens: 11, completion_tokens: 0 } })
  upstream.respond(rawStream([early, ...frames]))
  const answer = await postChat(tollgate, acme.keys.alice, { ...HELLO, stream: true })
  expect(answer.body).toBe(frames.join(''))
  const row = await rowOfCall(db.pool, answer.headers.get('x-litellm-call-id'))
  // (11 x 150 + 2 x 600) x 1.5 nano-dollars.
  expect(row).toMatchObject({ credits_used: '0.004275', provenance: 'estimated' })
})

test.each([
  ['negative', { prompt_tokens: -1, completion_tokens: 5, total_tokens: 4 }],
  ['fractional', { prompt_tokens: 11, completion_tokens: 0.5, total_tokens: 11.5 }],
  ['text', { prompt_tokens: '11', completion_tokens: '5', total_tokens: '16' }],
  ['null', { prompt_tokens: null, completion_tokens: 5, total_tokens: 16 }],
  ['beyond 2^53', { prompt_tokens: 11, completion_tokens: 1e300, total_tokens: 1e300 }],
  ['half missing', { prompt_tokens: 11 }],
])('Usage that can’t be (%s) counts as missing.', async (_, usage) => {
  const { db, upstream, tollgate } = product
  const acme = await db.seedOrganization({ credits: 1_000, users: { alice: 500 } })
  upstream.respond(chatAnswer({ usage }))
  const answer = await postChat(tollgate, acme.keys.alice, HELLO)
  expect(answer.status).toBe(200)
  expect(answer.headers.get('x-cost-provenance')).toBe('estimated')
  expect(answer.headers.get('x-credits-used')).toBe('0.004050')
  expect(answer.json()).toMatchObject({ usage: { ...COUNTED, cost: 0.00000405 } })
})

test.each([false, true])(
  'A usage of zero beside a text counts as missing: the text is counted (stream: %s).',
  async (stream) => {
    const { db, upstream, tollgate } = product
    const acme = await db.seedOrganization({ credits: 1_000, users: { alice: 500 } })
    const usage = { prompt_tokens: 0, completion_tokens: 0, total_tokens: 0 }
    upstream.respond(stream ? chatStream({ usage }) : chatAnswer({ usage }))
    const answer = await postChat(tollgate, acme.keys.alice, { ...HELLO, stream })
    const row = await rowOfCall(db.pool, answer.headers.get('x-litellm-call-id'))
    expect(row).toMatchObject({ credits_used: '0.004050', provenance: 'estimated', outcome: 'answered' })
    if (!stream) {
      expect(answer.headers.get('x-credits-used')).toBe('0.004050')
      expect(answer.json()).toMatchObject({ usage: { ...COUNTED, cost: 0.00000405 } })
    }
  },
)

test.each([
  // (11 x 150 + 5 x 600) x 1.5 nano-dollars, and half of it; 11 x $0.00002 + 5 x $0.00004, and 50 %.
  ['gpt-4o-mini', null, '0.006975'],
  ['gpt-4o-mini', 'default', '0.006975'],
  ['gpt-4o-mini', 'flex', '0.003488'],
  ['gpt-4o-mini', 'priority', '0.013950'],
  ['priced', null, '0.630000'],
  ['priced', 'flex', '0.630000'],
  ['priced', 'priority', '1.260000'],
])('%s that asked for flex and states %s costs %s.', async (model, tier, credits) => {
  const { db, upstream, tollgate } = product
  const acme = await db.seedOrganization({ credits: 1_000, users: { alice: 500 } })
  const { frames } = chatAnswer()
  upstream.respond(jsonAnswer({ ...(JSON.parse(String(frames[0])) as object), ...(tier && { service_tier: tier }) }))
  const answer = await postChat(tollgate, acme.keys.alice, { ...HELLO, model, service_tier: 'flex' })
  expect([answer.status, answer.headers.get('x-credits-used')]).toEqual([200, credits])
})

test.each([false, true])('Where nothing was delivered, a usage of zero is believed (stream: %s).', async (stream) => {
  const { db, upstream, tollgate } = product
  const acme = await db.seedOrganization({ credits: 1_000, users: { alice: 500 } })
  const usage = { prompt_tokens: 0, completion_tokens: 0, total_tokens: 0 }
  upstream.respond(stream ? chatStream({ text: [], usage }) : chatAnswer({ text: [], usage }))
  const answer = await postChat(tollgate, acme.keys.alice, { ...HELLO, stream })
  const row = await rowOfCall(db.pool, answer.headers.get('x-litellm-call-id'))
  expect(row).toMatchObject({ credits_used: '0.000000', provenance: 'provider_usage', outcome: 'answered' })
})

test('The model that served sets the price.', async () => {
  const { db, upstream, tollgate } = product
  const acme = await db.seedOrganization({ credits: 1_000, users: { alice: 500 } })
  upstream.respond(chatAnswer({ model: 'gpt-4o-2024-08-06' }))
  const answer = await postChat(tollgate, acme.keys.alice, HELLO)
  // (11 x 2 500 + 5 x 10 000) x 1.5
  expect(answer.headers.get('x-credits-used')).toBe('0.116250')
  const row = await rowOfCall(db.pool, answer.headers.get('x-litellm-call-id'))
  expect(row.details).toMatchObject({ upstream_model: 'gpt-4o-mini', served_model: 'gpt-4o-2024-08-06' })
})

test.each([
  // (11 x 20 000 + 5 x 40 000) x 1.5
  { model: 'priced', charge: '0.630000' },
  // The side the operator left to the data set costs what the model that served does: (11 x 20 000 + 5 x 10 000) x 1.5
  { model: 'half-priced', charge: '0.405000' },
])('The operator’s price stands when another model served: $model', async ({ model, charge }) => {
  const { db, upstream, tollgate } = product
  const acme = await db.seedOrganization({ credits: 1_000, users: { alice: 500 } })
  upstream.respond(chatAnswer({ model: 'gpt-4o-2024-08-06' }))
  const answer = await postChat(tollgate, acme.keys.alice, { ...HELLO, model })
  expect(answer.headers.get('x-credits-used')).toBe(charge)
  const row = await rowOfCall(db.pool, answer.headers.get('x-litellm-call-id'))
  expect(row).toMatchObject({ credits_used: charge, details: { served_model: 'gpt-4o-2024-08-06' } })
})

test('Prices are those of the moment the call was admitted, also of a model that is known only when it has served.', async () => {
  const { db, upstream } = product
  const acme = await db.seedOrganization({ credits: 1_000, users: { alice: 500 } })
  // On 10 June 2025 o3 went from $10 and $40 a million tokens to $2 and $8.
  let now = new Date('2025-06-09T23:59:59Z')
  const tollgate = await startAt(() => now)
  upstream.respond(({ json }) => {
    if (json?.user === 'over midnight') now = new Date('2025-06-10T00:00:01Z')
    return chatAnswer({ model: 'o3' })
  })
  const admittedBefore = await postChat(tollgate, acme.keys.alice, { ...HELLO, user: 'over midnight' })
  // (11 x 10 000 + 5 x 40 000) x 1.5
  expect(admittedBefore.headers.get('x-credits-used')).toBe('0.465000')
  const row = await rowOfCall(db.pool, admittedBefore.headers.get('x-litellm-call-id'))
  expect(row.details).toMatchObject({ served_model: 'o3', finished_at: '2025-06-10T00:00:01.000Z' })
  const admittedAfter = await postChat(tollgate, acme.keys.alice, HELLO)
  // (11 x 2 000 + 5 x 8 000) x 1.5
  expect(admittedAfter.headers.get('x-credits-used')).toBe('0.093000')
})

test('Sound without a price of its own is an unknown price; an operator’s default n is held for.', async () => {
  const { db, upstream, tollgate } = product
  const acme = await db.seedOrganization({ credits: 1_000, users: { alice: 500 } })
  const refused = await postChat(tollgate, acme.keys.alice, { ...HELLO, modalities: ['text', 'audio'] })
  expect(refused.status).toBe(400)
  expect(refused.json()).toMatchObject({ error: { code: 'unknown_price', param: 'model' } })
  expect(upstream.requests.filter(({ json }) => json?.modalities !== undefined)).toEqual([])

  upstream.respond(chatAnswer())
  const answer = await postChat(tollgate, acme.keys.alice, { ...HELLO, model: 'twice', max_tokens: 1_000 })
  expect(upstream.requests.at(-1)?.json).toMatchObject({ n: 2 })
  const row = await rowOfCall(db.pool, answer.headers.get('x-litellm-call-id'))
  // 1 000 tokens of each of two choices at $0.00002 and 50 % on top.
  expect(row).toMatchObject({ details: { held: '60' } })
})

/** The product in this process, because its clock of prices is ours: everything else of it is real. Ends with the test. */
async function startAt(now: () => Date): Promise<{ url: string }> {
  const { db, upstream: provider } = product
  const env = { DATABASE_URL: db.url, TOLLGATE_MASTER_KEY: MASTER_KEY, SCRIPTED_API_KEY: UPSTREAM_KEY }
  const { config, problems } = loadConfig(configFor(provider.url), 'config.yaml', env, {
    embedded: false,
    providers: PROVIDERS,
  })
  if (config === null) throw new Error(JSON.stringify(problems))
  const { ledger } = await openLedger({ databaseUrl: db.url, onFinish: onTestFinished })
  const tokenizer = createTokenizer()
  const upstream = createUpstream(config.limits.connectTimeoutMs)
  const vault = await openTestVault(db, { roots: readRootKeys(ROOT_KEY, 'the test') })
  onTestFinished(() => vault.close())
  const log = createLog('silent')
  const router = createRouter(config)
  const [cors, clientOf] = [createCors([]), createClientOf([])]
  const unknownKeys = createUnknownKeys(config.limits.unknownKeysPerMinute, Date.now)
  const known = { database: db.database, config, clientOf, unknownKeys, now: Date.now }
  const people = openPeople({ ...known, cors, onRedisError: () => {} })
  const identify = createIdentify({ ...known, people })
  const rates = createRateLimits(config.rateLimits, createRateWindows(null, Date.now), Date.now)
  const windows = createRateWindows(null, Date.now)
  const monotonic = () => performance.now()
  const traffic = createTraffic({ settings: config.routing, now: monotonic, windows, onSpared: () => {} })
  const metrics = createMetrics('test', {
    runningCalls: () => 0,
    connections: () => 0,
    bodyBytes: () => 0,
    ledgerOpen: () => ledger.open,
    spool: () => ledger.overdue,
    openHolds: () => readOpenHolds(db.database),
    consumers: async () => [],
    logDropped: () => 0,
    spared: () => 0,
  })
  const most = { perKey: 10, perUser: 10, perOrganization: 10, total: 100 }
  const bodyLimits = { ...config.limits, totalBytes: config.limits.bodyBytes, silentMs: 10_000 }
  const keptResponses = createKeptResponses({ database: db.database, log, hours: 0 })
  const quotes = createQuotes(createQuoteSecret(db.database), now)
  const app = createApp({
    appFiles: null,
    calls: {
      config,
      clock: { now, monotonic: () => performance.now() },
      admission: {
        identify,
        rates,
        customers: () => null,
        runningCalls: createRunningCalls({ ...most, boundsOf: createBoundsOf(config.rateLimits.calls) }, () => 0),
        refusedCalls: createRefusedCalls(10, () => 0),
        bodies: createBodies(bodyLimits, createFindCredit(db.database, false)),
        quotas: createCallQuotas({ tiers: config.tiers, database: db.database, now, monotonic: () => 0 }),
        fetchBudget: createFetchBudget({ fetches: 1, bytes: 1 }),
      },
      routing: { router, vault, traffic, random: Math.random },
      network: {
        upstream,
        connections: createProviderConnections({ connections: 100, waitMs: 0 }, () => 0),
        guard: createAddressGuard([]),
        tokens: () => Promise.reject(new Error('nothing is signed here')),
      },
      money: { ledger, prices: createPriceBook(), tokenizer },
      quotes,
      runs: createRuns(createQuoteSecret(db.database), now),
      learned: {
        usageQuestionRefused: new Set(),
        hiddenShares: createHiddenShares(),
        usualTiers: createUsualTiers(() => 0),
      },
      memory: keptResponses,
      observe: { log, metrics },
      database: db.database,
      shutdown: new AbortController().signal,
    },
    config,
    quotes,
    keptResponses,
    identify,
    rates,
    router,
    vault,
    log,
    metrics,
    now,
    reports: db.database,
    version: 'test',
    health: createHealth(
      db.database,
      () => ledger.open,
      () => false,
    ),
    newId: randomUUID,
    draining: () => false,
    running: new Set(),
    requestIds: new Map(),
    mayReadMetrics: createMetricsAccess({ masterKey: config.masterKey, token: null }),
    cors,
    clientOf,
    people,
  })
  const server = serve({ fetch: app.fetch, hostname: '127.0.0.1', port: 0 })
  onTestFinished(async () => {
    const closed = once(server, 'close')
    server.close()
    if ('closeAllConnections' in server) server.closeAllConnections()
    await Promise.all([closed, upstream.close(), tokenizer.close()])
  })
  if (!server.listening) await once(server, 'listening')
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}` }
}
