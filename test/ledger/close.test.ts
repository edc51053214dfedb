import { randomUUID } from 'node:crypto'
import pg from 'pg'
import { describe, expect, onTestFinished, test } from 'vitest'
import { sendCloses } from '../../src/ledger/close-batch.ts'
import { balances, close, hold, inLine, type Limit, refusal } from '../support/books.ts'
import { useDatabase } from '../support/database.ts'
import { credit, holdRequest, settlementOf } from '../support/open-ledger.ts'

const db = useDatabase()
const seed = () => db.seedOrganization({ credits: 1_000, users: { alice: 100 } })
const spent = async (id: string) => {
  const { pool, users } = await balances(db.pool, id)
  return { pool: pool.used, alice: users.alice?.used, held: pool.held, overage: pool.overage }
}

async function entries(callId: string): Promise<string[]> {
  const { rows } = await db.pool.query<{ entry: string }>(
    `select entry || ' ' || trim_scale(credits_used) as entry from credit_usage_attribution
    where call_id = $1 order by entry`,
    [callId],
  )
  return rows.map((row) => row.entry)
}

/** A hold as recovery leaves it: closed with a charge of what was delivered, which is on the books. */
async function recovered(organizationId: string, delivered: number): Promise<string> {
  const { callId } = await hold(db.pool, organizationId, { output: 50 })
  await close(db.pool, organizationId, callId, delivered)
  await db.pool.query("update tollgate.ledger_holds set state = 'recovered' where call_id = $1", [callId])
  return callId
}

describe('settling', () => {
  test('Settling charges the true cost and gives back the rest of the hold.', async () => {
    const org = await seed()
    const { callId } = await hold(db.pool, org.id, { output: 50 })
    expect(await close(db.pool, org.id, callId, 12.345678)).toEqual({
      charged: '12.345678',
      remaining: '87.654322',
      key_used: null,
    })
    expect(await spent(org.id)).toEqual({ pool: '12.345678', alice: '12.345678', held: '0', overage: '0' })
    const { rows } = await db.pool.query(
      `select org_id, user_id, credits_used, service_type, service_name, api_cost, markup_applied, total_cost, source,
        provenance, outcome from credit_usage_attribution where call_id = $1`,
      [callId],
    )
    expect(rows).toEqual([
      {
        org_id: org.id,
        user_id: 'alice',
        credits_used: '12.345678',
        service_type: 'llm_inference',
        service_name: 'gpt-5',
        api_cost: '0.012345678',
        markup_applied: '0.000000000',
        total_cost: '0.012345678',
        source: 'proxy',
        provenance: 'provider_usage',
        outcome: 'answered',
      },
    ])
  })

  test('Settling a settled call again returns what the first settle booked.', async () => {
    const org = await seed()
    const { callId } = await hold(db.pool, org.id, { output: 50 })
    await close(db.pool, org.id, callId, 20)
    expect(await close(db.pool, org.id, callId, 30)).toMatchObject({ charged: '20', remaining: '80' })
    expect(await close(db.pool, org.id, callId, null)).toMatchObject({ charged: '20' })
    expect(await entries(callId)).toEqual(['charge 20'])
  })

  test('Settling a call several times at once is one charge.', async () => {
    const org = await seed()
    const { callId } = await hold(db.pool, org.id, { output: 50 })
    const lock = `select from tollgate.ledger_holds where call_id = '${callId}' for update`
    const settle = () => close(db.pool, org.id, callId, 20)
    const answers = await inLine(db.pool, lock, 3, () => Promise.all([settle(), settle(), settle()]))
    expect(answers.map(({ charged }) => charged)).toEqual(['20', '20', '20'])
    expect(await entries(callId)).toEqual(['charge 20'])
    expect(await spent(org.id)).toEqual({ pool: '20', alice: '20', held: '0', overage: '0' })
  })

  test('A call without a hold row is booked in full, once.', async () => {
    const org = await seed()
    const callId = randomUUID()
    const lock = `select from organization_credit_pools where org_id = '${org.id}' for update`
    const settle = () => close(db.pool, org.id, callId, 20)
    const answers = await inLine(db.pool, lock, 3, () => Promise.all([settle(), settle(), settle()]))
    expect(answers.map((answer) => answer.charged)).toEqual(['20', '20', '20'])
    expect(await entries(callId)).toEqual(['charge 20'])
    expect(await spent(org.id)).toEqual({ pool: '20', alice: '20', held: '0', overage: '0' })
  })

  test('A call without a hold row and without an allocation is refused, for nobody is there to charge.', async () => {
    const org = await seed()
    const error = await refusal(close(db.pool, org.id, randomUUID(), 20, 'nobody'))
    expect(error).toMatchObject({
      code: 'P0001',
      message: `No credit allocation found for user nobody in org ${org.id}`,
    })
  })

  test('Settling works on after the organization was suspended and the allocation switched off.', async () => {
    const org = await seed()
    const { callId } = await hold(db.pool, org.id, { output: 50 })
    await db.pool.query("update organizations set status = 'suspended' where id = $1", [org.id])
    await db.pool.query('update user_credit_allocations set is_active = false where org_id = $1', [org.id])
    expect(await close(db.pool, org.id, callId, 20)).toMatchObject({ charged: '20' })
  })

  test('A charge beyond the hold and the money is booked, and the next hold is refused.', async () => {
    const org = await seed()
    const { callId } = await hold(db.pool, org.id, { output: 90 })
    expect(await close(db.pool, org.id, callId, 130)).toMatchObject({ charged: '130', remaining: '-30' })
    expect(await spent(org.id)).toEqual({ pool: '130', alice: '130', held: '0', overage: '30' })
    expect(await hold(db.pool, org.id, { output: 0.000001 })).toMatchObject({ outcome: 'insufficient', available: '0' })
    await db.pool.query("select allocate_credits_to_user($1, 'alice', 31)", [org.id])
    expect(await hold(db.pool, org.id, { output: 1 })).toMatchObject({ outcome: 'held' })
  })
})

