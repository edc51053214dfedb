/** Decimals as integers of 10^-scale units: no amount, price or bill passes through a float. */

const DECIMAL = /^([+-]?)(\d*)(?:\.(\d*))?(?:[eE]([+-]?\d{1,3}))?$/

/**
 * Reads a decimal string as an integer number of 10^-scale units, without passing through a float.
 * `0.15` at scale 9 is 150000000n; `3e-7` is understood. Digits beyond the scale must be zero unless `roundUp` is set,
 * which rounds away from zero: a price is never rounded down.
 * @throws {RangeError} when the text is not a finite decimal or does not fit the scale.
 */
export function parseDecimal(text: string, scale: number, options: { roundUp?: boolean } = {}): bigint {
  const match = DECIMAL.exec(text.trim())
  if (match === null || (match[2] === '' && (match[3] ?? '') === ''))
    throw new RangeError(`not a decimal number: ${text}`)
  const fraction = match[3] ?? ''
  const digits = BigInt(`${match[2]}${fraction}`)
  const shift = scale - fraction.length + Number(match[4] ?? '0')
  const magnitude =
    shift >= 0 ? digits * 10n ** BigInt(shift) : shrink(digits, -shift, text, scale, options.roundUp ?? false)
  return match[1] === '-' ? -magnitude : magnitude
}

function shrink(digits: bigint, places: number, text: string, scale: number, roundUp: boolean): bigint {
  const divisor = 10n ** BigInt(places)
  if (digits % divisor === 0n) return digits / divisor
  if (!roundUp) throw new RangeError(`${text} has more than ${scale} decimals`)
  return digits / divisor + 1n
}

/** Writes an integer number of 10^-scale units as a decimal with exactly `scale` decimals: 1500000n at 6 is `1.500000`. */
export function formatDecimal(value: bigint, scale: number): string {
  const digits = (value < 0n ? -value : value).toString().padStart(scale + 1, '0')
  const sign = value < 0n ? '-' : ''
  return scale === 0 ? `${sign}${digits}` : `${sign}${digits.slice(0, -scale)}.${digits.slice(-scale)}`
}

/** The shortest exact decimal: 1500000n at 6 is `1.5`, 2000000n is `2`. A valid JSON number. */
export function trimDecimal(value: bigint, scale: number): string {
  const text = formatDecimal(value, scale)
  return scale === 0 ? text : text.replace(/\.?0+$/, '')
}

/** Division that rounds up; both operands are >= 0 and the divisor > 0. The one rounding of a charge. */
export function divideUp(numerator: bigint, divisor: bigint): bigint {
  return (numerator + divisor - 1n) / divisor
}
