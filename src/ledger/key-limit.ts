/** The limit every key is: of all time, with the amount that stands in its row, or only counted where none does. */
import type { Limit } from './ledger.ts'

export function keyLimit(keyId: string | null): readonly Limit[] {
  return keyId === null ? [] : [{ kind: 'key', id: keyId, window: null, unit: 'credits', amount: null }]
}