describe('releasing', () => {
  test('Releasing gives the hold back and leaves a row without a charge.', async () => {
    const org = await seed()
    const { callId } = await hold(db.pool, org.id, { output: 50 })
    expect(await close(db.pool, org.id, callId, null)).toMatchObject({
      charged: '0',
      remaining: '100',
    })
    expect(await close(db.pool, org.id, callId, null)).toMatchObject({ charged: '0' })
    expect(await entries(callId)).toEqual(['charge 0'])
    expect(await spent(org.id)).toEqual({ pool: '0', alice: '0', held: '0', overage: '0' })
  })

  test('Releasing a call without a hold row does nothing.', async () => {
    const org = await seed()
    const callId = randomUUID()
    expect(await close(db.pool, org.id, callId, null)).toMatchObject({ charged: '0' })
    expect(await entries(callId)).toEqual([])
  })
})

describe('a settle that comes after', () => {
  test('A settle that comes after a release books the charge once, as a correction.', async () => {
    const org = await seed()
    const { callId } = await hold(db.pool, org.id, { output: 50 })
    await close(db.pool, org.id, callId, null)
    expect(await close(db.pool, org.id, callId, 20)).toMatchObject({ charged: '20', remaining: '80' })
    expect(await close(db.pool, org.id, callId, 35)).toMatchObject({ charged: '20', remaining: '80' })
    expect(await entries(callId)).toEqual(['charge 0', 'correction 20'])
    expect(await spent(org.id)).toEqual({ pool: '20', alice: '20', held: '0', overage: '0' })
  })

  test('A settle that comes after a recovery books what is missing once, as a correction.', async () => {
    const org = await seed()
    const callId = await recovered(org.id, 15)
    expect(await close(db.pool, org.id, callId, 20)).toMatchObject({ charged: '20', remaining: '80' })
    expect(await close(db.pool, org.id, callId, 20)).toMatchObject({ charged: '20' })
    expect(await entries(callId)).toEqual(['charge 15', 'correction 5'])
    expect(await spent(org.id)).toEqual({ pool: '20', alice: '20', held: '0', overage: '0' })
  })

  test('A settle that comes after a recovery that charged as much changes nothing.', async () => {
    const org = await seed()
    const callId = await recovered(org.id, 20)
    expect(await close(db.pool, org.id, callId, 20)).toMatchObject({ charged: '20', remaining: '80' })
    expect(await entries(callId)).toEqual(['charge 20'])
  })

  test('A settle that comes after a recovery that charged more gives back the difference once, by a row of the journal.', async () => {
    const org = await seed()
    const callId = await recovered(org.id, 50)
    expect(await close(db.pool, org.id, callId, 20)).toMatchObject({ charged: '20', remaining: '80' })
    expect(await close(db.pool, org.id, callId, 10)).toMatchObject({ charged: '20', remaining: '80' })
    expect(await entries(callId)).toEqual(['charge 50'])
    expect(await balances(db.pool, org.id)).toEqual({
      pool: { total: '1030', allocated: '130', used: '50', held: '0', overage: '0' },
      users: { alice: { allocated: '130', used: '50', held: '0' } },
      entries: 1,
    })
    const { rows } = await db.pool.query(
      'select kind, pool_total, user_id from tollgate.ledger_journal where call_id = $1',
      [callId],
    )
    expect(rows).toEqual([{ kind: 'correction', pool_total: '30.000000', user_id: 'alice' }])
  })

  test('A settle that comes after a recovery that charged more brings an allocation back above zero.', async () => {
    const org = await seed()
    const callId = await recovered(org.id, 110)
    expect((await spent(org.id)).overage).toBe('10')
    expect(await close(db.pool, org.id, callId, 20)).toMatchObject({ charged: '20', remaining: '80' })
    expect((await spent(org.id)).overage).toBe('0')
  })
})

