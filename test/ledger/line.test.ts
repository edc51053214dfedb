/** Calls of several processes that wait for each other: for credits and for limits, in the order they came. */
import { expect, onTestFinished, test, vi } from 'vitest'
import { TollgateError } from '../../src/http/errors.ts'
import type { Hold, HoldRequest, Limit } from '../../src/ledger/ledger.ts'
import { useDatabase } from '../support/database.ts'
import {
  credit,
  holdRequest,
  type LedgerProcess,
  openLedger,
  settlementOf,
  startLedgerProcess,
} from '../support/open-ledger.ts'

vi.setConfig({ testTimeout: 60_000 })

const db = useDatabase()
const seed = () => db.seedOrganization({ credits: 10_000, users: { alice: 5_000, bob: 40 } })
const twoProcesses = (creditWaitMs = 50_000) =>
  Promise.all(
    [0, 1].map(() => startLedgerProcess({ databaseUrl: db.url, onFinish: onTestFinished, creditWaitMs })),
  ) as Promise<[LedgerProcess, LedgerProcess]>

const limit = (kind: string, id: string, credits: bigint): Limit => ({
  ...{ kind, id, window: null, unit: 'credits' as const, amount: credits * credit },
})

async function inLine(count: number): Promise<void> {
  await vi.waitFor(
    async () => {
      const { rows } = await db.pool.query('select count(*)::int as count from tollgate.ledger_waiters')
      expect(rows).toEqual([{ count }])
    },
    { timeout: 20_000, interval: 10 },
  )
}

async function usedOf(id: string): Promise<unknown> {
  const { rows } = await db.pool.query(
    'select trim_scale(used) as used, trim_scale(held) as held from tollgate.ledger_limits where id = $1',
    [id],
  )
  return rows
}

const codeOf = (error: unknown) => (error instanceof TollgateError ? `${error.status} ${error.code}` : String(error))

/** Each holds `holds` and costs `costs`; what became of it. */
async function callOn(process: LedgerProcess, request: HoldRequest, costs: bigint): Promise<string> {
  try {
    await process.hold(request)
  } catch (error) {
    return codeOf(error)
  }
  await process.settle(settlementOf(request, costs * credit))
  return 'served'
}

test.each(['credits', 'calls'] as const)(
  'Of 200 calls at once over two processes, on a limit of %s for 37 of them, exactly 37 are served.',
  async (unit) => {
    const org = await seed()
    const processes = await twoProcesses()
    const run: Limit = { ...limit('run', org.id, unit === 'calls' ? 37n : 370n), unit }
    const outcomes = await Promise.all(
      Array.from({ length: 200 }, (_, i) =>
        callOn(processes[i % 2 === 0 ? 0 : 1], holdRequest(org, { limits: [run] }), 10n),
      ),
    )
    expect(Object.groupBy(outcomes, (outcome) => outcome)).toEqual({
      served: Array(37).fill('served'),
      '402 run_exhausted': Array(163).fill('402 run_exhausted'),
    })
    expect(await usedOf(org.id)).toEqual([{ used: unit === 'calls' ? '37' : '370', held: '0' }])
    await inLine(0)
  },
)

test.each(['the limit of a team', 'the credits of the user'])(
  'Calls that hold more than they use come in one after another, in the order they came to either process: %s.',
  async (what) => {
    const org = await seed()
    const processes = await twoProcesses()
    const isLimit = what !== 'the credits of the user'
    const requests = Array.from({ length: 6 }, () =>
      holdRequest(org, {
        ...{ output: 30n * credit, userId: isLimit ? 'alice' : 'bob' },
        ...(isLimit ? { limits: [limit('team', org.id, 40n)] } : {}),
      }),
    )
    const seen: number[] = []
    const calls = []
    for (const [i, request] of requests.entries()) {
      const held = processes[i % 2 === 0 ? 0 : 1].hold(request)
      calls.push(
        held.then(
          () => seen.push(i),
          (error) => codeOf(error),
        ),
      )
      if (i === 0) await held
      await inLine(i)
    }
    expect(seen).toEqual([0])
    // Two credits each of the ten that must not be used up: six calls fit, if they come one after another.
    for (const [i, request] of requests.entries()) {
      await calls[i]
      expect(seen).toEqual([...Array(i + 1).keys()])
      await processes[i % 2 === 0 ? 0 : 1].settle(settlementOf(request, 2n * credit))
    }
    await inLine(0)
  },
)

