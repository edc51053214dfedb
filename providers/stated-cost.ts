/**
 * A provider's own bill, from the JSON number it was stated as. It becomes an integer once, here, in the unit a charge is
 * reckoned in, so that nothing is rounded before the charge is.
 */
import { parseDecimal } from './decimal.ts'

/** 10^-21 dollars: `charge` divides by 10^12 to nano-dollars. */
const COST_DECIMALS = 21
/** More than any call costs, and little enough for the ledger: a larger bill counts as missing. */
const MOST_DOLLARS = 1_000_000

/** Dollars to 10^-21 dollars. Null for what is not a finite number >= 0. */
export function statedCost(dollars: unknown): bigint | null {
  if (typeof dollars !== 'number' || !(dollars >= 0) || dollars > MOST_DOLLARS) return null
  // Fifteen digits are what a double is sure of: 0.00036000000000000003 was meant as 0.00036.
  return parseDecimal(String(Number(dollars.toPrecision(15))), COST_DECIMALS, { roundUp: true })
}

/** xAI's unit: 10^10 ticks are a dollar. Null for what is not an integer >= 0. */
export function statedTicks(ticks: unknown): bigint | null {
  if (typeof ticks !== 'number' || !Number.isSafeInteger(ticks) || ticks < 0) return null
  return ticks > MOST_DOLLARS * 1e10 ? null : BigInt(ticks) * 10n ** 11n
}
