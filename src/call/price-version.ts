/** A short name for the prices of a call. It changes when rates, fees, markup or level change. */
import { createHash } from 'node:crypto'
import type { Candidate } from './candidate.ts'

export function priceVersion(candidates: readonly Candidate[]): string {
  const prices = candidates.map(({ price: { tiers, toolFees, units }, markup, level, payer }) =>
    payer.isCharged ? JSON.stringify({ tiers, toolFees, units, markup, level }, digits) : 'own',
  )
  const text = [...new Set(prices)].sort().join('\n')
  return createHash('sha256').update(text).digest('hex').slice(0, 12)
}

function digits(_: string, value: unknown): unknown {
  return typeof value === 'bigint' ? String(value) : value
}
