import { randomUUID } from 'node:crypto'
import pg from 'pg'
import { describe, expect, onTestFinished, test } from 'vitest'
import { sendHolds } from '../../src/ledger/hold-batch.ts'
import type { HoldRequest } from '../../src/ledger/ledger.ts'
import { sendProgress } from '../../src/ledger/progress-batch.ts'
import { balances } from '../support/books.ts'
import { type SeededOrganization, useDatabase } from '../support/database.ts'
import { credit, holdRequest, type OpenedLedger, openLedger, releaseOf, settlementOf } from '../support/open-ledger.ts'

const db = useDatabase()
const seed = () => db.seedOrganization({ credits: 10_000, users: { alice: 10_000 } })
type Org = SeededOrganization<'alice'>
const open = (renewSeconds = 5, deadAfterSeconds = 30) =>
  openLedger({ databaseUrl: db.url, onFinish: onTestFinished, renewSeconds, deadAfterSeconds })

/** Holds of a process whose lease ran out an hour ago; of each, the credits it had delivered, or null without a checkpoint. */
async function leaveBehind(calls: [request: HoldRequest, delivered: bigint | null][]): Promise<string> {
  const owner = randomUUID()
  const client = new pg.Client({ connectionString: db.url })
  await client.connect()
  try {
    await client.query(
      "insert into tollgate.ledger_processes (id, host, pid, version, lease_until) values ($1, 'gone', 1, 'test', 'infinity')",
      [owner],
    )
    await sendHolds(
      client,
      owner,
      calls.map(([request]) => request),
    )
    const progress = calls.flatMap(([{ callId, organizationId }, credits]) =>
      credits === null ? [] : [{ callId, organizationId, delivered: { credits, apiCost: credits / 2n }, hold: null }],
    )
    if (progress.length > 0) await sendProgress(client, progress)
    await client.query(
      "update tollgate.ledger_processes set lease_until = tollgate.tollgate_now() - interval '1 hour' where id = $1",
      [owner],
    )
    return owner
  } finally {
    await client.end()
  }
}

/** entry, credits, api_cost, markup_applied, provenance, outcome */
async function rowsOf(callId: string): Promise<string[]> {
  const { rows } = await db.pool.query<{ row: string }>(
    `select concat_ws(' ', entry, trim_scale(credits_used), trim_scale(api_cost), trim_scale(markup_applied),
      coalesce(provenance, '-'), outcome) as row from credit_usage_attribution where call_id = $1 order by entry`,
    [callId],
  )
  return rows.map(({ row }) => row)
}

async function stateOf(callId: string): Promise<string | undefined> {
  const { rows } = await db.pool.query<{ state: string }>(
    'select state from tollgate.ledger_holds where call_id = $1',
    [callId],
  )
  return rows[0]?.state
}

const soon = { timeout: 10_000, interval: 10 }
const closed = (callId: string) => expect.poll(() => stateOf(callId), soon).not.toBe('open')

