/** Streams nobody reads any more: where the provider bills them to their end all the same, they are read to it, for a while. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, onTestFinished, test, vi } from 'vitest'
import { PROVIDERS } from '../../providers/registry.ts'
import { loadConfig } from '../../src/config/load.ts'
import { connect } from '../../src/db/connect.ts'
import { createLog } from '../../src/observe/log.ts'
import { startServer } from '../../src/server.ts'
import { readRootKeys } from '../../src/vault/root-key.ts'
import { balanceOf } from '../support/call-books.ts'
import { rowOfRequest } from '../support/call-row.ts'
import { type OpenCall, openCall } from '../support/open-call.ts'
import { useProduct } from '../support/product.ts'
import { tellApart } from '../support/tell-apart.ts'
import {
  configFor,
  MASTER_KEY,
  type ModelEntry,
  modelOn,
  ROOT_KEY,
  startTollgate,
  UPSTREAM_KEY,
} from '../support/tollgate.ts'
import type { ReceivedRequest } from '../support/upstream.ts'
import { chatStream, errorAnswer, rawStream, type Script, sse } from '../support/upstream-answers.ts'

const models = (url: string): ModelEntry[] => [
  modelOn(url, 'groq', { model: 'groq/llama-3.3-70b-versatile' }),
  modelOn(url, 'routed', { model: 'openrouter/openai/gpt-4o-mini' }),
  modelOn(url, 'hugged', { model: 'huggingface/meta-llama/Llama-3.3-70B-Instruct:groq' }),
  modelOn(url, 'grok', { model: 'xai/grok-3' }),
  // Input is free, an output token is 0.03 credits.
  modelOn(url, 'groq-exact', {
    model: 'groq/llama-3.3-70b-versatile',
    input_cost_per_token: 0,
    output_cost_per_token: 0.00002,
  }),
]
const product = useProduct((url) => ({
  models: models(url),
  tollgate: { caps: { stream_output_tokens: 200, least_output_tokens: 16 } },
  litellm_settings: { num_retries: 0 },
}))

const STREAM = { messages: [{ role: 'user', content: 'Say hello now' }], stream: true }
const WORDS = ['Hello', ' world', ' and', ' more']
const USAGE = { prompt_tokens: 20, completion_tokens: 9, total_tokens: 29 }
const never = new Promise<never>(() => {})

interface Abandoned {
  call: OpenCall
  request: ReceivedRequest
  /** The provider goes on. */
  goOn: () => void
}

/** A stream whose caller leaves when it has `frames` frames, or, at 0, before the provider answered; the provider waits there. */
async function leave(
  model: string,
  frames: number,
  script: (gate: (i: number) => Promise<unknown> | undefined, later: Promise<void>) => Script,
): Promise<Abandoned> {
  const { db, upstream, tollgate } = product
  const acme = await db.seedOrganization({ credits: 100, users: { alice: 10 } })
  const later = Promise.withResolvers<void>()
  upstream.respond(script((i) => (i === frames ? later.promise : undefined), later.promise))
  const before = upstream.requests.length
  const call = openCall(tollgate, acme.keys.alice, { ...STREAM, model })
  const request = await upstream.received(before + 1)
  if (frames > 0) await call.frames(frames)
  call.leave()
  await tellApart(tollgate)
  return { call, request, goOn: later.resolve }
}

