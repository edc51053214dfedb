/** One logged call: what was due for it by the prices here, and why LiteLLM booked something else. */
import { isUsed, type Usage } from '../../../providers/usage.ts'
import { charge } from '../../metering/charge.ts'
import type { Price } from '../../metering/price.ts'
import type { FindLogPrice } from './log-prices.ts'
import { loggedUsage, onlyCache, withoutCache } from './logged-usage.ts'
import type { SourceRow } from './source.ts'
import { membersIn, numberIn, spentOf, textIn, timeIn } from './values.ts'

export const REASONS = {
  same: 'the same',
  double: 'the call is booked twice',
  responses_at_zero: 'Responses booked at $0',
  at_zero: 'booked at $0',
  cached_at_full_price: 'cached tokens at the full price',
  cached_twice: 'cached tokens counted twice',
  cached_free: 'cached tokens at no price',
  not_due: 'a failed or cached call that costs nothing',
  other_price: 'another price',
  no_price: 'no price is known here: not compared',
  no_usage: 'no tokens in the log: not compared',
} as const

export type Reason = keyof typeof REASONS

export interface Judged {
  reason: Reason
  /** Microcredits; null where it can't be known. */
  due: bigint | null
  booked: bigint
}

/** @param isDouble whether the same call was seen before. */
export function judgeRow(row: SourceRow, isDouble: boolean, findPrice: FindLogPrice): Judged {
  const booked = spentOf(numberIn(row, 'spend'))
  if (isDouble) return { reason: 'double', due: 0n, booked }
  if (costsNothing(row)) return { reason: booked === 0n ? 'same' : 'not_due', due: 0n, booked }
  const usage = loggedUsage(row)
  if (usage === null || !isUsed(usage)) return { reason: 'no_usage', due: null, booked }
  const price = findPrice(row, timeIn(row, 'startTime') ?? new Date(0))
  if (price === null) return { reason: 'no_price', due: null, booked }
  const due = costOf(usage, price)
  return { reason: reasonOf(row, { booked, due, usage, price }), due, booked }
}

function costsNothing(row: SourceRow): boolean {
  const status = textIn(row, 'status') ?? textIn(membersIn(row, 'metadata'), 'status')
  return status === 'failure' || textIn(row, 'cache_hit')?.toLowerCase() === 'true'
}

function costOf(usage: Usage, price: Price): bigint {
  return charge({ usage, price, markup: 0n, level: 1_000_000n, allowBelowCost: false }).microcredits
}

interface Compared {
  booked: bigint
  due: bigint
  usage: Usage
  price: Price
}

function reasonOf(row: SourceRow, { booked, due, usage, price }: Compared): Reason {
  if (isSame(booked, due)) return 'same'
  if (booked === 0n) return textIn(row, 'call_type')?.includes('responses') ? 'responses_at_zero' : 'at_zero'
  const cache = onlyCache(usage)
  if (!isUsed(cache)) return 'other_price'
  const full = costOf(withoutCache(usage), price)
  if (isSame(booked, full)) return 'cached_at_full_price'
  const alone = costOf(cache, price)
  if (isSame(booked, full + alone) || isSame(booked, due + alone)) return 'cached_twice'
  return isSame(booked, due - alone) ? 'cached_free' : 'other_price'
}

/** Ours is rounded up to the nano-dollar, theirs is a double; a sum of two is rounded twice. */
function isSame(one: bigint, other: bigint): boolean {
  const apart = one - other
  return apart >= -2n && apart <= 2n
}
