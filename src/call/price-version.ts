/** A short name for the prices of a call: the same as long as rates, fees, markup and level are the same. */
import { createHash } from 'node:crypto'
import type { Candidate } from './candidate.ts'

export function priceVersion(candidates: readonly Candidate[]): string {
  const prices = candidates.map(({ price: { tiers, toolFees }, markup, level, payer }) =>
    payer.isCharged ? JSON.stringify({ tiers, toolFees, markup, level }, digits) : 'own',
  )
  const text = [...new Set(prices)].sort().join('\n')
  return createHash('sha256').update(text).digest('hex').slice(0, 12)
}

function digits(_: string, value: unknown): unknown {
  return typeof value === 'bigint' ? String(value) : value
}
