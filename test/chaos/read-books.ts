/** What the books say after a run, call by call and user by user. Amounts are microcredits. */
import pg from 'pg'
import { scaled } from './read-answer.ts'

export interface BookedCall {
  callId: string
  requestId: string | null
  organizationId: string
  userId: string
  charges: number
  /** Rows of the attribution and of the journal that correct the call. */
  corrections: number
  /** Charge and corrections together. */
  net: bigint
  provenances: string
  outcomes: string
}

/** A user's allocation, held against the rows. */
export interface BookedUser {
  organizationId: string
  userId: string
  remaining: bigint
  held: bigint
  used: bigint
  poolUsed: bigint
  /** What was booked beyond the holds of its calls. */
  beyondHolds: bigint
}

export interface Unfinished {
  openHolds: number
  held: bigint
}

/** A connection without time limits: the books of an hour are long. */
export async function withBooks<T>(databaseUrl: string, read: (client: pg.Client) => Promise<T>): Promise<T> {
  const client = new pg.Client({ connectionString: databaseUrl })
  client.on('error', () => {})
  await client.connect()
  try {
    return await read(client)
  } finally {
    await client.end()
  }
}

const NET = `
  select c.call_id, max(c.request_id) as request_id, c.org_id, c.user_id,
    count(*) filter (where c.entry = 'charge')::int as charges,
    (count(*) filter (where c.entry = 'correction') + coalesce(max(j.entries), 0))::int as corrections,
    sum(c.credits_used) - coalesce(max(j.given_back), 0) as net,
    coalesce(string_agg(c.provenance, ' + ' order by c.entry), '') as provenances,
    coalesce(string_agg(c.outcome, ' + ' order by c.entry), '') as outcomes
  from credit_usage_attribution c
  left join (
    select call_id, count(*) as entries, sum(allocation_allocated) as given_back
    from tollgate.ledger_journal where kind = 'correction' group by 1) j using (call_id)
  group by c.call_id, c.org_id, c.user_id`

export async function bookedCalls(client: pg.Client): Promise<BookedCall[]> {
  const { rows } = await client.query<{
    call_id: string
    request_id: string | null
    org_id: string
    user_id: string
    charges: number
    corrections: number
    net: string
    provenances: string
    outcomes: string
  }>(NET)
  return rows.map((row) => ({
    callId: row.call_id,
    requestId: row.request_id,
    organizationId: row.org_id,
    userId: row.user_id,
    charges: row.charges,
    corrections: row.corrections,
    net: scaled(row.net, 6),
    provenances: row.provenances,
    outcomes: row.outcomes,
  }))
}

export async function bookedUsers(client: pg.Client): Promise<BookedUser[]> {
  const { rows } = await client.query<Record<string, string>>(
    `with net as (${NET}),
      beyond as (
        select n.org_id, n.user_id, sum(greatest(n.net - coalesce(h.held_credits, 0), 0)) as credits
        from net n left join tollgate.ledger_holds h using (call_id) group by 1, 2)
    select a.org_id, a.user_id, a.allocated_credits - a.used_credits as remaining, a.held_credits as held,
      a.used_credits as used, p.used_credits as pool_used, coalesce(b.credits, 0) as beyond
    from user_credit_allocations a join organization_credit_pools p using (org_id)
    left join beyond b on b.org_id = a.org_id and b.user_id = a.user_id`,
  )
  const amount = (text: string | undefined) => scaled(text ?? '0', 6)
  return rows.map((row) => ({
    organizationId: row.org_id ?? '',
    userId: row.user_id ?? '',
    remaining: amount(row.remaining),
    held: amount(row.held),
    used: amount(row.used),
    poolUsed: amount(row.pool_used),
    beyondHolds: amount(row.beyond),
  }))
}

export async function unfinished(client: Pick<pg.Client, 'query'>): Promise<Unfinished> {
  const { rows } = await client.query<{ open_holds: number; held: string }>(
    `select (select count(*) from tollgate.ledger_holds where state = 'open')::int as open_holds,
      (select coalesce(sum(held_credits), 0) from organization_credit_pools) as held`,
  )
  return { openHolds: rows[0]?.open_holds ?? 0, held: scaled(rows[0]?.held ?? '0', 6) }
}

export async function auditFindings(client: pg.Client): Promise<string[]> {
  const { rows } = await client.query('select * from tollgate.ledger_audit()')
  return rows.map((row) => JSON.stringify(row))
}
