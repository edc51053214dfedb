/** One call to the ledger each, with what it must do in the model and how it is made in the database. */
import { type Books, credits, keyOf } from './books.ts'
import type { HoldCall, Limit } from './limit.ts'
import { allocate, deduct, purchase } from './public-functions.ts'
import type { RealLedger, Seat } from './real.ts'
import * as rules from './rules.ts'
import { fillSlice, SHARED, sliceOf } from './slices.ts'
import { leave } from './waiters.ts'
import { ORGANIZATIONS, USERS, type Way, type World } from './world.ts'

export interface Operation {
  text: string
  model(books: Books): unknown
  real(real: RealLedger, seat: Seat): Promise<unknown>
}

/** Which call: the `nth` of those there are, counted round. */
export interface Pick {
  nth: number
  of: 'open' | 'closed' | 'unseen'
}

export interface HoldPlan {
  kind: 'hold'
  calls: {
    org: number
    user: number
    input: bigint
    /** What one token a byte would cost, beyond `input`. */
    bytes: bigint
    output: bigint
    /** What of `output` the call can do without. */
    spare: bigint
    /** What its stream grows by next. */
    step: bigint
    uncertain: bigint
    limits: number
    /** Whether it has a key. */
    key: boolean
    /** Whether the limit that all share bounds it, and whether it says that its slice was filled. */
    slice: 'none' | 'to fill' | 'filled'
    waitMs: number
    /** Sent before, and now again. */
    again: number | null
    /** It waits, and asks again: in its turn or not. `says`: that it waits; else nobody knows that its first ask arrived. */
    waiter: { nth: number; says: boolean } | null
  }[]
}

/** A call that waits goes. */
export interface LeavePlan {
  kind: 'leave'
  nth: number
}

/** A process fills its slice for an organization. */
export interface FillPlan {
  kind: 'fill'
  org: number
  wanted: bigint
  least: bigint
}

export interface ProgressPlan {
  kind: 'progress'
  calls: { pick: Pick; checkpoint: bigint | null; total: bigint | null; spare: bigint; ask: boolean; shrink: boolean }[]
}

export interface ClosePlan {
  kind: 'close'
  calls: { pick: Pick; charge: bigint | null; disputed: boolean }[]
}

export interface DisputePlan {
  kind: 'dispute'
  pick: Pick
  charge: bigint
}

export interface PublicPlan {
  kind: 'purchase' | 'allocate' | 'deduct'
  org: number
  user: number
  amount: bigint
  requestId: string | null
}

export type Plan = HoldPlan | LeavePlan | FillPlan | ProgressPlan | ClosePlan | DisputePlan | PublicPlan

/** Undefined: there is nothing it could be done to. */
export function operation(world: World, seat: Seat, plan: Plan): Operation | undefined {
  if (plan.kind === 'hold') return hold(world, seat, plan)
  if (plan.kind === 'leave') return leaving(world, plan)
  if (plan.kind === 'fill') return filling(world, seat, plan)
  if (plan.kind === 'progress') return progress(world, plan)
  if (plan.kind === 'close') return close(world, plan)
  if (plan.kind === 'dispute') return dispute(world, plan)
  return publicFunction(plan)
}

/** What an operation does to books that stay as they are. */
export function wayOf(books: Books, ...operations: readonly Operation[]): Way & { all: unknown[] } {
  let after = books
  const all: unknown[] = []
  for (const one of operations) {
    const before = after
    after = before.clone()
    const answer = one.model(after)
    // A refused public function is rolled back: nothing of it stays.
    if (typeof answer === 'string' && answer.startsWith('refused')) after = before
    all.push(answer)
  }
  return { books: after, answers: all.at(-1), all }
}

const nth = <T>(items: readonly T[], n: number): T | undefined => items[n % Math.max(items.length, 1)]

function hold(world: World, seat: Seat, plan: HoldPlan): Operation {
  const process = world.processAt(seat)
  const sent = new Map<number, HoldCall>()
  for (const item of plan.calls) {
    const call = askedAgain(world, item) ?? newCall(world, process, item)
    sent.set(call.call, call)
  }
  const calls = [...sent.values()]
  return {
    text: `process ${process} holds ${calls.map(wordsOf).join('; ')}`,
    model: (books) => rules.holdBatch(books, process, calls),
    real: (real, at) => real.hold(at, process, calls),
  }
}

