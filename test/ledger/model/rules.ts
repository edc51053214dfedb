/**
 * What may be done to the model's books and what it answers: the money rules as prose would state them, call by call. A batch
 * is its calls one after another, organization by organization, user by user.
 */
import { type Allocation, type Books, byName, keyOf, least, most } from './books.ts'
import { touch, touchAll } from './due.ts'
import { type HoldCall, type Limit, nameOfLimit } from './limit.ts'
import { leftOfShared } from './slices.ts'
import { callFirstAfter, join, leave, lineAhead, linesOf } from './waiters.ts'

export interface HoldAnswer {
  outcome:
    | 'held'
    | 'no_lease'
    | 'no_allocation'
    | 'suspended'
    | 'insufficient'
    | 'in_flight'
    | 'limit'
    | 'closed'
    | 'waits'
    | 'slice'
  held: bigint | null
  input: bigint | null
  required: bigint | null
  available: bigint | null
  remaining: bigint | null
  /** The limit that refused, or the quota that has least left; of a quota with that. */
  limitKind: string | null
  keyUsed: bigint | null
}

export interface ProgressCall {
  call: number
  org: string
  checkpoint: bigint | null
  total: bigint | null
  least: bigint | null
  /** Whether its payer may still spend; who wants a larger hold asks by that. */
  ask: boolean
  /** A larger hold becomes as small as `total`. */
  shrink: boolean
}

export interface ProgressAnswer {
  /** enough: the hold is at least `least`, whether it had to grow or not. */
  outcome: 'noted' | 'enough' | 'refused' | 'closed' | 'unknown' | 'organization_suspended'
  held: bigint | null
}

export interface CloseCall {
  call: number
  org: string
  user: string
  /** Null: released, nothing was consumed. */
  charge: bigint | null
  disputed: boolean
}

export interface CloseAnswer {
  charged: bigint
  remaining: bigint | null
  keyUsed: bigint | null
}

export const LEASE_MS = 15_000
export const DEAD_AFTER_MS = 30_000

const nothing = { held: null, input: null, required: null, available: null, remaining: null, limitKind: null }

// --- order ----------------------------------------------------------------------------------------------------------------

/** Places of a batch in the order they are served. */
function served<T extends { org: string }>(calls: readonly T[], user: (call: T) => string): number[] {
  const key = (place: number) => calls[place] as T
  return calls
    .map((_, place) => place)
    .sort((a, b) => byName(key(a).org, key(b).org) || byName(user(key(a)), user(key(b))) || a - b)
}

// --- hold -----------------------------------------------------------------------------------------------------------------

/** What may still be held. Null: unlimited. */
export function room(books: Books, allocation: Allocation): bigint | null {
  const { overage } = books.organization(allocation.org)
  const pool = books.pool(allocation.org)
  if (overage === 'not allowed') return least(books.free(allocation), pool.total - pool.used - pool.held)
  return overage.limit === null ? null : most(books.free(allocation), 0n) + overage.limit - pool.overage
}

/** What could be held if nothing was: without overage the whole organization's running calls count, with it the user's own. */
function roomIfNothingRan(books: Books, allocation: Allocation): bigint {
  const { overage } = books.organization(allocation.org)
  const pool = books.pool(allocation.org)
  if (overage === 'not allowed') return least(books.left(allocation), pool.total - pool.used)
  const others = pool.overage - most(-books.free(allocation), 0n)
  const own = most(-books.left(allocation), 0n)
  return most(books.left(allocation), 0n) + (overage.limit ?? 0n) - others - own
}

export function holdBatch(books: Books, process: number, calls: readonly HoldCall[]): HoldAnswer[] {
  if (!books.leaseIsValid(process)) return calls.map(() => ({ ...nothing, outcome: 'no_lease', keyUsed: null }))
  touchAll(books, calls)
  const answers: HoldAnswer[] = []
  for (const place of served(calls, ({ user }) => user)) {
    answers[place] = holdOne(books, process, calls[place] as HoldCall)
  }
  return answers
}

/** An answer, and the line in which the call waits with it. */
type Decided = HoldAnswer & { line?: string }

function holdOne(books: Books, process: number, call: HoldCall): HoldAnswer {
  const { line, ...answer } = decide(books, process, call)
  if (line !== undefined) {
    join(books, call, line)
    return { ...answer, outcome: 'waits' }
  }
  // Whatever became of it, it waits no longer. Only one whose slice is to be filled asks again at once.
  if (answer.outcome !== 'no_allocation' && answer.outcome !== 'slice') leave(books, call.call)
  return answer
}

