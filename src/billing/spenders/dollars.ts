/** Dollars as callers write them, exactly: one nano-dollar is a microcredit. */
import { trimDecimal } from '../../metering/money.ts'

const DECIMAL = /^(\d{1,40})(?:\.(\d{1,400}))?(?:e([+-]?\d{1,3}))?$/i
/** What a column of credits holds, with room to spare. */
const DOLLARS_MAX = 10_000_000_000n * 1_000_000_000n

/**
 * @param written a number of JSON, or the same as a text; `1e-7` too.
 * @returns decimal dollars with at most nine digits behind the point, what is smaller left out; null for what is no amount from 0 to ten
 * billion dollars.
 */
export function readDollars(written: number | string): string | null {
  const [, whole, fraction = '', exponent = '0'] = DECIMAL.exec(String(written).trim()) ?? []
  if (whole === undefined) return null
  const digits = `${whole}${fraction}`
  const shift = 9 - fraction.length + Number(exponent)
  const nano = shift >= 0 ? `${digits}${'0'.repeat(shift)}` : digits.slice(0, Math.max(0, digits.length + shift))
  const amount = BigInt(nano === '' ? '0' : nano)
  return amount <= DOLLARS_MAX ? trimDecimal(amount, 9) : null
}