describe('a settle that comes late answers what the key has spent', () => {
  /** A call of the key that is over already, at 7 credits; then one whose hold is closed. */
  async function late(id: string, keyId: string, state: 'released' | 'recovered'): Promise<string> {
    const limits: Limit[] = [{ kind: 'key', id: keyId, window_start: '1970-01-01T00:00:00Z' }]
    const earlier = await hold(db.pool, id, { output: 50, limits })
    await close(db.pool, id, earlier.callId, 7)
    const { callId } = await hold(db.pool, id, { output: 40, limits })
    await close(db.pool, id, callId, state === 'released' ? null : 15)
    await db.pool.query('update tollgate.ledger_holds set state = $2 where call_id = $1', [callId, state])
    return callId
  }

  test.for([
    { name: 'a release', state: 'released', charge: 20, spent: '27' },
    { name: 'a recovery that charged less', state: 'recovered', charge: 20, spent: '27' },
    { name: 'a recovery that charged as much', state: 'recovered', charge: 15, spent: '22' },
    { name: 'a recovery that charged more', state: 'recovered', charge: 5, spent: '12' },
  ] as const)(
    'A settle that comes late returns what the key has spent after $name, also when it is sent again.',
    async ({ state, charge, spent: keyUsed }) => {
      const org = await seed()
      const callId = await late(org.id, org.keyIds.alice, state)
      const answer = { charged: `${charge}`, remaining: `${100 - 7 - charge}`, key_used: keyUsed }
      expect(await close(db.pool, org.id, callId, charge)).toEqual(answer)
      expect(await close(db.pool, org.id, callId, charge)).toEqual(answer)
    },
  )

  test('A late settle in a batch with others returns what the key has spent too.', async () => {
    const orgs = [await seed(), await seed()]
    const closes = []
    for (const org of orgs) {
      const callId = await late(org.id, org.keyIds.alice, 'released')
      closes.push({ state: 'settled' as const, closing: settlementOf(holdRequest(org, { callId }), 20n * credit) })
    }
    const client = new pg.Client({ connectionString: db.url })
    onTestFinished(() => client.end())
    await client.connect()
    const answer = { charged: '20.000000', remaining: '73.000000', key_used: '27.000000' }
    for (const _ of ['first', 'again']) {
      expect(await sendCloses(client, closes)).toMatchObject([answer, answer])
    }
  })
})

describe('a limit that was lowered while its calls ran', () => {
  test.each([1, 2])(
    'A limit that was lowered while its calls ran keeps its new amount when %i of them are closed in one batch.',
    async (count) => {
      const org = await seed()
      const window_start = '1970-01-01T00:00:00Z'
      const limits: Limit[] = [{ kind: 'key', id: org.keyIds.alice, window_start, limit_amount: 100 }]
      const closes = []
      for (let i = 0; i < count; i += 1) {
        const { callId } = await hold(db.pool, org.id, { output: 20, limits })
        closes.push({ state: 'settled' as const, closing: settlementOf(holdRequest(org, { callId }), 5n * credit) })
      }
      const where = "where kind = 'key' and id = $1"
      await db.pool.query(`update tollgate.ledger_limits set limit_amount = 10 ${where}`, [org.keyIds.alice])
      const client = new pg.Client({ connectionString: db.url })
      onTestFinished(() => client.end())
      await client.connect()
      expect(await sendCloses(client, closes)).toMatchObject(closes.map(() => ({ charged: '5.000000' })))
      const { rows } = await db.pool.query(
        `select trim_scale(limit_amount) as limit, trim_scale(held) as held, trim_scale(used) as used from tollgate.ledger_limits ${where}`,
        [org.keyIds.alice],
      )
      expect(rows).toEqual([{ limit: '10', held: '0', used: `${5 * count}` }])
    },
  )
})
