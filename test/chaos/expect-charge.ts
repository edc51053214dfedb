/**
 * What the books may say of one call, from what the provider did and the caller saw; the product's own records are not asked.
 * A call that came to its end has one price. Of one that was broken off the bounds are stated here, kind by kind.
 */
import type { Attempt, Call } from './calls.ts'
import type { Payer } from './payers.ts'
import { priceOf } from './price.ts'

/** How a call ended, for the report. */
export type Ending =
  | 'answered, usage stated'
  | 'answered, counted here'
  | 'stopped: credits used up or draining'
  | 'broken off by the provider'
  | 'refused or failed'
  | 'left by the caller'
  | 'lost with its process'
  | 'never made'

export interface Expectation {
  ending: Ending
  /** Microcredits. */
  low: bigint
  high: bigint
  /** What must not have been at all, whatever it cost. */
  wrong: string | null
}

/** A time in which the ledger could not be counted on; `slot` null is all of them. */
export interface Window {
  from: number
  to: number
}

/** Tokens of framing a count may put on top of the prompt's own, and an estimate in all. */
const COUNT_SLACK = 12
/** A call goes on this long, at most, after its caller has left: for its hold, and for two attempts that time out. */
const LONGEST_MS = 20_000
const guessed = (tokens: number) => 2 * tokens + 24

/** @param troubled when the database could not be reached by the call's process: no checkpoint may have been taken then. */
export function expectCharge(call: Call, payer: Payer, troubled: readonly Window[]): Expectation {
  const { plan, attempts, seen, left } = call
  const last = attempts.at(-1)
  const price = (input: number, output: number) => priceOf(plan, payer.plan, input, output)
  const stated = last?.stated ?? null
  const statedPrice = stated === null ? 0n : price(stated.input, stated.output)
  /** By the provider's usage or by a count of what was shown, whichever the product came to know. */
  const between = (words: number) => ({
    low: least(price(plan.promptTokens, words), stated === null ? null : statedPrice),
    high: most(price(plan.promptTokens + COUNT_SLACK, words), statedPrice),
  })
  const answer = (ending: Ending, low: bigint, high: bigint, wrong: string | null = null) => ({
    ending,
    low,
    high,
    wrong,
  })

  if (call.hung) return answer('left by the caller', 0n, bound(call, price), 'it never ended')
  if (last === undefined && wasKilled(call)) {
    // Its first checkpoint, worth the input, goes out with the dispatch: nobody can tell any more that it did not arrive.
    return answer('lost with its process', 0n, price(guessed(plan.promptTokens), 0))
  }
  if (last === undefined) {
    // A stream whose head left with keep-alives ends with an error under its 200.
    const answered = seen?.whole === true && seen.status === 200 && seen.code === null
    const wrong = answered ? 'it was answered, and the provider never saw it' : null
    return answer(seen?.whole === true ? 'refused or failed' : 'never made', 0n, 0n, wrong ?? unexplained(call))
  }
  if (seen?.whole === true && seen.status !== 200) return answer('refused or failed', 0n, 0n)
  if (seen?.whole === true && seen.code !== null) {
    if (seen.words > 0) {
      const { low, high } = between(seen.words)
      return answer('broken off by the provider', low, high)
    }
    return answer('broken off by the provider', 0n, most(price(plan.promptTokens + COUNT_SLACK, 0), statedPrice))
  }
  if (seen?.whole === true) {
    const { low, high } = between(seen.words)
    if (seen.finish === 'length' && last.finish !== 'length')
      return answer('stopped: credits used up or draining', low, high)
    if (!last.complete) return answer('broken off by the provider', low, high)
    if (stated === null) return answer('answered, counted here', low, high)
    return answer('answered, usage stated', statedPrice, statedPrice)
  }

  const high = bound(call, price)
  const disturbed = isDisturbed(call)
  if (!left) return answer('lost with its process', owedOf(call, troubled, price), high, unexplained(call))
  if (disturbed) return answer('left by the caller', owedOf(call, troubled, price), high)
  if (!plan.stream && last.complete) {
    if (stated !== null) return answer('left by the caller', statedPrice, statedPrice)
    return { ending: 'left by the caller', ...between(last.words), wrong: null }
  }
  const shown = seen?.words ?? 0
  return answer('left by the caller', plan.stream && shown > 0 ? between(shown).low : 0n, high)
}

/** All that the provider sent or stated at any attempt. */
function bound(call: Call, price: (input: number, output: number) => bigint): bigint {
  return call.attempts.reduce((highest: bigint, { words, stated }: Attempt) => {
    const shown = price(guessed(call.plan.promptTokens), words)
    return most(highest, shown, stated === null ? 0n : price(stated.input, stated.output))
  }, 0n)
}

/** A checkpoint has what was delivered some seconds before the end, if the database could be reached; of a JSON answer, its input. */
function owedOf(call: Call, troubled: readonly Window[], price: (input: number, output: number) => bigint): bigint {
  const { owed, plan, startedAt, incarnation } = call
  const end = incarnation.killedAt
  if (owed === null || end === null) return 0n
  const windows = [...troubled, ...incarnation.stops]
  if (windows.some(({ from, to }) => from < end && to > startedAt)) return 0n
  return price(plan.promptTokens, plan.stream ? owed.words : 0)
}

/** Its process was killed, told to go, or frozen while the call may have been running. */
function isDisturbed({ incarnation, startedAt, endedAt }: Call): boolean {
  const { drainedAt, killedAt, stops } = incarnation
  const until = (endedAt ?? startedAt) + LONGEST_MS
  const within = (at: number | null) => at !== null && at < until
  return within(killedAt) || within(drainedAt) || stops.some(({ from, to }) => to > startedAt && from < until)
}

/** While the call ran, as far as its caller can tell. */
function wasKilled({ incarnation: { killedAt }, startedAt, endedAt, seen }: Call): boolean {
  return killedAt !== null && seen?.whole !== true && killedAt < (endedAt ?? startedAt) + LONGEST_MS
}

/** A connection that broke although nobody cut it. */
function unexplained(call: Call): string | null {
  const { left, seen, incarnation } = call
  if (left || seen?.whole === true || incarnation.killedAt !== null || incarnation.drainedAt !== null) return null
  return 'the connection broke, and its process was not killed'
}

function most(...amounts: bigint[]): bigint {
  return amounts.reduce((highest, amount) => (amount > highest ? amount : highest))
}

function least(one: bigint, other: bigint | null): bigint {
  return other !== null && other < one ? other : one
}
