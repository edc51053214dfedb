/** A limit under a burst, whoever serves it: two replicas of two workers each, on one database. */
import { afterAll, beforeAll, expect, test, vi } from 'vitest'
import { expectNothingHeld } from '../support/call-books.ts'
import { useDatabase } from '../support/database.ts'
import { type CallAnswer, configFor, postChat, startTollgate, type Tollgate } from '../support/tollgate.ts'
import { type ScriptedUpstream, startUpstream } from '../support/upstream.ts'
import { chatAnswer } from '../support/upstream-answers.ts'

// Processes that start one after the other, on a busy machine.
vi.setConfig({ testTimeout: 120_000, hookTimeout: 60_000 })

/** 100 tokens at $0.00002 and 50 % on top: 3 credits, held and charged. */
const CALL = { model: 'exact', max_tokens: 100, messages: [{ role: 'user', content: 'Count to a hundred' }] }
const USAGE = { prompt_tokens: 7, completion_tokens: 100, total_tokens: 107 }

const db = useDatabase()
let upstream: ScriptedUpstream
let replicas: Tollgate[]

beforeAll(async () => {
  upstream = await startUpstream()
  upstream.respond(() => chatAnswer({ model: 'exact', usage: USAGE }))
  const config = configFor(upstream.url, { tollgate: { limits: { credit_wait_seconds: 60 } } })
  const start = () => startTollgate({ databaseUrl: db.url, config, flags: ['--workers', '2'] })
  replicas = [await start(), await start()]
})
afterAll(async () => {
  for (const replica of replicas) replica.kill()
  await Promise.all(replicas.map(({ exited }) => exited))
  await upstream.close()
})

const codeOf = (answer: CallAnswer) => (answer.json() as { error: { code: string } }).error.code

test('200 parallel calls of a key with a budget for 37 of them: exactly 37 are served, the others are told that it is used up.', async () => {
  const acme = await db.seedOrganization({ credits: 10_000, users: { alice: 5_000 } })
  await db.pool.query(
    `insert into tollgate.ledger_limits (kind, id, window_start, unit, limit_amount) values ('key', $1, '1970-01-01T00:00:00Z', 'credits', 111)`,
    [acme.keyIds.alice],
  )
  const before = upstream.requests.length
  const answers = await Promise.all(
    Array.from({ length: 200 }, (_, i) => postChat(replicas[i % 2] as Tollgate, acme.keys.alice, CALL)),
  )
  const outcomes = answers.map((answer) => (answer.status === 200 ? 'served' : codeOf(answer)))
  expect(Object.groupBy(outcomes, (outcome) => outcome)).toEqual({
    served: Array(37).fill('served'),
    budget_exceeded: Array(163).fill('budget_exceeded'),
  })
  expect(upstream.requests.length - before).toBe(37)
  const { rows } = await db.pool.query(
    'select trim_scale(used) as used, trim_scale(held) as held from tollgate.ledger_limits where id = $1',
    [acme.keyIds.alice],
  )
  expect(rows).toEqual([{ used: '111', held: '0' }])
  await expectNothingHeld(db.pool)
})
