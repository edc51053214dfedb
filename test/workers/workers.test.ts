/** `start --workers 2` as callers and operators see it: one port, limits and books of one process, and what becomes of it when processes die. */
import { once } from 'node:events'
import { createServer } from 'node:net'
import { setTimeout as pause } from 'node:timers/promises'
import { afterAll, afterEach, beforeAll, expect, test, vi } from 'vitest'
import { scrape } from '../observe/samples.ts'
import { balanceOf, expectNothingHeld, rowsOf } from '../support/call-books.ts'
import { type SeededOrganization, useDatabase } from '../support/database.ts'
import { type OpenCall, openCall } from '../support/open-call.ts'
import { runCommand } from '../support/run-tollgate.ts'
import { type CallAnswer, configFor, postChat, startTollgate, type Tollgate } from '../support/tollgate.ts'
import { type ScriptedUpstream, startUpstream } from '../support/upstream.ts'
import { chatAnswer, chatStream } from '../support/upstream-answers.ts'

// Processes that start one after the other, on a busy machine.
vi.setConfig({ testTimeout: 60_000, hookTimeout: 60_000 })

/** 100 tokens at $0.00002 and 50 % on top: 3 credits, held and charged. */
const CALL = { model: 'exact', max_tokens: 100, messages: [{ role: 'user', content: 'Count to a hundred' }] }
const USAGE = { prompt_tokens: 7, completion_tokens: 100, total_tokens: 107 }

/** Ten calls a minute. */
const SERVICE_KEY = 'sk-9d1f0c7be84a5326f0b1c8d7e6a59423'

const db = useDatabase()
let upstream: ScriptedUpstream
let tollgate: Tollgate
let service: SeededOrganization<'alice'>

beforeAll(async () => {
  upstream = await startUpstream()
  service = await db.seedOrganization({ credits: 1_000, users: { alice: 500 } })
  tollgate = await startWorkers()
})
afterEach(() => expectNothingHeld(db.pool))
afterAll(async () => {
  tollgate.kill()
  await tollgate.exited
  await upstream.close()
})

function startWorkers(): Promise<Tollgate> {
  const config = configFor(upstream.url, {
    tollgate: {
      leases: { renew_seconds: 2, dead_after_seconds: 30 },
      rate_limits: { hybrid: { calls_at_once: 3 } },
      service_keys: [
        { name: 'batch', key: SERVICE_KEY, organization: service.id, user: 'alice', requests_per_minute: 10 },
      ],
      // Two hundred calls at once may all fall on one worker.
      limits: {
        credit_wait_seconds: 0,
        drain_seconds: 120,
        calls_per_key: 512,
        calls_per_user: 512,
        uploads_per_caller: 200,
      },
    },
  })
  return startTollgate({ databaseUrl: db.url, config, flags: ['--workers', '2'] })
}

function workersOf({ output }: Tollgate): number[] {
  const [, list = ''] = /^workers: 2 \(processes ([\d, ]+)\)$/m.exec(output()) ?? []
  return list.split(', ').map(Number)
}

/** Each as soon as it is started. */
function replacementsOf({ output }: Tollgate): number[] {
  return [...output().matchAll(/"starting":\d,"pid":(\d+)/g)].map(([, pid]) => Number(pid))
}

/** The lease of a dead worker runs out now: nobody waits for half a minute. */
async function lapse(pid: number): Promise<void> {
  const { rowCount } = await db.pool.query(
    `update tollgate.ledger_processes set lease_until = tollgate.tollgate_now() - interval '1 hour'
      where pid = $1 and stopped_at is null`,
    [pid],
  )
  expect(rowCount).toBe(1)
}

async function gone(pid: number): Promise<void> {
  await vi.waitFor(() => expect(() => process.kill(pid, 0)).toThrow('ESRCH'), { timeout: 30_000, interval: 20 })
}

const withStatus = (answers: readonly CallAnswer[], status: number) =>
  answers.filter((answer) => answer.status === status)

/** How many responses of each status. */
function countsOf(answers: readonly CallAnswer[]): Record<number, number> {
  const groups = Object.entries(Object.groupBy(answers, ({ status }) => status))
  return Object.fromEntries(groups.map(([status, group]) => [status, group?.length ?? 0]))
}

/** Streams that have shown a frame, and go on when the gate opens; of both workers, since each has a connection of its own. */
async function openStreams(key: string, count: number) {
  const gate = Promise.withResolvers<void>()
  upstream.respond(chatStream({ model: 'exact', usage: USAGE, gate: (i) => (i === 2 ? gate.promise : undefined) }))
  const calls = Array.from({ length: count }, () => openCall(tollgate, key, { ...CALL, stream: true }))
  await Promise.all(calls.map((call) => call.frames(2)))
  return { calls, end: gate.resolve }
}

