/** Each strategy as a caller sees it: who gets the calls of a group, by what the deployments did before. */
import { afterAll, beforeAll, expect, test, vi } from 'vitest'
import { expectNothingHeld } from '../support/call-books.ts'
import { useDatabase } from '../support/database.ts'
import { type CallAnswer, configFor, modelOn, postChat, startTollgate, type Tollgate } from '../support/tollgate.ts'
import { type ReceivedRequest, type ScriptedUpstream, startUpstream } from '../support/upstream.ts'
import { chatAnswer, chatStream } from '../support/upstream-answers.ts'

// Several processes start one after the other, on a busy machine.
vi.setConfig({ testTimeout: 60_000, hookTimeout: 60_000 })

const db = useDatabase()
let upstream: ScriptedUpstream
let key: string
const running: Tollgate[] = []

beforeAll(async () => {
  upstream = await startUpstream()
  const { keys } = await db.seedOrganization({ credits: 1_000, users: { alice: 500 } })
  key = keys.alice
})
afterAll(async () => {
  await Promise.all(running.map((tollgate) => tollgate.stop()))
  await upstream.close()
  await expectNothingHeld(db.pool)
})

/** A group `pair` of two; what each has besides. */
async function start(strategy: string, ...own: Record<string, unknown>[]): Promise<Tollgate> {
  const models = own.map((params, index) => {
    const id = `pair-${index + 1}`
    const price = { input_cost_per_token: 0, output_cost_per_token: 0.00002 }
    return { ...modelOn(upstream.url, 'pair', { model: `openai/${id}`, ...price, ...params }), model_info: { id } }
  })
  const config = configFor(upstream.url, { models, router_settings: { routing_strategy: strategy } })
  const tollgate = await startTollgate({ databaseUrl: db.url, config })
  running.push(tollgate)
  return tollgate
}

const ask = (tollgate: Tollgate, more: object = {}) =>
  postChat(tollgate, key, { model: 'pair', max_tokens: 100, messages: [{ role: 'user', content: 'Go on' }], ...more })

async function askTimes(tollgate: Tollgate, times: number, more: object = {}): Promise<(string | null)[]> {
  const answers: CallAnswer[] = []
  for (let call = 0; call < times; call += 1) answers.push(await ask(tollgate, more))
  return answers.map(({ headers }) => headers.get('x-litellm-model-id'))
}

const answer = (request: ReceivedRequest) =>
  request.json?.stream === true ? chatStream({ model: 'exact' }) : chatAnswer({ model: 'exact' })
const isFirst = ({ json }: ReceivedRequest) => json?.model === 'pair-1'

test('The strategy simple-shuffle gives each deployment its share by weight, and one without weight none.', async () => {
  upstream.respond(answer)
  const tollgate = await start('simple-shuffle', { weight: 0 }, { weight: 1 }, { weight: 3 })
  const served = await askTimes(tollgate, 40)
  expect(new Set(served)).toEqual(new Set(['pair-2', 'pair-3']))
})

test('The strategy least-busy sends a call to the deployment where none runs.', async () => {
  const tollgate = await start('least-busy', {}, {})
  const gate = Promise.withResolvers<void>()
  upstream.respond((request) => (isFirst(request) ? { ...answer(request), beforeHead: gate.promise } : answer(request)))
  const stuck: Promise<CallAnswer>[] = []
  const before = upstream.requests.length
  // Equals share the calls: one of a few goes to the first.
  await vi.waitFor(async () => {
    stuck.push(ask(tollgate))
    await vi.waitFor(() => expect(upstream.requests.slice(before).some(isFirst)).toBe(true), { timeout: 200 })
  }, 20_000)
  expect(new Set(await askTimes(tollgate, 10))).toEqual(new Set(['pair-2']))
  gate.resolve()
  await Promise.all(stuck)
})

test.each([false, true])(
  'The strategy latency-based-routing sends calls to the faster deployment, once both were called (stream: %s).',
  async (stream) => {
    const tollgate = await start('latency-based-routing', {}, {})
    const slow = () => new Promise<void>((resolve) => void setTimeout(resolve, 1_000))
    upstream.respond((request) => (isFirst(request) ? { ...answer(request), beforeHead: slow() } : answer(request)))
    expect(new Set(await askTimes(tollgate, 2, { stream }))).toEqual(new Set(['pair-1', 'pair-2']))
    expect(new Set(await askTimes(tollgate, 5, { stream }))).toEqual(new Set(['pair-2']))
  },
)

test('The strategy usage-based-routing makes deployments take turns where each call uses the same.', async () => {
  upstream.respond(answer)
  const tollgate = await start('usage-based-routing-v2', {}, {})
  const served = await askTimes(tollgate, 10)
  const turns = served.filter((_, call) => call % 2 === 0).map((first, turn) => [first, served[2 * turn + 1]].sort())
  expect(turns).toEqual(Array(5).fill(['pair-1', 'pair-2']))
})

test('The strategy cost-based-routing sends calls where they cost least.', async () => {
  upstream.respond(answer)
  const tollgate = await start('cost-based-routing', { output_cost_per_token: 0.0002 }, {})
  expect(new Set(await askTimes(tollgate, 10))).toEqual(new Set(['pair-2']))
})
