/** What must be true at every moment of the years, asked of the rows in other ways than the ledger asks. */
import { sql } from 'kysely'
import type { Database } from '../../../src/db/connect.ts'
import { audit } from '../../../src/ledger/audit.ts'
import { monthlyStatement } from '../../../src/reports/statement.ts'
import { TIERS, type YearsCompany, type YearsMember } from './people.ts'
import { dueBetween } from './series.ts'

const THREE_MONTHS_MS = 92 * 86_400_000

/** Where the series of each pool and allocation begin, as they were made. */
export type Beginnings = Map<string, { first: Date; anchor: Date }>

export async function readBeginnings({ pool }: Database): Promise<Beginnings> {
  const { rows } = await pool.query<{ name: string; first: Date; anchor: Date }>(
    `select org_id::text as name, next_refresh_date as first, created_at as anchor from organization_credit_pools
      where next_refresh_date is not null
    union all
    select user_id, next_reset_date, created_at from user_credit_allocations where next_reset_date is not null`,
  )
  return new Map(rows.map(({ name, first, anchor }) => [name, { first, anchor }]))
}

export interface Moment {
  beginnings: Beginnings
  now: Date
  /** How far the clock had come when it was last put back: what is older than that has no order by time. */
  putBackAt: Date
  refusedByQuota: ReadonlySet<string>
}

/** Everything at rest, and swept. Returns what is wrong. */
export async function checkMoment(
  database: Database,
  companies: readonly YearsCompany[],
  moment: Moment,
): Promise<string[]> {
  const { findings, openHolds } = await audit(database)
  const wrong = findings.map((finding) => `the audit: ${JSON.stringify(finding)}`)
  if (openHolds > 0) wrong.push(`${openHolds} calls are still held`)
  for (const company of companies) {
    wrong.push(...(await checkRefreshes(database, company, moment)))
    wrong.push(...(await checkQuotas(database, company, moment.refusedByQuota)))
    for (const member of company.members) wrong.push(...(await checkResets(database, company, member, moment)))
  }
  return [...wrong, ...(await checkSubscriptions(database))]
}

/** The monthly amount once for each month that ended while there was a plan. */
async function checkRefreshes(
  database: Database,
  company: YearsCompany,
  { beginnings, now }: Moment,
): Promise<string[]> {
  const { id, name, refresh } = company
  const beginning = beginnings.get(id)
  if (beginning === undefined) return [`${name} has no date of its next refresh`]
  const { rows } = await database.pool.query<{ from: Date; until: Date | null }>(
    'select created_at as from, canceled_at as until from organization_subscriptions where org_id = $1',
    [id],
  )
  const isPaid = (at: Date) => rows.some(({ from, until }) => from < at && (until === null || at <= until))
  const expected = BigInt(dueBetween('monthly', beginning, now).filter(isPaid).length) * refresh
  const { rows: sums } = await database.pool.query<{ sum: string }>(
    "select coalesce(sum(pool_total), 0)::bigint::text as sum from tollgate.ledger_journal where org_id = $1 and kind = 'refresh'",
    [id],
  )
  return sums[0]?.sum === String(expected) ? [] : [`${name} was refreshed by ${sums[0]?.sum}, not ${expected}`]
}

/** The next reset is the next one of the series; between two there was one due; what is used is what was charged since the last. */
async function checkResets(
  { pool }: Database,
  { id }: YearsCompany,
  { userId, period }: YearsMember,
  { beginnings, now, putBackAt }: Moment,
): Promise<string[]> {
  const { rows } = await pool.query<{ next: Date | null; last: Date; used: string; charged: string; resets: Date[] }>(
    `select a.next_reset_date as next, a.last_reset_date as last, trim_scale(a.used_credits)::text as used,
      (select trim_scale(coalesce(sum(c.credits_used), 0))::text from credit_usage_attribution c
        where c.allocation_id = a.id and ($3 = 'never' or c.created_at >= a.last_reset_date)) as charged,
      (select coalesce(array_agg(j.created_at order by j.created_at), '{}') from tollgate.ledger_journal j
        where j.org_id = a.org_id and j.user_id = a.user_id and j.kind = 'reset') as resets
    from user_credit_allocations a where a.org_id = $1 and a.user_id = $2`,
    [id, userId, period],
  )
  const { next, last, used, charged, resets } = rows[0]!
  const wrong =
    used === charged || (period !== 'never' && last < putBackAt)
      ? []
      : [`${userId} has used ${used}, but ${charged} were charged since the last reset`]
  if (period === 'never') return resets.length === 0 && next === null ? wrong : [...wrong, `${userId} was reset`]
  const due = dueBetween(period, beginnings.get(userId)!, new Date(now.getTime() + THREE_MONTHS_MS))
  const expected = due.find((at) => at > now)
  if (next?.getTime() !== expected?.getTime())
    wrong.push(`${userId} is next reset at ${next?.toISOString()}, not at ${expected?.toISOString()}`)
  for (const [index, at] of resets.entries()) {
    const before = resets[index - 1] ?? new Date(0)
    if (!due.some((one) => before < one && one <= at))
      wrong.push(`${userId} was reset at ${at.toISOString()} for no reason`)
  }
  return wrong
}