function decide(books: Books, process: number, call: HoldCall): Decided {
  const keyUsed = books.keyUsed(call.key)
  const refuse = (outcome: HoldAnswer['outcome'], why: Partial<Decided> = {}): Decided => ({
    ...nothing,
    outcome,
    keyUsed,
    ...why,
  })
  const inLine = (line: string) => (call.waitMs > 0 ? { line } : {})
  const allocation = books.allocation(call.org, call.user)
  if (allocation === undefined) return refuse('no_allocation', { keyUsed: null })
  const remaining = books.free(allocation)
  const known = books.state.holds.get(call.call)
  if (known !== undefined) {
    const outcome = known.state === 'open' ? 'held' : 'closed'
    return refuse(outcome, { held: known.held, input: known.input, remaining })
  }
  if (!books.organization(call.org).active) return refuse('suspended', { remaining })

  const free = room(books, allocation)
  const atBytes = most(call.input, call.inputBytes)
  const beside = books.margin(allocation)
  const fitsAtBytes = free === null || atBytes + call.output <= free - beside
  const input = fitsAtBytes ? call.input : atBytes
  const full = input + call.least
  const idle = roomIfNothingRan(books, allocation)
  const isUnlimited = free === null
  const required = full > idle && !isUnlimited ? full - call.uncertain : full
  const isAlone = required === full || !books.holdsUnheld(call.org)
  const available = !isAlone ? 0n : most(free === null ? input + call.output : fitsAtBytes ? free : free - beside, 0n)
  const { org, user } = call
  if (required > available) {
    if (required > idle) return refuse('insufficient', { required, available, remaining })
    return refuse('in_flight', { required, available, remaining, ...inLine(`${org}/${user}`) })
  }

  const isBudgeted = call.key !== null && books.state.budgets.has(call.key)
  const touched = call.key !== null && isBudgeted ? [...call.limits, books.keyLimit(call.key)] : call.limits
  const { refusal, budget, quota } = judgeLimits(books, call, touched, full)
  if (refusal?.outcome === 'slice')
    return refuse('slice', { required: full, available: atBytes + call.output, remaining })
  if (refusal !== null) {
    const why = { required: full, available: most(budget ?? 0n, 0n), remaining, limitKind: refusal.kind }
    return refuse('limit', { ...why, ...(refusal.line === null ? {} : inLine(refusal.line)) })
  }
  const ahead = lineAhead(books, call.call, linesOf(org, user, touched))
  if (call.waitMs > 0 && ahead !== null) return refuse('waits', { required, available, remaining, line: ahead })

  const granted = least(input + call.output, available)
  const held = budget === null ? granted : least(granted, budget)
  const wanted = input + call.output
  const unheld = held < full ? least(call.uncertain, wanted - held) : 0n
  const margin = atBytes - input + (held === wanted ? call.step : unheld)
  const countedKey = isBudgeted ? null : call.key
  const hold = { call: call.call, owner: process, org, user, held, input, margin, unheld, limits: touched, countedKey }
  books.state.holds.set(call.call, { ...hold, state: 'open', checkpoint: null, charged: null })
  for (const { kind, window } of touched) {
    if (kind === 'proxy' && held > 0n && leftOfShared(books, window) < 0n)
      throw new Error(`the model holds ${held} of call ${call.call} beyond the limit that all share`)
  }
  const limitKind = quota === null ? null : `quota ${quota / 1_000_000n - 1n}`
  return refuse('held', { held, input, remaining: remaining - held, limitKind })
}

interface Judged {
  /** `line`: where it could wait, since only running calls stand in its way. */
  refusal: { outcome: 'limit'; kind: string; line: string | null } | { outcome: 'slice' } | null
  /** Credits that the tightest leaves. */
  budget: bigint | null
  /** Microcalls that the quota leaves. */
  quota: bigint | null
}

function judgeLimits(books: Books, call: HoldCall, touched: readonly Limit[], full: bigint): Judged {
  const limits = touched
    .map((limit) => ({ limit, left: books.limitLeft(limit), used: books.limitUsed(limit) }))
    .sort((a, b) => byName(a.limit.kind, b.limit.kind))
  const needs = ({ unit }: Limit) => (unit === 'calls' ? 1_000_000n : full)
  const noCallLeft = limits.find(({ limit, left }) => limit.unit === 'calls' && left !== null && left < 1_000_000n)
  const budgets = limits.filter(({ limit, left }) => limit.unit === 'credits' && left !== null)
  const tightest = budgets.toSorted((a, b) => Number((a.left ?? 0n) - (b.left ?? 0n)))[0]
  const budget = tightest?.left ?? null
  const quota = limits.find(({ limit }) => limit.kind === 'quota')?.left ?? null
  const refused = noCallLeft ?? (budget !== null && budget < full ? tightest : undefined)
  const wanted = most(call.input, call.inputBytes) + call.output
  const isShort = limits.some(({ limit, left }) => limit.kind === 'proxy' && (left ?? 0n) < wanted)
  if (isShort && !call.sliced && (refused === undefined || refused.limit.kind === 'proxy'))
    return { refusal: { outcome: 'slice' }, budget, quota }
  if (refused === undefined) return { refusal: null, budget, quota }
  const fitsIfIdle = limits.every(({ limit, used }) => {
    const amount = books.amountOf(limit)
    return amount === null || amount - used >= needs(limit)
  })
  const kind = refused.limit.kind === 'quota' ? 'quota 0' : refused.limit.kind
  return { refusal: { outcome: 'limit', kind, line: fitsIfIdle ? nameOfLimit(refused.limit) : null }, budget, quota }
}