describe('the holds of a process that is gone', () => {
  test('The holds of a process that is gone are charged at their last checkpoint, and released without one.', async () => {
    const org = await seed()
    const [charged, nothing, zero] = [
      holdRequest(org, { requestId: 'req-1', context: { deployment: 'openai-1', key_id: 'k', session_id: 's-1' } }),
      holdRequest(org),
      holdRequest(org),
    ]
    const owner = await leaveBehind([
      [charged, 4_000_002n],
      [nothing, null],
      [zero, 0n],
    ])
    const { ledger, recovered } = await open()
    for (const { callId } of [charged, nothing, zero]) await closed(callId)
    expect(recovered).toEqual([{ organizationId: org.id, charged: 2, released: 1, credits: '4.000002' }])
    expect(await Promise.all([charged, nothing, zero].map(({ callId }) => stateOf(callId)))).toEqual([
      'recovered',
      'released',
      'recovered',
    ])
    expect(await rowsOf(charged.callId)).toEqual(['charge 4.000002 0.002000001 0.002000001 recovered recovered'])
    expect(await rowsOf(nothing.callId)).toEqual(['charge 0 0 0 - recovered'])
    expect(await rowsOf(zero.callId)).toEqual(['charge 0 0 0 recovered recovered'])
    const { rows } = await db.pool.query(
      'select service_name, request_id, user_id, source, details from credit_usage_attribution where call_id = $1',
      [charged.callId],
    )
    const details = {
      model: 'gpt-5',
      deployment: 'openai-1',
      key_id: 'k',
      session_id: 's-1',
      recovered_from: owner,
    }
    expect(rows).toEqual([{ service_name: 'gpt-5', request_id: 'req-1', user_id: 'alice', source: 'proxy', details }])
    expect((await balances(db.pool, org.id)).users.alice).toEqual({ allocated: '10000', used: '4.000002', held: '0' })
    expect(ledger.open).toBe(true)
  })

  test('The holds of a process that is gone are left alone while its lease is valid, and until it is over for long enough.', async () => {
    const org = await seed()
    const call = holdRequest(org)
    const owner = await leaveBehind([[call, 1_000_000n]])
    const lease = (until: string) =>
      db.pool.query(
        `update tollgate.ledger_processes set lease_until = tollgate.tollgate_now() + interval '${until}' where id = $1`,
        [owner],
      )
    await lease('1 second')
    const observer = await open(0.05, 60)
    const renewals = renewalsOf(observer)
    await renewals(3)
    await lease('-59 seconds')
    await renewals(3)
    expect(await stateOf(call.callId)).toBe('open')
    await lease('-61 seconds')
    await closed(call.callId)
    expect(await stateOf(call.callId)).toBe('recovered')
  })

  test('Two processes recover at once: each hold once.', async () => {
    const orgs = await Promise.all(Array.from({ length: 4 }, seed))
    // More of one organization than one step takes.
    const calls = orgs.flatMap((org, i) => Array.from({ length: i === 0 ? 450 : 20 }, () => holdRequest(org)))
    for (let i = 0; i < calls.length; i += 250) {
      await leaveBehind(calls.slice(i, i + 250).map((call, k) => [call, k % 2 === 0 ? 1_500_000n : null]))
    }
    const both = await Promise.all([open(60), open(60)])
    const ids = orgs.map(({ id }) => id)
    const openHolds = async () => {
      const { rows } = await db.pool.query<{ open: number }>(
        "select count(*)::int as open from tollgate.ledger_holds where state = 'open' and org_id = any($1)",
        [ids],
      )
      return rows[0]?.open
    }
    await expect.poll(openHolds, soon).toBe(0)
    await Promise.all(both.map(({ close }) => close()))
    const said = both.flatMap(({ recovered }) => recovered)
    const sum = (of: (some: OpenedLedger['recovered'][number]) => number) =>
      said.reduce((all, some) => all + of(some), 0)
    expect([sum(({ charged }) => charged), sum(({ released }) => released)]).toEqual([255, 255])
    expect(sum(({ credits }) => Number(credits))).toBe(255 * 1.5)
    const { rows } = await db.pool.query(
      'select count(*)::int as rows, count(distinct call_id)::int as calls from credit_usage_attribution where org_id = any($1)',
      [ids],
    )
    expect(rows).toEqual([{ rows: 510, calls: 510 }])
  })

  test('An organization whose pool somebody holds keeps no other from being recovered.', async () => {
    const orgs = (await Promise.all(Array.from({ length: 5 }, seed))).sort((a, b) => (a.id < b.id ? -1 : 1))
    const calls = orgs.map((org) => holdRequest(org))
    const [locked, ...others] = calls as [HoldRequest, ...HoldRequest[]]
    await leaveBehind(calls.map((call) => [call, credit]))
    const client = await db.pool.connect()
    try {
      await client.query('begin')
      await client.query('select 1 from organization_credit_pools where org_id = $1 for update', [
        locked.organizationId,
      ])
      const { troubles } = await open(0.1)
      for (const { callId } of others) await closed(callId)
      expect(await stateOf(locked.callId)).toBe('open')
      await expect.poll(() => troubles.map(({ what }) => what), soon).toContain('recovery')
      await client.query('rollback')
    } finally {
      client.release(true)
    }
    await closed(locked.callId)
    expect(await rowsOf(locked.callId)).toEqual(['charge 1 0.0005 0.0005 recovered recovered'])
  })

  test('The holds of a process that is gone are recovered at once where it stopped, and not again.', async () => {
    const org = await seed()
    const stopping = await open()
    const call = holdRequest(org)
    await stopping.ledger.hold(call)
    const observer = await open(0.05, 3_600)
    expect(await stopping.ledger.drain(1_000)).toBe(true)
    expect(await stateOf(call.callId)).toBe('open')
    await stopping.close()
    await closed(call.callId)
    await renewalsOf(observer)(3)
    expect(observer.recovered).toEqual([{ organizationId: org.id, charged: 0, released: 1, credits: '0' }])
  })

  test('Holds of a process nobody knows are recovered once they are old enough.', async () => {
    const org = await seed()
    const call = holdRequest(org)
    const owner = await leaveBehind([[call, credit]])
    await db.pool.query('delete from tollgate.ledger_processes where id = $1', [owner])
    const observer = await open(0.05, 60)
    await renewalsOf(observer)(3)
    expect(await stateOf(call.callId)).toBe('open')
    await db.moveClock('61 seconds')
    await closed(call.callId)
    expect(await rowsOf(call.callId)).toEqual(['charge 1 0.0005 0.0005 recovered recovered'])
  })
})

/** Resolves once the lease of a process was renewed so many times; after each it recovers. */
function renewalsOf({ owner }: OpenedLedger): (times: number) => Promise<void> {
  const lease = async () => {
    const { rows } = await db.pool.query<{ until: string }>(
      'select lease_until::text as until from tollgate.ledger_processes where id = $1',
      [owner()],
    )
    return rows[0]?.until
  }
  return async (times) => {
    for (let i = 0; i < times; i += 1) {
      const before = await lease()
      await expect.poll(lease, soon).not.toBe(before)
    }
  }
}