type HoldItem = HoldPlan['calls'][number]

/** One that waits asks for the same, for the rest of its time, in the windows of the day. */
function askedAgain({ books: { state } }: World, { waiter }: HoldItem): HoldCall | undefined {
  const found = waiter === null ? undefined : nth(state.waiters, waiter.nth)
  if (waiter === null || found === undefined) return undefined
  const waitMs = Math.max(0, found.until - state.now)
  const limits = found.asked.limits.map((limit) => ({ ...limit, window: dayOf(state.now) }))
  return { ...found.asked, limits, waitMs, stands: waiter.says || waitMs === 0 }
}

function newCall(world: World, process: number, item: HoldItem): HoldCall {
  const known = item.again === null ? undefined : nth([...world.books.state.holds.values()], item.again)
  const { input, output, waitMs } = item
  const amounts = {
    input,
    inputBytes: input + item.bytes,
    output,
    least: item.spare > output ? 0n : output - item.spare,
    step: item.step,
    uncertain: item.uncertain > input ? input : item.uncertain,
  }
  const org = known?.org ?? ORGANIZATIONS[item.org] ?? 'acme'
  const user = known?.user ?? USERS[item.user] ?? 'alice'
  const call = known?.call ?? world.mintCall()
  const window = dayOf(world.books.state.now)
  const slices = item.slice === 'none' ? [] : [sliceOf(process, item.org, window)]
  const asked =
    known === undefined
      ? { limits: [...limitsOf(window, org, user, item.limits), ...slices], key: item.key ? `${org}/${user}` : null }
      : { limits: known.limits.filter(({ kind }) => kind !== 'key'), key: keyOf(known) }
  return { call, org, user, ...amounts, ...asked, waitMs, stands: false, sliced: item.slice === 'filled' }
}

function wordsOf(asked: HoldCall): string {
  const { call, org, user, input, inputBytes, uncertain, output, least, step, limits, key, waitMs, stands, sliced } =
    asked
  const kinds = [...limits.map(({ kind, id }) => (kind === 'proxy' ? id : kind)), ...(key === null ? [] : ['key'])]
  const amounts = `input ${credits(input)} (${credits(inputBytes)} by bytes, ${credits(uncertain)} uncertain) output ${credits(output)} least ${credits(least)} step ${credits(step)}`
  const under = kinds.length === 0 ? '' : ` under ${kinds.join(' and ')}${sliced ? ' as filled' : ''}`
  const waits = waitMs > 0 ? `, may wait ${waitMs / 1_000} s` : ''
  return `call ${call} of ${org}/${user}: ${amounts}${under}${waits}${stands ? ' and does' : ''}`
}

const dayOf = (at: number): number => Math.floor(at / 86_400_000) * 86_400_000

/** By the day: a hold remembers the day it was made on. */
function limitsOf(window: number, org: string, user: string, how: number): Limit[] {
  const quota: Limit = { kind: 'quota', id: `${org}/${user}`, window, unit: 'calls', amount: 3_000_000n }
  const budget: Limit = { kind: 'budget', id: 'shared by both', window, unit: 'credits', amount: 70_000_000n }
  return [[], [], [budget], [quota, budget]][how] ?? []
}

function leaving(world: World, plan: LeavePlan): Operation | undefined {
  const waiter = nth(world.books.state.waiters, plan.nth)
  if (waiter === undefined) return undefined
  const { asked } = waiter
  return {
    text: `call ${asked.call} leaves its line`,
    model(books) {
      leave(books, asked.call)
      return 'left'
    },
    real: (real, at) => real.leave(at, world.processAt(at), asked),
  }
}

function filling(world: World, seat: Seat, { org, wanted, least }: FillPlan): Operation {
  const process = world.processAt(seat)
  const slice = sliceOf(process, org, dayOf(world.books.state.now))
  return {
    text: `process ${process} fills ${slice.id} for ${credits(wanted)}, at least ${credits(least)}`,
    model: (books) => fillSlice(books, slice, wanted, least),
    real: (real, at) => real.fill(at, SHARED, slice.id, wanted, least),
  }
}

