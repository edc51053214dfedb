/** Two replicas, callers without a pause, strangers without end: a key works until it is revoked, and nowhere a second later. */
import { afterAll, beforeAll, expect, test } from 'vitest'
import { newApiKey } from '../../src/identity/api-key.ts'
import { useDatabase } from '../support/database.ts'
import { configFor, get, startTollgate, type Tollgate } from '../support/tollgate.ts'

const db = useDatabase()
let replicas: Tollgate[] = []

beforeAll(async () => {
  const options = { databaseUrl: db.url, config: configFor('http://127.0.0.1:9', {}) }
  replicas = await Promise.all([startTollgate(options), startTollgate(options)])
})
afterAll(async () => {
  await Promise.all(replicas.map((replica) => replica.stop()))
})

interface Asked {
  startedAt: number
  endedAt: number
  status: number
}

/** Asks until `isOver`, one request after the other. */
async function ask(replica: Tollgate, keyOf: () => string, isOver: () => boolean): Promise<Asked[]> {
  const asked: Asked[] = []
  while (!isOver()) {
    const startedAt = performance.now()
    const { status } = await get(replica, keyOf(), '/v1/models')
    asked.push({ startedAt, endedAt: performance.now(), status })
  }
  return asked
}

test('A key that is revoked passes nowhere a second later; until then none of its calls failed.', async () => {
  const { keys, keyIds } = await db.seedOrganization({ credits: 1, users: { alice: 0, bob: 0 } })
  let over = false
  const isOver = () => over
  const everywhere = (keyOf: () => string) => Promise.all(replicas.map((replica) => ask(replica, keyOf, isOver)))
  // A stranger's key is another one each time.
  const loads = Promise.all([
    everywhere(() => keys.alice),
    everywhere(() => keys.bob),
    everywhere(() => newApiKey().key),
  ])
  // Long enough that what is remembered was asked for again more than once.
  await db.pool.query('select pg_sleep(1.5)')
  const revokedAt = performance.now()
  await db.pool.query('update tollgate.api_keys set is_active = false where id = $1', [keyIds.alice])
  const committedAt = performance.now()
  await db.pool.query('select pg_sleep(2)')
  over = true
  const [alice, bob, strangers] = (await loads).map((asked) => asked.flat()) as [Asked[], Asked[], Asked[]]
  const statuses = (asked: readonly Asked[]) => new Set(asked.map(({ status }) => status))
  expect(statuses(alice.filter(({ endedAt }) => endedAt < revokedAt))).toEqual(new Set([200]))
  expect(statuses(alice.filter(({ startedAt }) => startedAt > committedAt + 1_000))).toEqual(new Set([401]))
  // Others neither notice nor are noticed.
  expect(statuses(bob)).toEqual(new Set([200]))
  expect([...statuses(strangers)].filter((status) => status !== 401 && status !== 429)).toEqual([])
})
