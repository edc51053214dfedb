/**
 * What a caller is told of the calls that are left in the day and the month: on every response of a model, and on refusals too. A call
 * that is held brings the number along. Where none was held, what the last one brought is shown for a second, then the row is read: so
 * a caller whose requests are refused costs one look a second. Where that fails, what is left is not stated.
 */
import { sql } from 'kysely'
import { LRUCache } from 'lru-cache'
import type { Tier } from '../config/config.ts'
import type { Database } from '../db/connect.ts'
import type { Exchange } from '../http/exchange.ts'
import type { Caller } from '../identity/caller.ts'
import type { Limit, QuotaState } from '../ledger/ledger.ts'
import { QUOTA, quotaHeaders, quotaLimits } from '../ledger/quota-limits.ts'

const REMEMBER_MS = 1_000
const USERS_MAX = 20_000

export interface CallQuotas {
  /** What a call of this caller counts on. */
  limitsOf(caller: Caller): readonly Limit[]
  /** Tells a caller whose call is held. */
  tell(exchange: Exchange, caller: Caller, state: QuotaState | null): void
  /** Tells a caller who gets a response without a hold of its own. Never throws. */
  tellWithout(exchange: Exchange, caller: Caller): Promise<void>
}

export interface CallQuotaOptions {
  tiers: Readonly<Record<string, Tier>>
  database: Pick<Database, 'query'>
  now: () => Date
  monotonic: () => number
}

export function createCallQuotas({ tiers, database, now, monotonic }: CallQuotaOptions): CallQuotas {
  const known = new LRUCache<string, { state: QuotaState; at: number }>({ max: USERS_MAX })
  const tierOf = ({ tier }: Caller) => (Object.hasOwn(tiers, tier) ? tiers[tier] : undefined)

  function setHeaders({ outgoing }: Exchange, caller: Caller, headers: Record<string, string>): void {
    if (outgoing.headersSent) return
    for (const [name, value] of Object.entries(headers)) outgoing.setHeader(name, value)
    outgoing.setHeader('X-RateLimit-Tier', caller.tier)
  }

  /** Limits of a minute are stated where there are some. */
  function tellUnlimited(exchange: Exchange, caller: Caller): void {
    const isStated = exchange.outgoing.hasHeader('X-RateLimit-Limit')
    setHeaders(exchange, caller, isStated ? {} : unlimited(now()))
  }

  function tell(exchange: Exchange, caller: Caller, state: QuotaState | null): void {
    if (state === null) tellUnlimited(exchange, caller)
    else {
      known.set(nameOf(caller), { state, at: monotonic() })
      setHeaders(exchange, caller, quotaHeaders(state))
    }
  }

  return {
    limitsOf: (caller) => quotaLimits(tierOf(caller), caller),
    tell,
    async tellWithout(exchange, caller) {
      const limits = quotaLimits(tierOf(caller), caller)
      const last = known.get(nameOf(caller))
      const isFresh = last !== undefined && monotonic() - last.at < REMEMBER_MS
      const state = limits.length === 0 || isFresh ? null : await readQuota(database, limits).catch(() => null)
      if (limits.length === 0) tellUnlimited(exchange, caller)
      else if (isFresh) setHeaders(exchange, caller, quotaHeaders(last.state))
      else if (state === null) setHeaders(exchange, caller, {})
      else tell(exchange, caller, state)
    },
  }
}

function nameOf({ organizationId, userId }: Caller): string {
  return `${organizationId} ${userId}`
}

/** The one that has least left, as its row is. */
async function readQuota({ query }: Pick<Database, 'query'>, limits: readonly Limit[]): Promise<QuotaState | null> {
  const { rows } = await sql<{ window: string; counted: string; ends_at: Date }>`
    select w."window", coalesce(l.used + l.held, 0) as counted, w.ends_at
    from (
      select t.id, t."window", tollgate.ledger_window_start(t."window", n.now) as starts_at,
        tollgate.ledger_window_end(t."window", n.now) as ends_at
      from unnest(${limits.map(({ id }) => id)}::varchar[], ${limits.map(({ window }) => window)}::varchar[]) as t(id, "window")
      cross join (select tollgate.tollgate_now() as now) n) w
    left join tollgate.ledger_limits l
      on l.kind = ${QUOTA} and l.id = w.id and l.window_start = w.starts_at`.execute(query)
  const states = limits.flatMap(({ window, amount }): QuotaState[] => {
    const row = rows.find((one) => one.window === window)
    if (row === undefined) return []
    const limit = Number((amount ?? 0n) / 1_000_000n)
    return [{ limit, left: limit - Number(row.counted), endsAt: row.ends_at.getTime() }]
  })
  return states.sort((a, b) => a.left - b.left || a.endsAt - b.endsAt)[0] ?? null
}

/** Clients read the reset as a number, so it is one: the first of the next month. */
function unlimited(now: Date): Record<string, string> {
  const reset = Date.UTC(now.getUTCFullYear(), now.getUTCMonth() + 1, 1) / 1000
  return { 'X-RateLimit-Limit': 'unlimited', 'X-RateLimit-Remaining': 'unlimited', 'X-RateLimit-Reset': `${reset}` }
}
