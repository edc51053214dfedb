/**
 * Counts the bytes of documents that one network was sent within a second: everybody may ask for them, over and over, and need not read
 * them. What nobody reads fills the memory of the system, not of this process, and copying it takes the time of all others.
 */
import { TollgateError } from '../http/errors.ts'
import { createSecondCounts, nextSecond } from './second-counts.ts'
import { networkOf } from './unknown-keys.ts'

/** A page with all its files, for a dozen people behind one address. */
const PER_SECOND = 16 * 1024 * 1024

export interface DocumentBytes {
  /** Before they are sent. @throws {TollgateError} 429 beyond the limit. */
  take(address: string, bytes: number): void
}

export function createDocumentBytes(now: () => number): DocumentBytes {
  const counts = createSecondCounts(now)
  return {
    take(address, bytes) {
      const network = networkOf(address)
      if (counts.of(network) >= PER_SECOND) throw tooMany()
      counts.add(network, bytes)
    },
  }
}

function tooMany(): TollgateError {
  return new TollgateError(
    429,
    'too_many_documents',
    'Your address was sent 16 MB of documents within a second. Try again in a second.',
    { headers: nextSecond(), limit: 'documents' },
  )
}