describe('a stream that is billed to its end, left by its caller,', () => {
  test.for([
    // (20 x 590 + 9 x 790) x 1.5 nano-dollars
    { model: 'groq', usage: USAGE, credits_used: '0.028365', provenance: 'provider_usage' },
    { model: 'hugged', usage: USAGE, credits_used: '0.028365', provenance: 'provider_usage' },
    { model: 'routed', usage: { ...USAGE, cost: 0.0004 }, credits_used: '0.600000', provenance: 'provider_cost' },
  ])(
    'A stream that is billed to its end, left by its caller, is read to its end and charged at what it states: $model',
    async ({ model, usage, ...row }) => {
      const { upstream } = product
      const { completed } = upstream.tally
      const { call, request, goOn } = await leave(model, 2, (gate) => chatStream({ text: WORDS, usage, gate }))
      goOn()
      await request.answered
      expect(await rowOfRequest(product, call.requestId)).toMatchObject({ ...row, outcome: 'client_disconnected' })
      expect(upstream.tally.completed).toBe(completed + 1)
    },
  )

  test('A stream that is billed to its end, left by its caller, is read to its end also where it was left before its first byte.', async () => {
    const { call, request, goOn } = await leave('groq', 0, (_, later) =>
      chatStream({ text: WORDS, usage: USAGE, beforeHead: later }),
    )
    goOn()
    await request.answered
    expect(await rowOfRequest(product, call.requestId)).toMatchObject({
      credits_used: '0.028365',
      provenance: 'provider_usage',
      outcome: 'client_disconnected',
    })
  })

  test('A stream that is billed to its end, left by its caller, is counted where it states nothing: all that came, also what nobody saw.', async () => {
    const { call, request, goOn } = await leave('groq', 2, (gate) => chatStream({ text: WORDS, usage: null, gate }))
    goOn()
    await request.answered
    // 10 tokens of input and the four words: (10 x 590 + 4 x 790) x 1.5
    const row = { credits_used: '0.013590', provenance: 'estimated', outcome: 'client_disconnected' }
    expect(await rowOfRequest(product, call.requestId)).toMatchObject(row)
  })

  test('A stream that is billed to its end, left by its caller, is counted as far as it came where it breaks off.', async () => {
    const { frames } = chatStream({ text: WORDS })
    const cutAfter = Buffer.byteLength(frames.slice(0, 3).join(''))
    const { call, goOn } = await leave('groq', 2, (gate) => rawStream(frames, { gate, cutAfter }))
    goOn()
    // (10 x 590 + 2 x 790) x 1.5
    const row = { credits_used: '0.011220', provenance: 'estimated', outcome: 'client_disconnected' }
    expect(await rowOfRequest(product, call.requestId)).toMatchObject(row)
  })

  test.for<[string, (later: Promise<void>) => Script, object]>([
    [
      'is refused',
      (later) => errorAnswer(429, { message: 'slow down' }, { beforeHead: later }),
      { provider_status: 429 },
    ],
    [
      'fails before its first content',
      (later) =>
        rawStream([`event: error\n${sse({ error: { message: 'no', status_code: 503 } })}`], { beforeHead: later }),
      { provider_status: 503 },
    ],
  ])(
    'A stream that is billed to its end, left by its caller, costs nothing when it %s.',
    async ([, script, details]) => {
      const { call, goOn } = await leave('groq', 0, (_, later) => script(later))
      goOn()
      const row = { credits_used: '0.000000', provenance: null, outcome: 'failed', details }
      expect(await rowOfRequest(product, call.requestId)).toMatchObject(row)
    },
  )
})

test.for([
  // "Hello" after 10 tokens of input: (10 x 150 + 1 x 600) x 1.5, and (10 x 3 000 + 1 x 15 000) x 1.5
  { model: 'gpt-4o-mini', credits_used: '0.003150' },
  { model: 'grok', credits_used: '0.067500' },
])('A stream of a provider that stops when it is told is stopped at once: $model', async ({ model, credits_used }) => {
  const { call, request } = await leave(model, 2, (gate) => chatStream({ text: WORDS, usage: USAGE, gate }))
  await request.aborted
  const row = { credits_used, provenance: 'estimated', outcome: 'client_disconnected' }
  expect(await rowOfRequest(product, call.requestId)).toMatchObject(row)
})

test('A stream that stopping does not make cheaper is held in full, and its provider is sent the cap that is held.', async () => {
  const { db, upstream, tollgate } = product
  const acme = await db.seedOrganization({ credits: 1_000, users: { alice: 9 } })
  // 9 credits are 300 tokens: more than a stream begins with that can be stopped.
  const usage = { prompt_tokens: 8, completion_tokens: 300, total_tokens: 308 }
  const later = Promise.withResolvers<void>()
  const gate = (i: number) => (i === 2 ? later.promise : undefined)
  const text = Array.from({ length: 300 }, () => ' word')
  upstream.respond(chatStream({ text, usage, gate, model: 'llama-3.3-70b-versatile', finishReason: 'length' }))
  const call = openCall(tollgate, acme.keys.alice, { ...STREAM, model: 'groq-exact', max_tokens: 5_000 })
  await call.frames(2)
  expect((await call.head).headers).toMatchObject({ 'x-max-tokens-applied': '300' })
  expect(upstream.requests.at(-1)?.json).toMatchObject({ max_tokens: 300, max_completion_tokens: 300 })
  expect(await balanceOf(db.pool, acme.id, 'alice')).toMatchObject({ remaining: '9.000000', held: '9.000000' })
  later.resolve()

  expect((await call.closed).complete).toBe(true)
  expect(await rowOfRequest(product, call.requestId)).toMatchObject({
    credits_used: '9.000000',
    provenance: 'provider_usage',
    outcome: 'answered',
  })
  expect(await balanceOf(db.pool, acme.id, 'alice')).toMatchObject({ remaining: '0.000000', held: '0.000000' })
})