/** Nobody made a call too many in a day or a month; who was refused had made every one. */
async function checkQuotas({ pool }: Database, company: YearsCompany, refused: ReadonlySet<string>): Promise<string[]> {
  if (company.tier === 'unlimited') return []
  const { calls_per_day: day, calls_per_month: month } = TIERS[company.tier]
  const wrong: string[] = []
  for (const [unit, most] of [
    ['day', day],
    ['month', month],
  ] as const) {
    const { rows } = await pool.query<{ user_id: string; calls: number }>(
      `select user_id, count(*)::integer as calls from tollgate.ledger_holds
      where org_id = $1 and state in ('settled', 'recovered') and service_type = 'llm_inference'
      group by user_id, date_trunc($2, created_at, 'UTC') having count(*) > $3`,
      [company.id, unit, most],
    )
    for (const { user_id, calls } of rows) wrong.push(`${user_id} made ${calls} calls in a ${unit} that has ${most}`)
  }
  const { rows } = await pool.query<{ user_id: string; today: number; month: number }>(
    `select user_id, count(*) filter (where created_at >= date_trunc('day', n.now, 'UTC'))::integer as today, count(*)::integer as month
    from tollgate.ledger_holds, (select tollgate.tollgate_now() as now) n
    where org_id = $1 and state in ('settled', 'recovered') and service_type = 'llm_inference'
      and created_at >= date_trunc('month', n.now, 'UTC') group by user_id`,
    [company.id],
  )
  for (const { userId } of company.members.filter((member) => refused.has(member.userId))) {
    const made = rows.find(({ user_id }) => user_id === userId) ?? { today: 0, month: 0 }
    if (made.today !== day && made.month !== month) wrong.push(`${userId} was refused after ${JSON.stringify(made)}`)
  }
  return wrong
}

/** The period of every plan is the one that it is now in; trials that are over have ended. */
async function checkSubscriptions({ pool }: Database): Promise<string[]> {
  const { rows } = await pool.query<{ id: string; status: string; since: Date; until: Date }>(
    `select id, status, current_period_start as since, current_period_end as until from organization_subscriptions
    where status = 'trialing' and trial_ends_at <= tollgate.tollgate_now() - interval '1 minute'
      or status = 'active' and current_period_end <= tollgate.tollgate_now() - interval '1 minute'
      or status = 'active' and current_period_end - current_period_start <> interval '30 days'`,
  )
  return rows.map((row) => `a plan is in another period: ${JSON.stringify(row)}`)
}

/** Every month's statement goes on where the one before ended, and is the sum of its rows; the last one is the pool. */
export async function checkStatements(
  database: Database,
  company: YearsCompany,
  months: readonly string[],
): Promise<string[]> {
  const wrong: string[] = []
  const expect = (what: string, stated: string, expected: string) => {
    if (stated !== expected) wrong.push(`${company.name}: ${what} is ${stated}, not ${expected}`)
  }
  let balance = '0'
  for (const month of months) {
    const statement = await monthlyStatement(database, company.id, month)
    const rows = await rowsOf(database, company.id, month)
    expect(`the opening balance of ${month}`, statement.opening_balance, balance)
    for (const name of ['purchases', 'refreshes', 'resets', 'charges'] as const)
      expect(`${name} of ${month}`, statement[name], rows[name])
    const byUser = statement.charges_by_user.reduce((sum, { credits }) => sum + micro(credits), 0n)
    expect(`charges by user of ${month}`, String(byUser), String(micro(statement.charges)))
    balance = statement.closing_balance
  }
  const { rows } = await database.pool.query<{ owned: string }>(
    'select trim_scale(total_credits - used_credits)::text as owned from organization_credit_pools where org_id = $1',
    [company.id],
  )
  expect('the last closing balance', balance, rows[0]!.owned)
  return wrong
}

interface MonthRows {
  purchases: string
  refreshes: string
  resets: string
  charges: string
}

async function rowsOf({ query }: Database, organizationId: string, month: string): Promise<MonthRows> {
  const inMonth = sql`to_char(created_at at time zone 'UTC', 'YYYY-MM-01') = ${month} and org_id = ${organizationId}`
  const { rows } = await sql<MonthRows>`
    select trim_scale(coalesce(sum(pool_total) filter (where kind = 'purchase'), 0))::text as purchases,
      trim_scale(coalesce(sum(pool_total) filter (where kind = 'refresh'), 0))::text as refreshes,
      trim_scale(coalesce(sum(-allocation_used) filter (where kind = 'reset'), 0))::text as resets,
      (select trim_scale(coalesce(sum(credits_used), 0))::text from credit_usage_attribution where ${inMonth}) as charges
    from tollgate.ledger_journal where ${inMonth}`.execute(query)
  return rows[0]!
}

function micro(credits: string): bigint {
  const [whole = '0', part = ''] = credits.split('.')
  return BigInt(whole) * 1_000_000n + BigInt(part.padEnd(6, '0'))
}
