/** The call quotas of a user: so many calls in a day and in a month, each a row of `ledger_limits` like every other limit. */
import { createHash } from 'node:crypto'
import type { Tier } from '../config/config.ts'
import { TollgateError } from '../http/errors.ts'
import type { LimitedBy } from './hold-batch.ts'
import type { Limit, Payer, QuotaState } from './ledger.ts'

type QuotaPayer = Pick<Payer, 'organizationId' | 'userId'>

export const QUOTA = 'quota'
/** What the column of the id leaves. */
const USER_MAX = 200
const DAY_MS = 86_400_000
const MILLION = 1_000_000n

/** Empty for a tier that is unlimited. */
export function quotaLimits(tier: Tier | undefined, payer: QuotaPayer): readonly Limit[] {
  if (tier === undefined) return []
  const limits: Limit[] = []
  const { callsPerDay: day, callsPerMonth: month } = tier
  if (day !== null) limits.push(quotaLimit(payer, 'day', day))
  if (month !== null) limits.push(quotaLimit(payer, 'month', month))
  return limits
}

/** Of one user of one organization. Its window is in the id: on the first of a month day and month begin at the same instant. */
function quotaLimit(payer: QuotaPayer, window: 'day' | 'month', calls: number): Limit {
  const { organizationId, userId } = payer
  const user = userId.length <= USER_MAX ? userId : `sha256:${createHash('sha256').update(userId).digest('hex')}`
  return {
    kind: QUOTA,
    id: `${organizationId}/${user}/${window}`,
    window,
    unit: 'calls',
    amount: BigInt(calls) * MILLION,
  }
}

export function quotaStateOf({ amount, left, window_end }: LimitedBy): QuotaState {
  return { limit: amount, left, endsAt: window_end === null ? Number.POSITIVE_INFINITY : Date.parse(window_end) }
}

/** As `X-RateLimit-*` state it. */
export function quotaHeaders({ limit, left, endsAt }: QuotaState): Record<string, string> {
  return {
    'X-RateLimit-Limit': `${limit}`,
    'X-RateLimit-Remaining': `${Math.max(0, Math.floor(left))}`,
    'X-RateLimit-Reset': `${Math.ceil(endsAt / 1000)}`,
  }
}

/** 429: every call of the day or the month was made. The seconds are counted by the clock of this process. */
export function quotaExceeded(limit: LimitedBy, tier: string | undefined): TollgateError {
  const state = quotaStateOf(limit)
  const seconds = Math.max(1, Math.ceil((state.endsAt - Date.now()) / 1000))
  const date = new Date(state.endsAt).toISOString().slice(0, 10)
  const isDaily = state.endsAt - Date.parse(limit.window_start) < 2 * DAY_MS
  const calls = state.limit.toLocaleString('en-US')
  return new TollgateError(
    429,
    'quota_exceeded',
    `Rate limit exceeded. ${isDaily ? 'Daily' : 'Monthly'} limit: ${calls} calls. Used: ${calls}. Resets on ${date}.`,
    {
      headers: { 'Retry-After': `${seconds}`, ...quotaHeaders({ ...state, left: 0 }), 'x-should-retry': 'false' },
      fields: {
        ...(tier === undefined ? {} : { tier }),
        used: state.limit,
        limit: state.limit,
        remaining: 0,
        reset_date: new Date(state.endsAt).toISOString(),
      },
      limit: 'calls_per_tier',
    },
  )
}