/** What came of each: true where it came to its proper end. */
async function ends(calls: readonly OpenCall[]): Promise<boolean[]> {
  const closed = await Promise.all(calls.map((call) => call.closed))
  return closed.map(({ body, complete }) => complete && body.endsWith('data: [DONE]\n\n'))
}

test('Of a limit of ten calls a minute ten pass, whichever worker is asked, and each is told what is left.', async () => {
  upstream.respond(chatAnswer({ model: 'exact', usage: USAGE }))
  const answers = await Promise.all(Array.from({ length: 30 }, () => postChat(tollgate, SERVICE_KEY, CALL)))
  const left = withStatus(answers, 200).map(({ headers }) => Number(headers.get('x-ratelimit-remaining')))
  expect(left.sort((one, other) => one - other)).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9])
  expect(withStatus(answers, 429)).toHaveLength(20)
})

test('Of a limit of three calls at once three run, on both workers together, and the next when they are over.', async () => {
  const acme = await db.seedOrganization({ plan: 'hybrid', credits: 1_000, users: { alice: 500 } })
  for (let round = 0; round < 2; round++) {
    const refused = Promise.withResolvers<void>()
    upstream.respond(chatAnswer({ model: 'exact', usage: USAGE, beforeHead: refused.promise }))
    let refusals = 0
    const answers = await Promise.all(
      Array.from({ length: 20 }, async () => {
        const answer = await postChat(tollgate, acme.keys.alice, CALL)
        if (answer.status === 429) refusals += 1
        if (refusals === 17) refused.resolve()
        return answer
      }),
    )
    expect([withStatus(answers, 200).length, withStatus(answers, 429).length]).toEqual([3, 17])
    const [told] = withStatus(answers, 429)
    expect(told?.json()).toMatchObject({ error: { code: 'too_many_calls', limit: 'organization_calls' } })
  }
})

test('Of 200 calls at once with credits for 37 of them 37 run, whichever worker they fall on.', async () => {
  const acme = await db.seedOrganization({ credits: 1_000, users: { alice: 111 } })
  const refused = Promise.withResolvers<void>()
  upstream.respond(chatAnswer({ model: 'exact', usage: USAGE, beforeHead: refused.promise }))
  let refusals = 0
  const answers = await Promise.all(
    Array.from({ length: 200 }, async () => {
      const answer = await postChat(tollgate, acme.keys.alice, CALL)
      if (answer.status !== 200) refusals += 1
      if (refusals === 163) refused.resolve()
      return answer
    }),
  )
  expect(countsOf(answers)).toEqual({ 200: 37, 402: 163 })
  expect(await balanceOf(db.pool, acme.id, 'alice')).toEqual({
    used: '111.000000',
    remaining: '0.000000',
    held: '0.000000',
  })
})

test('/metrics is the sum of both workers, whichever is asked.', async () => {
  const { rows } = await db.pool.query<{ calls: number; credits: number }>(
    "select count(*)::int as calls, sum(credits_used)::float8 as credits from credit_usage_attribution where outcome = 'answered'",
  )
  for (let scrapes = 0; scrapes < 4; scrapes++) {
    const samples = await scrape(tollgate)
    expect({
      calls: samples.get('tollgate_calls_total{provider="openai",outcome="answered",stream="false"}'),
      credits: samples.get('tollgate_credits_charged_total{provider="openai",provenance="provider_usage"}'),
    }).toEqual(rows[0])
    expect(samples.get('tollgate_overhead_seconds_count')).toBe(rows[0]?.calls)
    const states = ['tollgate_workers', 'tollgate_ledger_open', 'tollgate_database_up', 'tollgate_open_holds']
    expect(states.map((name) => samples.get(name))).toEqual([2, 1, 1, 0])
    expect(samples.get('tollgate_calls_in_flight')).toBe(0)
  }
})

test('A worker that is killed is replaced: its calls are recovered, each once, the others run to their end, and counters go on.', async () => {
  const acme = await db.seedOrganization({ credits: 1_000, users: { alice: 500 } })
  const before = await scrape(tollgate)
  const { calls, end } = await openStreams(acme.keys.alice, 16)
  const [first = 0] = workersOf(tollgate)
  process.kill(first, 'SIGKILL')
  await tollgate.outputMatches(/"ended":1,.*"signal":"SIGKILL"/)
  upstream.respond(chatAnswer({ model: 'exact', usage: USAGE }))
  // Nobody knows of the other's death: the port goes on.
  expect((await postChat(tollgate, acme.keys.alice, CALL)).status).toBe(200)
  end()
  const complete = (await ends(calls)).filter(Boolean).length
  expect(complete).toBeGreaterThan(0)
  expect(complete).toBeLessThan(16)
  await tollgate.outputMatches(/"serves":1,.*in the place of one that ended/)
  await lapse(first)
  await vi.waitFor(() => expectNothingHeld(db.pool), { timeout: 30_000 })
  const rows = await rowsOf(db.pool, acme.id)
  expect(new Set(rows.map(({ call_id }) => call_id)).size).toBe(17)
  expect(rows).toHaveLength(17)
  expect(rows.filter(({ outcome }) => outcome === 'answered')).toHaveLength(complete + 1)
  const after = await scrape(tollgate)
  for (const [series, count] of before)
    if (/^tollgate_\w+(?:_total|_count|_sum|_bucket)/.test(series))
      expect(after.get(series), series).toBeGreaterThanOrEqual(count)
  expect(after.get('tollgate_worker_restarts_total')).toBe(1)
  expect(after.get('tollgate_workers')).toBe(2)
})