test('Who came later does not overtake, though it would fit; who touches neither the limit nor the allocation does.', async () => {
  const org = await seed()
  const [first, second] = await twoProcesses()
  const team = limit('team', org.id, 40n)
  const runs = holdRequest(org, { output: 30n * credit, limits: [team] })
  await first.hold(runs)
  const large = holdRequest(org, { output: 35n * credit, limits: [team] })
  const seen: string[] = []
  const waits = first.hold(large).then(() => seen.push('large'))
  await inLine(1)
  const small = holdRequest(org, { output: 5n * credit, limits: [team], userId: 'bob' })
  const behind = second.hold(small).then(() => seen.push('small'))
  await inLine(2)
  const others = await second.hold(holdRequest(org, { output: 5n * credit }))
  expect(others.waitedMs).toBeUndefined()
  expect(seen).toEqual([])
  await second.settle(settlementOf(runs, 0n))
  await Promise.all([waits, behind])
  // By when they were held: two processes may tell of it in either order.
  const { rows } = await db.pool.query(
    `select call_id from tollgate.ledger_holds
      where org_id = $1 order by created_at desc limit 2`,
    [org.id],
  )
  expect(rows.map(({ call_id }) => call_id)).toEqual([small.callId, large.callId])
})

test('When its time is over a call is refused for now, and the one behind it has its turn.', async () => {
  const org = await seed()
  const [patient, hasty] = await Promise.all(
    [50_000, 300].map((creditWaitMs) =>
      startLedgerProcess({ databaseUrl: db.url, onFinish: onTestFinished, creditWaitMs }),
    ),
  )
  const team = limit('team', org.id, 40n)
  await patient?.hold(holdRequest(org, { output: 30n * credit, limits: [team] }))
  const tooLarge = hasty?.hold(holdRequest(org, { output: 35n * credit, limits: [team] })).catch(codeOf)
  await inLine(1)
  const behind = patient?.hold(holdRequest(org, { output: 5n * credit, limits: [team] })) as Promise<Hold>
  expect(await tooLarge).toBe('429 budget_in_flight')
  const { waitedMs } = await behind
  expect(waitedMs).toBeGreaterThan(0)
})

test.each(['the limit of a team', 'the credits of the user'])(
  'A line whose limit is used up is refused together, not one call after another: %s.',
  async (what) => {
    const org = await seed()
    const isLimit = what === 'the limit of a team'
    let batches = 0
    const observer = {
      hold() {},
      settle() {},
      batch(kind: string) {
        if (kind === 'hold') batches += 1
      },
    }
    const { ledger } = await openLedger({
      ...{ databaseUrl: db.url, onFinish: onTestFinished, creditWaitMs: 50_000, observer },
    })
    const request = (credits: bigint) =>
      holdRequest(org, {
        ...{ output: credits * credit, userId: isLimit ? 'alice' : 'bob' },
        ...(isLimit ? { limits: [limit('team', org.id, 40n)] } : {}),
      })
    const runs = request(40n)
    await ledger.hold(runs)
    const waiting = Array.from({ length: 127 }, () => ledger.hold(request(10n)).catch(codeOf))
    await inLine(127)
    const before = batches
    await ledger.settle(settlementOf(runs, 40n * credit))
    const refused = isLimit ? '429 budget_exceeded' : '402 insufficient_credits'
    expect(await Promise.all(waiting)).toEqual(Array(127).fill(refused))
    expect(batches - before).toBeLessThan(40)
    await inLine(0)
  },
)

test('A call of a process that died while it waited is in nobody’s way once its time is over.', async () => {
  const org = await seed()
  const [patient, dies] = await Promise.all(
    [50_000, 500].map((creditWaitMs) =>
      startLedgerProcess({ databaseUrl: db.url, onFinish: onTestFinished, creditWaitMs }),
    ),
  )
  const team = limit('team', org.id, 40n)
  await patient?.hold(holdRequest(org, { output: 30n * credit, limits: [team] }))
  dies?.hold(holdRequest(org, { output: 35n * credit, limits: [team] })).catch(() => {})
  await inLine(1)
  await dies?.kill()
  const held = await patient?.hold(holdRequest(org, { output: 5n * credit, limits: [team] }))
  expect(held?.held).toBe(5n * credit)
})