// --- progress -------------------------------------------------------------------------------------------------------------

export function progressBatch(books: Books, calls: readonly ProgressCall[]): ProgressAnswer[] {
  for (const { call, checkpoint } of calls) {
    const hold = books.state.holds.get(call)
    if (hold?.state === 'open' && checkpoint !== null && checkpoint >= (hold.checkpoint ?? 0n))
      hold.checkpoint = checkpoint
  }
  const answers: ProgressAnswer[] = []
  const user = (call: ProgressCall) => books.state.holds.get(call.call)?.user ?? '~'
  for (const place of served(calls, user)) answers[place] = progressOne(books, calls[place] as ProgressCall)
  return answers
}

function progressOne(books: Books, { call, total, least: worth, ask, shrink }: ProgressCall): ProgressAnswer {
  const hold = books.state.holds.get(call)
  if (hold === undefined) return { outcome: 'unknown', held: null }
  if (hold.state !== 'open') return { outcome: 'closed', held: hold.held }
  const isShrunk = shrink && total !== null && hold.held > total
  if (isShrunk) {
    touch(books, hold.org, hold.user)
    hold.held = total
  }
  const isAsked = ask || total !== null
  if (isAsked && !books.organization(hold.org).active) return { outcome: 'organization_suspended', held: hold.held }
  if (total === null) return { outcome: 'noted', held: hold.held }
  if (hold.held >= total) return { outcome: 'enough', held: hold.held }
  touch(books, hold.org, hold.user)
  const allocation = books.allocation(hold.org, hold.user) as Allocation
  const bounds = hold.limits.filter(({ unit }) => unit === 'credits').map((limit) => books.limitLeft(limit))
  let more = total - hold.held
  for (const bound of [room(books, allocation), ...bounds]) if (bound !== null) more = least(more, bound)
  if (more > 0n && hold.held + more >= (worth ?? 0n)) hold.held += more
  return { outcome: hold.held >= (worth ?? 0n) ? 'enough' : 'refused', held: hold.held }
}

// --- close ----------------------------------------------------------------------------------------------------------------

export function closeBatch(books: Books, calls: readonly CloseCall[]): CloseAnswer[] {
  touchAll(books, calls)
  const answers: CloseAnswer[] = []
  const holdOf = ({ call }: CloseCall) => books.state.holds.get(call)
  const together = new Set(calls.filter((call) => holdOf(call)?.state === 'open'))
  for (const place of served(calls, ({ user }) => user)) {
    const call = calls[place] as CloseCall
    if (together.has(call)) answers[place] = closeOpen(books, call)
  }
  // What their keys have used is told when all of them are closed, and before any other is.
  for (const [place, call] of calls.entries()) {
    if (together.has(call)) (answers[place] as CloseAnswer).keyUsed = keyUsedBy(books, call)
  }
  for (const place of served(calls, ({ user }) => user)) {
    const call = calls[place] as CloseCall
    if (together.has(call)) continue
    answers[place] = holdOf(call)?.state === 'open' ? closeOpen(books, call) : closeLate(books, call)
  }
  return answers
}

function closeOpen(books: Books, { call, org, user, charge, disputed }: CloseCall): CloseAnswer {
  end(books, call, charge === null ? 'released' : 'settled', charge ?? 0n, disputed && charge !== null)
  const allocation = books.allocation(org, user) as Allocation
  return { charged: charge ?? 0n, remaining: books.free(allocation), keyUsed: keyUsedBy(books, { call }) }
}

function keyUsedBy(books: Books, { call }: { call: number }): bigint | null {
  const hold = books.state.holds.get(call)
  return hold === undefined ? null : books.keyUsed(keyOf(hold))
}

