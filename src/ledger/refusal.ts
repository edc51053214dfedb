/** Why a hold was not granted, as the caller reads it. */
import { TollgateError } from '../http/errors.ts'
import { creditsToMicro, trimDecimal } from '../metering/money.ts'
import type { LimitedBy } from './hold-batch.ts'
import { QUOTA, quotaExceeded } from './quota-limits.ts'
import { isRun, runExhausted } from './run-refusal.ts'

export interface Refusal {
  outcome: string
  /** Decimal credits. */
  required: string | null
  available: string | null
  limited_by: LimitedBy | null
}

/** @param tier that of the caller, named where one of its quotas refuses. */
export function refusalOf(row: Refusal, tier?: string): TollgateError {
  const required = trimDecimal(creditsToMicro(row.required ?? '0'), 6)
  const available = trimDecimal(creditsToMicro(row.available ?? '0'), 6)
  switch (row.outcome) {
    case 'no_allocation':
      return new TollgateError(
        403,
        'no_allocation',
        'No credit allocation found for this user in this organization. Ask an admin of the organization to allocate credits.',
      )
    case 'suspended':
      return new TollgateError(
        403,
        'organization_suspended',
        'This organization is not active. Ask its owner or the operator.',
      )
    case 'waits':
      return refusalOf({ ...row, outcome: row.limited_by === null ? 'in_flight' : 'limit' }, tier)
    case 'in_flight':
      return new TollgateError(
        402,
        'credits_in_flight',
        `Insufficient credits for now: this call needs at least ${required} credits and ${available} are free, ` +
          'because your running calls hold the rest. Try again when one of them has finished.',
        { headers: { 'Retry-After': '1', 'x-should-retry': 'true' }, fields: { required, available } },
      )
    case 'insufficient':
      return new TollgateError(
        402,
        'insufficient_credits',
        `Insufficient credits: this call needs at least ${required} credits and ${available} are available. ` +
          'Ask an admin of your organization to allocate more.',
        { headers: { 'x-should-retry': 'false' }, fields: { required, available } },
      )
    case 'limit':
      if (row.limited_by?.in_flight === true) return limitInFlight(row.limited_by, required, available)
      if (row.limited_by !== null && isRun(row.limited_by)) return runExhausted(row.limited_by, required, available)
      if (row.limited_by?.kind === QUOTA) return quotaExceeded(row.limited_by, tier)
      return limitReached(row.limited_by, required, available)
    default:
      return unavailable(new Error(`the ledger answered '${row.outcome}'`))
  }
}

/** Where nobody knows when it would help. */
const RETRY_SECONDS = 60

function limitReached(limit: LimitedBy | null, required: string, available: string): TollgateError {
  const { kind = null, id = null, unit = 'credits', amount = null, left = 0, window_end: end = null } = limit ?? {}
  const seconds = end === null ? RETRY_SECONDS : Math.max(1, Math.ceil((new Date(end).getTime() - Date.now()) / 1_000))
  const resetsAt = end === null ? null : new Date(end).toISOString()
  return new TollgateError(
    429,
    'budget_exceeded',
    `Budget has been exceeded: this call needs at least ${unit === 'calls' ? 'one call' : `${required} credits`} and the limit ` +
      `'${kind}' of ${amount} ${unit} leaves ${left}${resetsAt === null ? '' : ` until ${resetsAt}`}.`,
    {
      type: 'budget_exceeded',
      headers: {
        'Retry-After': `${seconds}`,
        'X-RateLimit-Reset': `${Math.floor(Date.now() / 1000) + seconds}`,
        'x-should-retry': 'false',
      },
      fields: {
        required,
        available,
        limit: kind,
        limit_id: id,
        limit_unit: unit,
        limit_amount: amount,
        limit_left: left,
        resets_at: resetsAt,
      },
    },
  )
}

function limitInFlight(
  { kind, id, unit, amount, left }: LimitedBy,
  required: string,
  available: string,
): TollgateError {
  return new TollgateError(
    429,
    'budget_in_flight',
    `This call needs at least ${unit === 'calls' ? 'one call' : `${required} credits`} and the limit '${kind}' of ${amount} ${unit} ` +
      `leaves ${left} for now, because running calls hold the rest. Try again when one of them has finished.`,
    {
      headers: {
        'Retry-After': '1',
        'X-RateLimit-Reset': `${Math.floor(Date.now() / 1000) + 1}`,
        'x-should-retry': 'true',
      },
      fields: { required, available, limit: kind, limit_id: id, limit_unit: unit, limit_amount: amount },
    },
  )
}

/** Fails closed: what can't be held can't start. */
export function unavailable(cause: unknown): TollgateError {
  return new TollgateError(
    503,
    'ledger_unavailable',
    'The ledger is not available, so no paid call can start. Try again shortly.',
    { headers: { 'Retry-After': '2' }, cause },
  )
}
