/** What a caller sees first: what can be spent, what running calls hold, what was spent, and the day it lasts to. */
import { sql } from 'kysely'
import type { Database } from '../db/connect.ts'
import { isoTime } from '../db/iso-time.ts'
import { creditsToMicro, trimDecimal } from '../metering/money.ts'
import { findRemaining, type Payer } from './caller-credits.ts'
import { usageBy } from './usage-by.ts'

/** Credits are decimal strings. */
export interface Home {
  available: string
  /** Null without an allocation. */
  allocated: string | null
  held: string
  running_calls: number
  /** Since midnight and since the first of the month, in UTC. */
  spent_today: string
  spent_month: string
  /** The last day that the credits last to, at the pace of the last seven days. Null where nothing was spent, or beyond a year. */
  lasts_until: string | null
  /** When the allocation is reset; null where it never is. */
  resets_at: string | null
}

const DAY_MS = 86_400_000
const PACE_DAYS = 7
const FAR_DAYS = 366n
/** Of a month, and the week before it. */
const DAYS_MOST = 40

/** Of the user in the organization, whatever the credential. */
export async function home(database: Database, { organizationId, userId }: Payer, now: Date): Promise<Home> {
  const payer = { organizationId, userId }
  const today = dayAfter(now, 0)
  const month = `${today.slice(0, 8)}01`
  const week = dayAfter(now, 1 - PACE_DAYS)
  const span = { from: month < week ? month : week, until: dayAfter(now, 1) }
  const [remaining, allocation, days] = await Promise.all([
    findRemaining(database, payer),
    findAllocation(database, payer),
    usageBy(database, { ...payer, ...span }, ['day'], { limit: DAYS_MOST, after: null }),
  ])
  const available = remaining ?? '0'
  const spentSince = (first: string) =>
    days.reduce((sum, { key: [day = ''], credits }) => (day < first ? sum : sum + creditsToMicro(credits)), 0n)
  return {
    available,
    ...allocation,
    spent_today: trimDecimal(spentSince(today), 6),
    spent_month: trimDecimal(spentSince(month), 6),
    lasts_until: lastDay(creditsToMicro(available), spentSince(week), now),
  }
}

async function findAllocation(
  { query }: Database,
  { organizationId, userId }: Payer,
): Promise<Pick<Home, 'allocated' | 'held' | 'running_calls' | 'resets_at'>> {
  const { rows } = await sql<Pick<Home, 'allocated' | 'held' | 'running_calls' | 'resets_at'>>`
    select trim_scale(a.allocated_credits)::text as allocated, coalesce(trim_scale(a.held_credits), 0)::text as held,
      ${isoTime('a.next_reset_date')} as resets_at, (
        select count(*)::int from tollgate.ledger_holds h
        where h.state = 'open' and h.org_id = ${organizationId} and h.user_id = ${userId}) as running_calls
    from (select 1) one left join user_credit_allocations a
      on a.org_id = ${organizationId} and a.user_id = ${userId} and a.is_active`.execute(query)
  return rows[0]!
}

function lastDay(left: bigint, spent: bigint, now: Date): string | null {
  if (spent <= 0n || left <= 0n) return null
  const days = (left * BigInt(PACE_DAYS)) / spent
  return days > FAR_DAYS ? null : dayAfter(now, Number(days))
}

function dayAfter(now: Date, days: number): string {
  return new Date(now.getTime() + days * DAY_MS).toISOString().slice(0, 10)
}
