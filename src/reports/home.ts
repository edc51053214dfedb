/** What a caller sees first: what can be spent, what running calls hold, what was spent, and the day it lasts to. */
import { sql } from 'kysely'
import type { Database } from '../db/connect.ts'
import { isoTime } from '../db/iso-time.ts'
import { creditsToMicro } from '../metering/money.ts'
import { findRemaining, type Payer } from './caller-credits.ts'
import { usageTotal } from './usage-by.ts'

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

/** Of the user in the organization, whatever the credential. */
export async function home(database: Database, { organizationId, userId }: Payer, now: Date): Promise<Home> {
  const payer = { organizationId, userId }
  const today = dayAfter(now, 0)
  const spentSince = async (from: string) => {
    const { credits } = await usageTotal(database, { ...payer, from, until: dayAfter(now, 1) })
    return credits
  }
  const [available, allocation, spentToday, spentMonth, pace] = await Promise.all([
    findRemaining(database, payer),
    findAllocation(database, payer),
    spentSince(today),
    spentSince(`${today.slice(0, 8)}01`),
    spentSince(dayAfter(now, 1 - PACE_DAYS)),
  ])
  return {
    available: available ?? '0',
    ...allocation,
    spent_today: spentToday,
    spent_month: spentMonth,
    lasts_until: lastDay(available ?? '0', pace, now),
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

function lastDay(available: string, spent: string, now: Date): string | null {
  const [left, pace] = [creditsToMicro(available), creditsToMicro(spent)]
  if (pace <= 0n || left <= 0n) return null
  const days = (left * BigInt(PACE_DAYS)) / pace
  return days > FAR_DAYS ? null : dayAfter(now, Number(days))
}

function dayAfter(now: Date, days: number): string {
  return new Date(now.getTime() + days * DAY_MS).toISOString().slice(0, 10)
}
