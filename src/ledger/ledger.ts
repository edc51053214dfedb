/**
 * The ledger as the rest of the program sees it: hold, extend, settle, release. Amounts are bigint microcredits.
 *
 * Fails closed: while the database can't respond, the lease is lost or the spool can't be written, no hold is granted and no paid
 * call goes out (503). A settlement is never dropped: past `booking_wait_seconds` it goes to the local disk, the response goes out marked pending,
 * and the settlement is repeated until the database has it, by this process or by whoever finds its spool.
 */

/** Who pays and whose limits are touched. */
export interface Payer {
  organizationId: string
  userId: string
  /** The key that called; its spending is counted. Null for callers without one. */
  keyId: string | null
}

/** A bound on credits or calls besides pool and allocation: a row of `ledger_limits`, of all time or of a window. */
export interface Limit {
  kind: string
  id: string
  /** `hour`, `day`, `week`, `month`; so many seconds, `7200s`; so many months, `3mo`. */
  window: string | null
  unit: 'credits' | 'calls'
  /** Credits as microcredits, calls as millionths too. Null: what the row says; where it says nothing, the limit is only counted. */
  amount: bigint | null
}

/** What is recorded of a call, whoever closes it. */
export interface CallNames {
  /** The billing key: a UUID minted for this call. */
  callId: string
  /** What kind of call it is, by its endpoint: `llm_inference`. */
  serviceType: string
  /** The model group, for reports by service_name. */
  serviceName: string
  /** As the caller sent it. Recorded, never a key. */
  requestId: string | null
}

export interface HoldRequest extends Payer, CallNames {
  /** Price of the input by the fast estimate, and at one token a byte (used when little is left). */
  input: bigint
  inputBytes: bigint
  /** The part of both that may be left unheld where the credits do not cover it: what media may cost above their expected size. */
  uncertain: bigint
  /** Price of the output wanted, and of the least output worth starting for. */
  output: bigint
  least: bigint
  /** What the hold grows by next; 0 where it does not grow. As much is left to it when further calls come. */
  step: bigint
  /** What bounds it further: its key, and whatever else. Each once. */
  limits: readonly Limit[]
  /** Whose call quotas are among the limits, as a refusal names it. */
  tier?: string
  /** What is fixed from now on: rates, markup, level. Kept with the hold. */
  context: unknown
  /** Whether the caller has left meanwhile; left out where nobody can. */
  isGone?: () => boolean
}

/** A call quota as its callers are told. */
export interface QuotaState {
  /** Calls in all, and those that are left. */
  limit: number
  left: number
  /** When the next window begins, milliseconds since 1970. */
  endsAt: number
}

export interface Hold {
  callId: string
  /** Set aside in all, and the part of it meant for the input. */
  held: bigint
  input: bigint
  /** What the user has left to spend, this hold subtracted. Negative only under overage. */
  remaining: bigint
  /** What the caller's key has spent before this call. Null for callers without a key. */
  keySpend: bigint | null
  /** The call quota that has least left, this call counted. Null where none bounds it. */
  quota: QuotaState | null
  /** The process it belongs to. */
  owner: string
  /** How long it waited for running calls; left out where it did not. */
  waitedMs?: number
}

/** What a call would be charged if it ended here: where a recovery books it. */
export interface Delivered {
  credits: bigint
  /** The provider's part, nano-dollars. */
  apiCost: bigint
}

/** Why the payer of a running call may spend no longer: what a new call of the same key would be refused for. */
export const ENDS = ['key_revoked', 'expired_api_key', 'organization_suspended', 'no_allocation'] as const
export type Ended = (typeof ENDS)[number]

export interface HoldSize {
  total: bigint
  least: bigint
  /** A larger hold becomes as small as `total`; left out where holds only grow. */
  shrink?: true
}

export interface Progress {
  callId: string
  organizationId: string
  delivered: Delivered | null
  /** The size the hold should have, and the least that is worth having. */
  hold: HoldSize | null
  /** Told when the payer may spend no longer; whoever leaves it out does not ask. */
  onEnded?: (why: Ended) => void
}

export type Provenance = 'provider_cost' | 'provider_usage' | 'estimated' | 'recovered' | 'disputed'

/** How a call ended, for its row. */
export type Outcome = 'answered' | 'stopped' | 'failed' | 'client_disconnected' | 'cut_off'

export interface Closing extends Payer, CallNames {
  outcome: Outcome
  /** What GET /v1/calls/{call_id} shows. */
  details: unknown
}

export interface Settlement extends Closing {
  /** microcredits, and the same in nano-dollars split in what the provider takes and what was put on top. */
  charge: bigint
  apiCost: bigint
  markup: bigint
  provenance: Provenance
}

export interface Settled {
  state: 'settled'
  /** What is on the books for the call: of a second settle, the first one's charge. */
  charged: bigint
  remaining: bigint
  keySpend: bigint | null
}

/** Not yet on the books; it will be. */
export interface Pending {
  state: 'pending'
}

export interface Overdue {
  entries: number
  oldestMs: number
}

/** Told of what passes, for whoever measures. Must not throw. */
export interface LedgerObserver {
  /** A hold was answered, granted or not. */
  hold(seconds: number): void
  /** A settlement was answered, booked or pending. */
  settle(seconds: number): void
  /** The database answered a batch. */
  batch(kind: 'hold' | 'progress' | 'close', size: number): void
}

export interface Ledger {
  /** Whether paid calls can start at this moment. */
  readonly open: boolean
  /** Closings that have waited longer than a response waits for them: they are in a spool. */
  readonly overdue: Overdue
  /**
   * Whether a call may go out to a provider under this hold, at this moment. Asked before every attempt: a process that was stopped
   * for a while may have been declared dead and its holds recovered, though it has a lease again.
   */
  covers(hold: Hold): boolean
  /** @throws {TollgateError} 402, 403, 429 when refused; 503 when the database can't respond. */
  hold(request: HoldRequest): Promise<Hold>
  /**
   * Notes how far a call has come; with null only asks whether its payer may still spend. Not waited for; what is on its way when
   * the call is closed is dropped.
   */
  checkpoint(callId: string, organizationId: string, delivered: Delivered | null, onEnded?: (why: Ended) => void): void
  /** Makes a hold larger, or smaller where that is asked. Returns its new size, or null when that can't be covered or its payer may no longer spend. */
  extend(progress: Progress & { hold: HoldSize }): Promise<bigint | null>
  /** Charges the call. Never throws: what can't be booked now is booked later. */
  settle(settlement: Settlement): Promise<Settled | Pending>
  /** Drops the hold, nothing was consumed; the call still leaves its row. Never throws. */
  release(closing: Closing): Promise<void>
  /** Waits until every closing is on the books. False when some were not by the deadline; those are in the spool. */
  drain(timeoutMs: number): Promise<boolean>
  /** Gives up the lease: the holds that are left are anybody's to recover. */
  close(): Promise<void>
}
