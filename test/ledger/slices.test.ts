/** A limit that calls of all organizations share, leased to processes in slices: exact, though nobody holds a lock that all need. */
import { setImmediate as turn } from 'node:timers/promises'
import { expect, onTestFinished, test, vi } from 'vitest'
import { TollgateError } from '../../src/http/errors.ts'
import type { HoldRequest } from '../../src/ledger/ledger.ts'
import type { SharedLimit } from '../../src/ledger/slices.ts'
import { useDatabase } from '../support/database.ts'
import { credit, holdRequest, openLedger, releaseOf, settlementOf } from '../support/open-ledger.ts'

vi.setConfig({ testTimeout: 60_000 })

const db = useDatabase()
const seed = () => db.seedOrganization({ credits: 100_000, users: { alice: 50_000 } })
let limits = 0

/** Of all time, and nobody else's. */
function shared(credits: bigint): SharedLimit {
  limits += 1
  return { kind: 'proxy', id: `test ${limits}`, window: null, amount: credits * credit }
}

const open = (sharedLimit: SharedLimit) =>
  openLedger({ databaseUrl: db.url, onFinish: onTestFinished, sharedLimit, renewSeconds: 1, deadAfterSeconds: 1 })

/** What is used, held and granted of the limit in all its slices. */
async function sums({ id }: SharedLimit) {
  const { rows } = await db.pool.query(
    `select trim_scale(sum(l.used)) as used, trim_scale(sum(l.held)) as held, s.granted = sum(l.limit_amount) as "addsUp",
        s.granted <= s.amount as within
      from tollgate.ledger_shared_limits s
      join tollgate.ledger_limits l on l.kind = s.kind and l.window_start = s.window_start and starts_with(l.id, s.id || '#')
      where s.id = $1 group by s.granted, s.amount`,
    [id],
  )
  return rows[0]
}

const codeOf = (error: unknown) => (error instanceof TollgateError ? `${error.status} ${error.code}` : String(error))

test('Calls of many organizations in two processes use up a shared limit exactly, and never pass it.', async () => {
  const limit = shared(370n)
  const [one, other] = [await open(limit), await open(limit)]
  const organizations = await Promise.all(Array.from({ length: 6 }, seed))
  const requests = Array.from({ length: 200 }, (_, i) => holdRequest(organizations[i % 6] as (typeof organizations)[0]))
  const held: HoldRequest[] = []
  const refused: string[] = []
  await Promise.all(
    requests.map(async (request, i) => {
      const { ledger } = i % 2 === 0 ? one : other
      try {
        await ledger.hold(request)
        held.push(request)
      } catch (error) {
        refused.push(codeOf(error))
      }
    }),
  )
  expect(held.length).toBe(37)
  expect(new Set(refused)).toEqual(new Set(['429 budget_in_flight']))
  expect(await sums(limit)).toEqual({ used: '0', held: '370', addsUp: true, within: true })
  await Promise.all(held.map((request) => one.ledger.settle(settlementOf(request, 10n * credit))))
  expect(await sums(limit)).toEqual({ used: '370', held: '0', addsUp: true, within: true })
  const last = holdRequest(organizations[0] as (typeof organizations)[0])
  await expect(one.ledger.hold(last)).rejects.toMatchObject({ status: 429, code: 'budget_exceeded' })
  await expect(other.ledger.hold({ ...last, output: 0n, least: 0n })).resolves.toMatchObject({ held: 0n })
})

test('What calls held and did not use serves others, in whatever slice it lies, down to the last credit.', async () => {
  const limit = shared(100n)
  const [one, other] = [await open(limit), await open(limit)]
  const org = await seed()
  for (let i = 0; i < 8; i += 1) {
    const { ledger } = i % 2 === 0 ? one : other
    const request = holdRequest(org, { output: 60n * credit })
    await ledger.hold(request)
    await ledger.settle(settlementOf(request, 5n * credit))
  }
  expect(await sums(limit)).toEqual({ used: '40', held: '0', addsUp: true, within: true })
  const rest = holdRequest(org, { output: 60n * credit })
  await other.ledger.hold(rest)
  await expect(one.ledger.hold(holdRequest(org, { output: credit }))).rejects.toMatchObject({
    code: 'budget_in_flight',
  })
  await other.ledger.release(releaseOf(rest))
  // Less than is wanted, but not because of where it lies.
  const part = await one.ledger.hold(holdRequest(org, { output: 90n * credit, least: credit }))
  expect(part.held).toBe(60n * credit)
})

test('A call that wants more than its slice has is not cut short while the limit has enough, nor is a stream that grows.', async () => {
  const limit = shared(10_000n)
  const { ledger } = await open(limit)
  const org = await seed()
  for (const output of [1n, 900n, 2_000n]) {
    const { held } = await ledger.hold(holdRequest(org, { output: output * credit, least: credit }))
    expect(held).toBe(output * credit)
  }
  const stream = holdRequest(org, { output: credit })
  await ledger.hold(stream)
  const total = 5_000n * credit
  const progress = { callId: stream.callId, organizationId: org.id, delivered: null, hold: { total, least: total } }
  expect(await ledger.extend(progress)).toBe(total)
  expect(await sums(limit)).toEqual({ used: '0', held: '7901', addsUp: true, within: true })
  const tooMuch = { ...progress, hold: { total: 8_000n * credit, least: 8_000n * credit } }
  expect(await ledger.extend(tooMuch)).toBeNull()
})

test('A slice of a process that is gone comes back: what it did not use at once, what its calls held once they are recovered.', async () => {
  const limit = shared(100n)
  const [gone, lives] = [await open(limit), await open(limit)]
  const org = await seed()
  const used = holdRequest(org, { output: 30n * credit })
  await gone.ledger.hold(used)
  await gone.ledger.settle(settlementOf(used, 20n * credit))
  await gone.ledger.hold(holdRequest(org, { output: 50n * credit }))
  await gone.close()
  // Holds of other tests may be recovered first.
  await vi.waitFor(() => expect(lives.recovered.length).toBeGreaterThan(0), { timeout: 20_000, interval: 20 })
  await vi.waitFor(async () => expect((await sums(limit)).held).toBe('0'), { timeout: 20_000, interval: 20 })
  const rest = await lives.ledger.hold(holdRequest(org, { output: 80n * credit }))
  expect(rest.held).toBe(80n * credit)
  expect(await sums(limit)).toEqual({ used: '20', held: '80', addsUp: true, within: true })
})

test('While somebody holds the row of one organization, calls of others go on under the limit they share.', async () => {
  const limit = shared(10_000n)
  const { ledger } = await open(limit)
  const organizations = await Promise.all(Array.from({ length: 8 }, seed))
  const [blocked, ...others] = organizations
  for (const org of organizations) await ledger.hold(holdRequest(org))
  const session = await db.pool.connect()
  await session.query('begin')
  await session.query('select 1 from organization_credit_pools where org_id = $1 for update', [blocked?.id])
  const waits = ledger.hold(holdRequest(blocked as (typeof organizations)[0]))
  await turn()
  await Promise.all(others.map((org) => ledger.hold(holdRequest(org))))
  await session.query('rollback')
  session.release()
  expect((await waits).held).toBe(10n * credit)
})
