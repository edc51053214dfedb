/**
 * A deployment that one process spares is spared by all of them: replicas with one Redis, and workers of one primary. Redis hangs, is
 * killed and comes back: every call is answered, held and charged once, and nobody waits for it.
 */
import { Redis } from 'ioredis'
import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from 'vitest'
import { scrape } from '../observe/samples.ts'
import { expectNothingHeld, rowsOf } from '../support/call-books.ts'
import { useDatabase } from '../support/database.ts'
import { redisInstalled, startRedis, type TestRedis } from '../support/redis.ts'
import { type CallAnswer, configFor, modelOn, postChat, startTollgate, type Tollgate } from '../support/tollgate.ts'
import { type ScriptedUpstream, startUpstream } from '../support/upstream.ts'
import { chatAnswer, errorAnswer } from '../support/upstream-answers.ts'

// Several processes start one after the other, on a busy machine.
vi.setConfig({ testTimeout: 60_000, hookTimeout: 60_000 })

const NAMES = ['a', 'b', 'c', 'd', 'e', 'f']
const PAID = '0.150000'
/** Longer than the test. */
const limited = errorAnswer(429, { message: 'slow down' }, { headers: { 'retry-after': '600' } })

const db = useDatabase()
let upstream: ScriptedUpstream
let caller: { id: string; key: string }

beforeAll(async () => {
  upstream = await startUpstream()
})
afterEach(() => expectNothingHeld(db.pool))
afterAll(() => upstream.close())

function config(): string {
  const models = NAMES.flatMap((name) =>
    [1, 2].map((order) => {
      const id = `${name}-${order}`
      const price = { input_cost_per_token: 0, output_cost_per_token: 0.00002 }
      return { ...modelOn(upstream.url, name, { model: `openai/${id}`, order, ...price }), model_info: { id } }
    }),
  )
  return configFor(upstream.url, { models })
}

/** The first of each group is rate-limited; the second answers. */
async function begin(): Promise<void> {
  const { id, keys } = await db.seedOrganization({ credits: 1_000, users: { alice: 500 } })
  caller = { id, key: keys.alice }
  upstream.requests.length = 0
  upstream.respond(({ json }) => (String(json?.model).endsWith('-1') ? limited : chatAnswer({ model: 'exact' })))
}

const asked = (model: string) => upstream.requests.filter(({ json }) => json?.model === model).length
const ask = (tollgate: Tollgate, model: string) =>
  postChat(tollgate, caller.key, { model, max_tokens: 100, messages: [{ role: 'user', content: 'Go on' }] })

function expectAllServed(answers: readonly CallAnswer[]): void {
  expect(answers.map(({ status }) => status)).toEqual(answers.map(() => 200))
}

async function expectAllPaidOnce(count: number): Promise<void> {
  const rows = await rowsOf(db.pool, caller.id)
  expect(rows.map(({ credits_used }) => credits_used)).toEqual(Array(count).fill(PAID))
}

describe.skipIf(!redisInstalled())('Two replicas with one Redis', () => {
  let redis: TestRedis
  let asking: Redis
  let replicas: Tollgate[] = []
  const at = (index: number) => replicas[index] as Tollgate
  const spares = async (index: number) => (await scrape(at(index))).get('tollgate_deployments_spared')
  const bothListen = () =>
    vi.waitFor(async () => expect(await asking.pubsub('NUMSUB', 'tollgate:spared')).toEqual(['tollgate:spared', 2]), {
      timeout: 20_000,
    })

  beforeAll(async () => {
    redis = await startRedis()
    asking = new Redis(redis.url, { retryStrategy: () => 50 })
    asking.on('error', () => {})
    const options = { databaseUrl: db.url, config: config(), env: { REDIS_URL: redis.url } }
    replicas = [await startTollgate(options), await startTollgate(options)]
  })
  afterAll(async () => {
    asking.disconnect()
    await Promise.all(replicas.map((replica) => replica.stop()))
    await redis.stop()
  })

  test('A deployment that failed at one replica is not asked by the other.', async () => {
    await begin()
    await bothListen()
    const answers = [await ask(at(0), 'a')]
    await vi.waitFor(async () => expect(await spares(1)).toBe(1))
    for (let call = 0; call < 5; call += 1) answers.push(await ask(at(1), 'a'))
    expectAllServed(answers)
    expect([asked('a-1'), asked('a-2')]).toEqual([1, 6])
    await expectAllPaidOnce(6)
  })

  test('While Redis hangs, each replica goes by what it saw; when it goes on, they tell each other.', async () => {
    await begin()
    await bothListen()
    redis.send('SIGSTOP')
    const answers = [await ask(at(0), 'b'), await ask(at(1), 'b'), await ask(at(0), 'b'), await ask(at(1), 'b')]
    redis.send('SIGCONT')
    expectAllServed(answers)
    expect([asked('b-1'), asked('b-2')]).toEqual([2, 4])
    await bothListen()
    const before = await spares(1)
    answers.push(await ask(at(0), 'c'))
    await vi.waitFor(async () => expect(await spares(1)).toBe((before ?? 0) + 1))
    answers.push(await ask(at(1), 'c'))
    expect(asked('c-1')).toBe(1)
    await expectAllPaidOnce(6)
  })

  test('Without Redis every call is answered, and what one replica learns afterwards the other hears.', async () => {
    await begin()
    const port = Number(new URL(redis.url).port)
    await redis.stop()
    const answers = await Promise.all([0, 1, 0, 1].map((index) => ask(at(index), 'd')))
    expectAllServed(answers)
    redis = await startRedis(port)
    await bothListen()
    const before = await spares(1)
    answers.push(await ask(at(0), 'e'))
    await vi.waitFor(async () => expect(await spares(1)).toBe((before ?? 0) + 1))
    answers.push(await ask(at(1), 'e'))
    expectAllServed(answers)
    expect(asked('e-1')).toBe(1)
    await expectAllPaidOnce(6)
  })
})

describe('Two workers', () => {
  let tollgate: Tollgate
  beforeAll(async () => {
    tollgate = await startTollgate({ databaseUrl: db.url, config: config(), flags: ['--workers', '2'] })
  })
  afterAll(() => tollgate.stop())

  // The other worker hears of it a moment later, and may have been asked before. Without a word it would ask in each group.
  test('A deployment that failed at one worker is asked by no other.', async () => {
    await begin()
    for (const name of NAMES) {
      await ask(tollgate, name)
      expectAllServed(await Promise.all(Array.from({ length: 20 }, () => ask(tollgate, name))))
    }
    expect(NAMES.map((name) => asked(`${name}-1`))).toContain(1)
    await expectAllPaidOnce(NAMES.length * 21)
  })
})