test('A process that goes down waits for an abandoned stream no longer than for a running one.', async () => {
  const { db, upstream } = product
  const acme = await db.seedOrganization({ credits: 100, users: { alice: 10 } })
  const config = configFor(upstream.url, {
    models: models(upstream.url),
    tollgate: { limits: { drain_seconds: 0.2 } },
  })
  const tollgate = await startTollgate({ databaseUrl: db.url, config })
  onTestFinished(() => tollgate.kill())
  upstream.respond(chatStream({ text: WORDS, usage: USAGE, gate: (i) => (i === 3 ? never : undefined) }))
  const before = upstream.requests.length
  const call = openCall(tollgate, acme.keys.alice, { ...STREAM, model: 'groq' })
  const request = await upstream.received(before + 1)
  await call.frames(3)
  call.leave()
  await tellApart(tollgate)

  expect(await tollgate.stop()).toBe(0)
  await request.aborted
  const { rows } = await db.pool.query(
    'select credits_used, provenance, outcome from credit_usage_attribution where request_id = $1',
    [call.requestId],
  )
  expect(rows).toEqual([{ credits_used: '0.011220', provenance: 'estimated', outcome: 'client_disconnected' }])
})

test.for([
  ['the time-out of the call is over', {}, 59_000, 60_000],
  ['the seconds are over that the operator set for its provider', { read_on_seconds: { groq: 30 } }, 29_999, 30_000],
] as const)('A stream that never ends is given up when %s.', async ([, tollgateSettings, early, end]) => {
  const { db, upstream } = product
  const acme = await db.seedOrganization({ credits: 100, users: { alice: 10 } })
  const tollgate = await serveHere(tollgateSettings)
  upstream.respond(chatStream({ text: WORDS, usage: USAGE, gate: (i) => (i === 3 ? never : undefined) }))
  const before = upstream.requests.length
  const call = openCall(tollgate, acme.keys.alice, { ...STREAM, model: 'groq' })
  const request = await upstream.received(before + 1)
  let aborted = false
  void request.aborted.then(() => {
    aborted = true
  })
  await call.frames(3)
  // From here on, the timers this process sets wait for us. Those that run already are real.
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
  onTestFinished(() => void vi.useRealTimers())
  call.leave()
  await tellApart(tollgate)

  vi.advanceTimersByTime(early)
  await tellApart(tollgate)
  expect(aborted).toBe(false)
  vi.advanceTimersByTime(end - early)
  vi.useRealTimers()
  await request.aborted

  await vi.waitFor(async () => {
    const { rows } = await db.pool.query(
      'select credits_used, provenance, outcome from credit_usage_attribution where request_id = $1',
      [call.requestId],
    )
    expect(rows).toEqual([{ credits_used: '0.011220', provenance: 'estimated', outcome: 'client_disconnected' }])
  })
})

/** The product in this process, because its clock is ours: everything else of it is real. Ends with the test. */
async function serveHere(tollgateSettings: Record<string, unknown>): Promise<{ url: string }> {
  const { db, upstream } = product
  const env = { DATABASE_URL: db.url, TOLLGATE_MASTER_KEY: MASTER_KEY, SCRIPTED_API_KEY: UPSTREAM_KEY }
  const text = configFor(upstream.url, {
    models: models(upstream.url),
    tollgate: tollgateSettings,
    litellm_settings: { num_retries: 0, request_timeout: 60 },
  })
  const { config, problems } = loadConfig(text, 'config.yaml', env, { embedded: false, providers: PROVIDERS })
  if (config === null) throw new Error(JSON.stringify(problems))
  const spoolDirectory = await mkdtemp(join(tmpdir(), 'tollgate-in-process-'))
  const database = connect(db.url)
  const server = await startServer({
    config,
    database,
    databaseUrl: db.url,
    root: { roots: readRootKeys(ROOT_KEY, 'the test'), fernetKeys: [] },
    spoolDirectory,
    log: createLog('silent'),
    logDropped: () => 0,
    requestIds: new Map(),
    metricsToken: null,
    host: '127.0.0.1',
    port: 0,
    worker: null,
    version: 'test',
  })
  onTestFinished(async () => {
    vi.useRealTimers()
    await server.stop()
    await database.close()
    await rm(spoolDirectory, { recursive: true, force: true })
  })
  return { url: `http://127.0.0.1:${server.port}` }
}
