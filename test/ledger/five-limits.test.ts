/** A call with five limits, each of them the one that refuses: exact, however calls come. */
import { expect, onTestFinished, test, vi } from 'vitest'
import { TollgateError } from '../../src/http/errors.ts'
import type { HoldRequest, Ledger, Limit } from '../../src/ledger/ledger.ts'
import { useDatabase } from '../support/database.ts'
import { credit, holdRequest, openLedger, settlementOf } from '../support/open-ledger.ts'

vi.setConfig({ testTimeout: 60_000 })

const db = useDatabase()
const KINDS = ['customer', 'key', 'quota', 'run', 'team'] as const
type Kind = (typeof KINDS)[number]
const FIT = 7
const CALLS = 40

/** Of the tight one there is enough for seven calls of ten credits and a half; of the others for all. */
function limitsOf(id: string, tight: Kind): Limit[] {
  return KINDS.map((kind) => {
    const isQuota = kind === 'quota'
    const enough = kind === tight ? FIT : CALLS
    const amount = isQuota ? BigInt(enough) * credit : BigInt(enough) * 10n * credit + 5n * credit
    return {
      kind,
      id: `${id}/${kind}`,
      window: kind === 'run' ? null : 'month',
      unit: isQuota ? 'calls' : 'credits',
      amount,
    }
  })
}

async function counters(id: string, column: 'held' | 'used') {
  const { rows } = await db.pool.query<{ kind: Kind; value: string }>(
    `select kind, trim_scale(${column}) as value from tollgate.ledger_limits where starts_with(id, $1 || '/') order by kind`,
    [id],
  )
  return Object.fromEntries(rows.map(({ kind, value }) => [kind, Number(value)]))
}

const everyLimit = (calls: number, credits: number) =>
  Object.fromEntries(KINDS.map((kind) => [kind, kind === 'quota' ? calls : calls * credits]))

async function ledgers(count: number): Promise<Ledger[]> {
  const opened = Array.from({ length: count }, () => openLedger({ databaseUrl: db.url, onFinish: onTestFinished }))
  return (await Promise.all(opened)).map(({ ledger }) => ledger)
}

/** Those that are held, and by which limit the others were refused. */
async function ask(of: readonly Ledger[], requests: readonly HoldRequest[], oneByOne: boolean) {
  const held: HoldRequest[] = []
  const refusedBy: unknown[] = []
  const one = async (request: HoldRequest, i: number) => {
    try {
      await of[i % of.length]?.hold(request)
      held.push(request)
    } catch (error) {
      if (!(error instanceof TollgateError)) throw error
      refusedBy.push(error.fields.limit_id ?? error.code)
    }
  }
  if (oneByOne) for (const [i, request] of requests.entries()) await one(request, i)
  else await Promise.all(requests.map(one))
  return { held, refusedBy }
}

const WAYS = { 'one by one': 1, 'all at once': 1, 'over two replicas': 2 } as const
const CASES = KINDS.flatMap((kind) => Object.keys(WAYS).map((way) => [kind, way as keyof typeof WAYS] as const))

test.each(CASES)('Of five limits the %s refuses, by its name, what it can not cover: %s.', async (tight, way) => {
  const org = await db.seedOrganization({ credits: 100_000, users: { alice: 50_000 } })
  const of = await ledgers(WAYS[way])
  const limits = limitsOf(org.id, tight)
  const requests = Array.from({ length: CALLS }, () => holdRequest(org, { limits }))
  const { held, refusedBy } = await ask(of, requests, way === 'one by one')
  expect(held.length).toBe(FIT)
  expect(refusedBy.length).toBe(CALLS - FIT)
  if (tight !== 'quota') expect(new Set(refusedBy)).toEqual(new Set([`${org.id}/${tight}`]))
  expect(await counters(org.id, 'held')).toEqual(everyLimit(FIT, 10))
  // Less than was held: what is given back is there for others, to the credit.
  await Promise.all(held.map((request, i) => of[i % of.length]?.settle(settlementOf(request, 9n * credit))))
  expect(await counters(org.id, 'used')).toEqual(everyLimit(FIT, 9))
  expect(await counters(org.id, 'held')).toEqual(everyLimit(0, 0))
  const again = await ask(of, [holdRequest(org, { limits })], true)
  expect(again.held.length).toBe(tight === 'quota' ? 0 : 1)
})
