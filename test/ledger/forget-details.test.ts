/** Details of charges are kept for a time, where the operator says so; what they add up to is kept for ever. */
import { randomUUID } from 'node:crypto'
import { expect, test } from 'vitest'
import { forgetDetails } from '../../src/ledger/forget-details.ts'
import { balances, close, hold, refusal } from '../support/books.ts'
import { useDatabase } from '../support/database.ts'

const db = useDatabase()
const DETAILS = {
  provider: 'openai',
  key_id: 'k',
  model: 'm',
  session_id: 's',
  at_risk: { openai: '0.5' },
  usage: { prompt_tokens: 3 },
}
const KEPT = { provider: 'openai', key_id: 'k', at_risk: { openai: '0.5' } }

async function charge(orgId: string, at: string, provenance = 'provider_usage'): Promise<string> {
  await db.setNow(at)
  const { callId } = await hold(db.pool, orgId, { output: 5 })
  const call = {
    call_id: callId,
    state: 'settled',
    org_id: orgId,
    user_id: 'alice',
    charge: 3,
    service_type: 'llm_inference',
  }
  const rest = {
    service_name: 'm',
    api_cost: 0.003,
    markup: 0,
    source: 'proxy',
    provenance,
    outcome: 'answered',
    details: DETAILS,
  }
  await db.pool.query('select tollgate.ledger_close_batch($1)', [JSON.stringify([{ ...call, ...rest }])])
  return callId
}

const rowOf = async (callId: string) =>
  (await db.pool.query('select * from credit_usage_attribution where call_id = $1', [callId])).rows[0]

test('Details older than they are kept lose what describes the call; amounts, payer and what is at risk stay, and so do younger ones.', async () => {
  const { id: orgId } = await db.seedOrganization({ credits: 1_000, users: { alice: 500 } })
  const [old, disputed] = [
    await charge(orgId, '2031-01-01T10:00:00Z'),
    await charge(orgId, '2031-01-01T10:00:00Z', 'disputed'),
  ]
  await db.pool.query("select deduct_credits($1, 'alice', 5, 'valuation', 'v', 'r1', '{\"address\": \"here\"}')", [
    orgId,
  ])
  const young = await charge(orgId, '2031-03-01T10:00:00Z')
  const before = await rowOf(old)
  const [sums, days] = [
    await balances(db.pool, orgId),
    'select * from tollgate.usage_by_user where org_id = $1 order by 1, 2, 3, 4, 5, 6, 7',
  ]
  const byDay = (await db.pool.query(days, [orgId])).rows
  await db.setNow('2031-03-10T00:00:00Z')
  await forgetDetails(db.database, 0)
  expect((await rowOf(old)).details).toEqual(DETAILS)
  await forgetDetails(db.database, 60)
  expect(await rowOf(old)).toEqual({ ...before, details: KEPT })
  expect((await rowOf(disputed)).details).toEqual(DETAILS)
  expect((await rowOf(young)).details).toEqual(DETAILS)
  const { rows } = await db.pool.query(
    "select request_metadata, request_id from credit_usage_attribution where org_id = $1 and source = 'sql'",
    [orgId],
  )
  expect(rows).toEqual([{ request_metadata: null, request_id: 'r1' }])
  expect(await balances(db.pool, orgId)).toEqual(sums)
  expect((await db.pool.query(days, [orgId])).rows).toEqual(byDay)
})

test('Old details go in batches that end between two instants, and no charge is passed over.', async () => {
  const { id: orgId } = await db.seedOrganization({ credits: 1_000, users: { alice: 500 } })
  const calls: string[] = []
  for (const second of [1, 2, 2, 2, 3]) calls.push(await charge(orgId, `2032-01-01T10:00:0${second}Z`))
  await db.setNow('2032-06-01T00:00:00Z')
  const batch = async () =>
    (await db.pool.query<{ n: number }>('select tollgate.forget_details(30, 2) as n')).rows[0]?.n
  // What the test before left first.
  while ((await rowOf(calls[0]!)).details.usage !== undefined) expect(await batch()).toBeGreaterThan(0)
  while ((await batch()) !== 0);
  for (const call of calls) expect((await rowOf(call)).details).toEqual(KEPT)
})

test('Nothing but what describes a call can be changed in the books, whatever a session sets; details of a month stay.', async () => {
  const { id: orgId } = await db.seedOrganization({ credits: 1_000, users: { alice: 500 } })
  const call = await charge(orgId, '2033-01-01T10:00:00Z')
  await db.setNow('2033-01-30T10:00:00Z')
  await db.pool.query('select tollgate.forget_details(1, 1000)')
  expect((await rowOf(call)).details).toEqual(DETAILS)
  const client = await db.pool.connect()
  try {
    await client.query("set tollgate.rewriting = 'on'")
    for (const change of [
      'credits_used = 0',
      'created_at = now()',
      `call_id = '${randomUUID()}'`,
      "service_name = 'other'",
    ])
      expect(
        (await refusal(client.query(`update credit_usage_attribution set ${change} where call_id = '${call}'`)))
          .message,
      ).toContain('append-only')
    expect((await refusal(client.query('delete from credit_usage_attribution'))).message).toContain('append-only')
    expect((await refusal(client.query('update tollgate.ledger_journal set pool_total = 1'))).message).toContain(
      'append-only',
    )
  } finally {
    client.release(true)
  }
  await close(db.pool, orgId, (await hold(db.pool, orgId, { output: 5 })).callId, 1)
})