/** A hold ends with a charge, in full whatever was held. */
function end(
  books: Books,
  call: number,
  state: 'settled' | 'released' | 'recovered',
  charge: bigint,
  disputed = false,
): void {
  const hold = books.state.holds.get(call)
  if (hold?.state !== 'open') throw new Error(`the hold of call ${call} is not open in the model`)
  hold.state = state
  hold.charged = charge
  books.state.rows.set(call, { charge, recovery: null, dispute: null, disputed })
  spend(books, hold, charge)
  callFirstAfter(books, hold)
}

export function spend(books: Books, { org, user }: { org: string; user: string }, amount: bigint): void {
  const allocation = books.allocation(org, user)
  if (allocation === undefined) throw new Error(`the model has no allocation of ${org}/${user}`)
  allocation.spent += amount
}

/** The hold is closed already, or was never seen: at most one charge and one correction, whatever is said how often. */
function closeLate(books: Books, call: CloseCall): CloseAnswer {
  const hold = books.state.holds.get(call.call)
  const rows = books.state.rows.get(call.call)
  if (hold === undefined && call.charge === null) return { charged: 0n, remaining: null, keyUsed: null }
  const allocation = books.allocation(call.org, call.user) as Allocation
  const answer = (): CloseAnswer => ({
    charged: books.chargedFor(call.call),
    remaining: books.free(allocation),
    keyUsed: keyUsedBy(books, call),
  })
  if (rows === undefined) {
    const { charge, disputed } = call
    books.state.rows.set(call.call, { charge: charge ?? 0n, recovery: null, dispute: null, disputed })
    spend(books, call, call.charge ?? 0n)
    return answer()
  }
  if (hold === undefined || hold.state === 'settled' || rows.recovery !== null) return answer()
  // Whoever releases what was recovered knows better than the checkpoint: nothing is to be paid.
  if (call.charge === null && hold.state === 'released') return answer()
  const difference = (call.charge ?? 0n) - rows.charge
  if (difference === 0n) return answer()
  rows.recovery = difference
  rows.disputed ||= call.disputed && call.charge !== null
  correct(books, allocation, difference)
  return answer()
}

/** The books never decrease: what was charged too much is given, as new credits, to pool and allocation. */
function correct(books: Books, allocation: Allocation, difference: bigint): void {
  if (difference >= 0n) {
    spend(books, allocation, difference)
  } else {
    books.organization(allocation.org).bought -= difference
    allocation.granted -= difference
  }
}

// --- disputes -------------------------------------------------------------------------------------------------------------

export interface DisputeAnswer {
  outcome: 'settled' | 'already_settled' | 'not_disputed' | 'unknown'
  charged: bigint | null
}

/** The call has cost `charge` after all. Once. */
export function settleDispute(books: Books, call: Omit<CloseCall, 'disputed'>): DisputeAnswer {
  const rows = books.state.rows.get(call.call)
  if (rows === undefined) return { outcome: 'unknown', charged: null }
  touch(books, call.org, call.user)
  const charged = books.chargedFor(call.call)
  if (!rows.disputed) return { outcome: 'not_disputed', charged }
  if (rows.dispute !== null) return { outcome: 'already_settled', charged }
  rows.dispute = (call.charge ?? 0n) - charged
  correct(books, books.allocation(call.org, call.user) as Allocation, rows.dispute)
  return { outcome: 'settled', charged: call.charge ?? 0n }
}

// --- recover --------------------------------------------------------------------------------------------------------------

/** A process whose lease ended a while ago is dead; answers the organizations where somebody who is gone holds something. */
export function findDead(books: Books): string[] {
  for (const process of books.state.processes.values()) {
    if (process.end === null && process.leaseUntil < books.state.now - DEAD_AFTER_MS) process.end = 'dead'
  }
  return [...new Set(orphans(books).map(({ org }) => org))].sort()
}

/** Calls, in their order, whose process is gone. */
export function orphans(books: Books, org?: string): { call: number; org: string; user: string }[] {
  const gone = books.openHolds().filter((hold) => books.state.processes.get(hold.owner)?.end !== null)
  return gone.filter((hold) => org === undefined || hold.org === org).sort((a, b) => a.call - b.call)
}

export interface Recovery {
  recovered: number
  released: number
  credits: bigint
}

/** Each at its last checkpoint; without one nothing went out. */
export function recover(books: Books, calls: readonly { call: number; org: string; user: string }[]): Recovery {
  const recovery: Recovery = { recovered: 0, released: 0, credits: 0n }
  touchAll(books, calls)
  for (const { call } of calls) {
    const checkpoint = books.state.holds.get(call)?.checkpoint ?? null
    end(books, call, checkpoint === null ? 'released' : 'recovered', checkpoint ?? 0n)
    recovery.credits += checkpoint ?? 0n
    if (checkpoint === null) recovery.released += 1
    else recovery.recovered += 1
  }
  return recovery
}
