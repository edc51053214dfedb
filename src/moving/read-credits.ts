/** Credits as Ops-Center stored them: whole numbers by its own migration, floats or NULL where somebody changed the column. */
import { MICROCREDITS_PER_CREDIT } from '../metering/money.ts'

export interface ReadCredits {
  /** Microcredits, rounded to the nearest. */
  micro: bigint
  /** What was not as it should be; null where it was a whole number. */
  problem: 'null' | 'no_number' | 'fraction' | 'rounded' | null
}

const NUMBER = /^(-?)(\d+)(?:\.(\d+))?(?:e([+-]?\d{1,3}))?$/i
const DECIMALS = 6
/** What the ledger can hold. */
const MOST = 10n ** 19n

export function readCredits(text: string | null): ReadCredits {
  if (text === null) return { micro: 0n, problem: 'null' }
  const [, sign, whole, fraction = '', exponent = '0'] = NUMBER.exec(text) ?? []
  if (whole === undefined) return { micro: 0n, problem: 'no_number' }
  const digits = BigInt(whole + fraction)
  const shift = Number(exponent) - fraction.length + DECIMALS
  const unit = 10n ** BigInt(Math.max(-shift, 0))
  const amount = shift >= 0 ? digits * 10n ** BigInt(shift) : (digits + unit / 2n) / unit
  if (amount > MOST) return { micro: 0n, problem: 'no_number' }
  const exact = shift >= 0 || digits % unit === 0n
  const isWhole = amount % MICROCREDITS_PER_CREDIT === 0n
  return { micro: sign === '-' ? -amount : amount, problem: !exact ? 'rounded' : isWhole ? null : 'fraction' }
}