describe('a call that is closed again', () => {
  async function held(): Promise<{ org: Org; call: HoldRequest; opened: OpenedLedger }> {
    const org = await seed()
    const opened = await open()
    const call = holdRequest(org)
    await opened.ledger.hold(call)
    return { org, call, opened }
  }

  async function correctionsOf(callId: string): Promise<string[]> {
    const { rows } = await db.pool.query<{ row: string }>(
      `select concat_ws(' ', trim_scale(pool_total), trim_scale(pool_allocated), trim_scale(allocation_allocated)) as row
      from tollgate.ledger_journal where kind = 'correction' and call_id = $1`,
      [callId],
    )
    return rows.map(({ row }) => row)
  }

  /** What is left to spend: a correction downwards is given back, what is used never decreases. */
  async function leftOf(org: Org): Promise<bigint> {
    const { users } = await balances(db.pool, org.id)
    const micro = (text = '0') => BigInt(Math.round(Number(text) * 1e6))
    return micro(users.alice?.allocated) - micro(users.alice?.used) - micro(users.alice?.held)
  }

  test('A call that is settled twice keeps the first charge, which is answered again.', async () => {
    const { org, call, opened } = await held()
    const first = { state: 'settled', charged: 3_000_001n, remaining: 9_996_999_999n }
    expect(await opened.ledger.settle(settlementOf(call, 3_000_001n))).toMatchObject(first)
    expect(await opened.ledger.settle(settlementOf(call, 9_000_000n))).toMatchObject(first)
    await opened.ledger.release(releaseOf(call))
    expect(await rowsOf(call.callId)).toEqual(['charge 3.000001 0.002000001 0.001 provider_usage answered'])
    expect(await correctionsOf(call.callId)).toEqual([])
    expect(await leftOf(org)).toBe(9_996_999_999n)
  })

  test('A call that is settled and released in one batch has one charge.', async () => {
    const { call, opened } = await held()
    await Promise.all([
      opened.ledger.settle(settlementOf(call, 3_000_000n)),
      opened.ledger.settle(settlementOf(call, 3_000_000n)),
      opened.ledger.settle(settlementOf(call, 3_000_000n)),
    ])
    expect(await opened.ledger.drain(20_000)).toBe(true)
    expect(await rowsOf(call.callId)).toEqual(['charge 3 0.002 0.001 provider_usage answered'])
  })

  test('A call that is settled after it was released is charged what it cost, once.', async () => {
    const { org, call, opened } = await held()
    await opened.ledger.release(releaseOf(call))
    expect(await opened.ledger.settle(settlementOf(call, 3_000_000n))).toMatchObject({ charged: 3_000_000n })
    expect(await opened.ledger.settle(settlementOf(call, 6_000_000n))).toMatchObject({ charged: 3_000_000n })
    expect(await rowsOf(call.callId)).toEqual([
      'charge 0 0 0 - failed',
      'correction 3 0.002 0.001 provider_usage answered',
    ])
    expect(await correctionsOf(call.callId)).toEqual([])
    expect(await leftOf(org)).toBe(9_997_000_000n)
  })

  test('A call that is settled without a hold row is booked in full, once.', async () => {
    const org = await seed()
    const { ledger } = await open()
    const call = holdRequest(org)
    expect(await ledger.settle(settlementOf(call, 3_000_000n))).toMatchObject({ charged: 3_000_000n })
    expect(await ledger.settle(settlementOf(call, 6_000_000n))).toMatchObject({ charged: 3_000_000n })
    expect(await rowsOf(call.callId)).toEqual(['charge 3 0.002 0.001 provider_usage answered'])
    expect(await leftOf(org)).toBe(9_997_000_000n)
  })

  test.each<[string, bigint, string[], string[]]>([
    ['more', 9_000_000n, ['correction 3 0.003 0 provider_usage answered'], []],
    ['less', 1_500_000n, [], ['4.5 4.5 4.5']],
    ['nothing', 0n, [], ['6 6 6']],
    ['the same', 6_000_000n, [], []],
  ])(
    'A call that is settled at %s than was recovered is booked by the difference, signed, once.',
    async (_, charge, attributed, journalled) => {
      const org = await seed()
      const call = holdRequest(org)
      await leaveBehind([[call, 6_000_000n]])
      const { ledger } = await open()
      await closed(call.callId)
      const first = { state: 'settled', charged: charge, remaining: 10_000n * credit - charge }
      expect(await ledger.settle(settlementOf(call, charge))).toMatchObject(first)
      expect(await ledger.settle(settlementOf(call, 100n * credit))).toMatchObject({
        charged: journalled.length + attributed.length > 0 ? charge : 100n * credit,
      })
      const again =
        journalled.length + attributed.length > 0
          ? []
          : ['correction 94 0.063666667 0.030333333 provider_usage answered']
      expect(await rowsOf(call.callId)).toEqual(['charge 6 0.003 0.003 recovered recovered', ...attributed, ...again])
      expect(await correctionsOf(call.callId)).toEqual(journalled)
      expect(await leftOf(org)).toBe(10_000n * credit - (again.length > 0 ? 100n * credit : charge))
      await ledger.release(releaseOf(call))
      expect(await stateOf(call.callId)).toBe('recovered')
    },
  )
})
