/**
 * Money as integers. One credit is $0.001; one microcredit is a millionth of a credit, which is one nano-dollar.
 * Every amount in the code is a `bigint` of microcredits; decimal strings exist only at the edges (SQL, JSON, headers).
 */
import { parseDecimal } from '../../providers/decimal.ts'

export { divideUp, formatDecimal, parseDecimal, trimDecimal } from '../../providers/decimal.ts'

/** Microcredits in one credit, and nano-dollars in one thousandth of a dollar. */
export const MICROCREDITS_PER_CREDIT = 1_000_000n
export const MICROCREDITS_PER_DOLLAR = 1_000_000_000n

/** Credits in decimal (`12.5`) to microcredits. @throws {RangeError} beyond six decimals. */
export function creditsToMicro(text: string): bigint {
  return parseDecimal(text, 6)
}
