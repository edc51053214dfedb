/**
 * Amounts as people read them: whole, to the last digit. Values come from the API as decimals (text, or numbers small enough to be
 * exact) and become integers of nano-dollars; no float is ever added.
 */
import { creditsToMicro, formatDecimal, parseDecimal, trimDecimal } from '../../../src/metering/money.ts'

export type Decimal = string | number

/** Credits to nano-dollars: one microcredit is one nano-dollar. */
export function nanoOfCredits(credits: Decimal): bigint {
  return creditsToMicro(String(credits))
}

export function nanoOfDollars(dollars: Decimal): bigint {
  return parseDecimal(String(dollars), 9)
}

/** `$0.000165`, `$12.50`, `-$1,234.00`: two decimals at least, and as many more as there are. */
export function showNano(nano: bigint): string {
  const [whole = '0', fraction = ''] = formatDecimal(nano < 0n ? -nano : nano, 9).split('.')
  const digits = fraction.replace(/0+$/, '').padEnd(2, '0')
  return `${nano < 0n ? '-' : ''}$${grouped(whole)}.${digits}`
}

export function showCredits(credits: Decimal): string {
  const [whole = '0', fraction] = trimDecimal(nanoOfCredits(credits), 6).split('.')
  return fraction === undefined ? grouped(whole) : `${grouped(whole)}.${fraction}`
}

export function showCount(count: Decimal): string {
  return grouped(String(count))
}

export function sum(amounts: readonly bigint[]): bigint {
  return amounts.reduce((total, amount) => total + amount, 0n)
}

/** How many hundredths of `whole` `part` is, from 0 to 100: for bars, which need no more digits. */
export function percentOf(part: bigint, whole: bigint): number {
  if (whole <= 0n) return part > 0n ? 100 : 0
  const percent = Number((part * 1_000n) / whole) / 10
  return Math.min(100, Math.max(0, percent))
}

/** Dollars as a float, for the height of a bar in a chart only. */
export function heightOf(nano: bigint): number {
  return Number(nano) / 1e9
}

function grouped(whole: string): string {
  return whole.replaceAll(/\B(?=(?:\d{3})+(?!\d))/g, ',')
}