function progress(world: World, plan: ProgressPlan): Operation | undefined {
  const sent = new Map<number, rules.ProgressCall>()
  for (const { pick, checkpoint, total, spare, ask, shrink } of plan.calls) {
    const found = callFor(world, pick)
    if (found === undefined) continue
    const least = total === null ? null : spare > total ? 0n : total - spare
    sent.set(found.call, { call: found.call, org: found.org, checkpoint, total, least, ask, shrink })
  }
  if (sent.size === 0) return undefined
  const calls = [...sent.values()]
  const words = calls.map(({ call, checkpoint, total, least, ask, shrink }) => {
    const size =
      total === null ? '' : ` wants ${credits(total)}${shrink ? ' and no more' : ''} at least ${credits(least ?? 0n)}`
    const grow = total === null && ask ? ' asks' : size
    return `call ${call}${checkpoint === null ? '' : ` delivered ${credits(checkpoint)}`}${grow}`
  })
  return {
    text: `progress: ${words.join('; ')}`,
    model: (books) => rules.progressBatch(books, calls),
    real: (real, at) => real.progress(at, calls),
  }
}

function close(world: World, plan: ClosePlan): Operation | undefined {
  const sent = new Map<number, rules.CloseCall>()
  for (const { pick, charge, disputed } of plan.calls) {
    const found = callFor(world, pick)
    if (found !== undefined) sent.set(found.call, { ...found, charge, disputed })
  }
  return sent.size === 0 ? undefined : closing([...sent.values()])
}

export function closing(calls: readonly rules.CloseCall[]): Operation {
  const words = calls.map(({ call, org, user, charge, disputed }) => {
    const how = charge === null ? 'release' : `settle at ${credits(charge)}${disputed ? ' disputed' : ''}`
    return `${how} call ${call} of ${org}/${user}`
  })
  return {
    text: words.join('; '),
    model: (books) => rules.closeBatch(books, calls),
    real: (real, at) => real.settle(at, calls),
  }
}

function dispute(world: World, { pick, charge }: DisputePlan): Operation | undefined {
  const found = callFor(world, pick)
  if (found === undefined) return undefined
  return {
    text: `settle the dispute about call ${found.call} of ${found.org}/${found.user} at ${credits(charge)}`,
    model: (books) => rules.settleDispute(books, { ...found, charge }),
    real: (real, at) => real.settleDispute(at, found.call, charge),
  }
}

function callFor(world: World, pick: Pick): { call: number; org: string; user: string } | undefined {
  const { holds, allocations } = world.books.state
  if (pick.of === 'unseen') {
    const payer = nth(allocations, pick.nth)
    return payer === undefined ? undefined : { call: world.mintCall(), org: payer.org, user: payer.user }
  }
  const candidates = [...holds.values()].filter((hold) => (hold.state === 'open') === (pick.of === 'open'))
  const hold = nth(candidates, pick.nth)
  return hold === undefined ? undefined : { call: hold.call, org: hold.org, user: hold.user }
}

function publicFunction({ kind, amount, requestId, ...who }: PublicPlan): Operation {
  const org = ORGANIZATIONS[who.org] ?? 'acme'
  const user = USERS[who.user] ?? 'alice'
  if (kind === 'purchase') {
    return {
      text: `add_credits_to_pool ${org} ${credits(amount)}`,
      model: (books) => purchase(books, org, amount),
      real: (real, at) => real.purchase(at, org, amount),
    }
  }
  if (kind === 'allocate') {
    return {
      text: `allocate_credits_to_user ${org}/${user} ${credits(amount)}`,
      model: (books) => allocate(books, org, user, amount),
      real: (real, at) => real.allocate(at, org, user, amount),
    }
  }
  return {
    text: `deduct_credits ${org}/${user} ${credits(amount)}${requestId === null ? '' : ` request ${requestId}`}`,
    model: (books) => deduct(books, org, user, amount, requestId),
    real: (real, at) => real.deduct(at, org, user, amount, requestId),
  }
}