test('A worker that gets SIGTERM finishes its calls and is replaced; callers see nothing of it.', async () => {
  const acme = await db.seedOrganization({ credits: 1_000, users: { alice: 500 } })
  const { calls, end } = await openStreams(acme.keys.alice, 8)
  const [, second = 0] = workersOf(tollgate)
  process.kill(second, 'SIGTERM')
  await tollgate.outputMatches(/"worker":2,"signal":"SIGTERM"/)
  end()
  expect(await ends(calls)).toEqual(Array(8).fill(true))
  await tollgate.outputMatches(/"serves":2,.*in the place of one that ended/)
  expect(await rowsOf(db.pool, acme.id)).toHaveLength(8)
})

test('More workers than PostgreSQL has connections for are refused with the number that fits.', async () => {
  const args = ['start', '--workers', '64', '--port', '0']
  const { code, stderr } = await runCommand({ args, databaseUrl: db.url })
  expect(code).toBe(2)
  expect(stderr).toMatch(
    /^tollgate: --workers 64 may need 1354 connections to PostgreSQL, which allows \d+\. Take --workers \d+ or fewer, or raise max_connections /m,
  )
})

test('When the primary is killed its workers finish their streams, close their holds and end; the port is free again.', async () => {
  const acme = await db.seedOrganization({ credits: 1_000, users: { alice: 500 } })
  const pids = replacementsOf(tollgate)
  const { calls, end } = await openStreams(acme.keys.alice, 12)
  tollgate.kill()
  await tollgate.outputMatches(/"worker":1,.*THE PRIMARY IS GONE/)
  await tollgate.outputMatches(/"worker":2,.*THE PRIMARY IS GONE/)
  // While they still finish, anybody may have the port, alone.
  const { hostname, port } = new URL(tollgate.url)
  // They say that it is gone before they have closed the port.
  await vi.waitFor(
    async () => {
      const next = createServer().listen(Number(port), hostname)
      await once(next, 'listening')
      next.close()
    },
    { timeout: 10_000, interval: 20 },
  )
  end()
  expect(await ends(calls)).toEqual(Array(12).fill(true))
  await Promise.all(pids.map(gone))
  const rows = await rowsOf(db.pool, acme.id)
  expect(rows.map(({ outcome, credits_used }) => [outcome, credits_used])).toEqual(
    Array(12).fill(['answered', '3.000000']),
  )
})

test('On SIGTERM both drain: what runs is finished, and the exit code is 0.', async () => {
  const acme = await db.seedOrganization({ credits: 1_000, users: { alice: 500 } })
  tollgate = await startWorkers()
  const { calls, end } = await openStreams(acme.keys.alice, 8)
  const exited = tollgate.stop()
  await tollgate.outputMatches(/"worker":1,.*no new calls/)
  await tollgate.outputMatches(/"worker":2,.*no new calls/)
  end()
  expect(await ends(calls)).toEqual(Array(8).fill(true))
  expect(await exited).toBe(0)
  await Promise.all(workersOf(tollgate).map(gone))
  expect(await rowsOf(db.pool, acme.id)).toHaveLength(8)
})

test('Workers that keep ending are started again later each time, and at last the primary ends with the reason.', async () => {
  const doomed = await startWorkers()
  const killed = new Set<number>()
  const ended = doomed.exited.then((code) => ({ code }))
  let over: { code: number | null } | null = null
  while (over === null) {
    for (const pid of [...workersOf(doomed), ...replacementsOf(doomed)]) {
      if (killed.has(pid)) continue
      killed.add(pid)
      process.kill(pid, 'SIGKILL')
    }
    over = await Promise.race([ended, pause(20, null)])
  }
  expect(over).toEqual({ code: 1 })
  expect(doomed.output()).toMatch(
    /^tollgate: The workers can't be kept running: worker \d ended 5 times in a row, and no other serves: ended by SIGKILL\.$/m,
  )
})
