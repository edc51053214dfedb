/** How long to wait before a call is tried again. Only what consumed nothing is: never after a time-out, which may have been paid for. */
import type { ProviderErrorKind } from '../../providers/provider.ts'

const BACKOFF_MS = 250
/** We do not wait for a provider that wants a longer pause than this. */
const PATIENCE_MS = 5_000

export interface Failed {
  kind: ProviderErrorKind
  retryAfterMs: number | null
}

/**
 * Returns milliseconds, or null not to try again.
 * @param isElsewhere another candidate is next: nobody who asked for a pause is asked again.
 * @param tries how often it was tried after the first.
 */
export function waitBefore({ kind, retryAfterMs }: Failed, isElsewhere: boolean, tries: number): number | null {
  switch (kind) {
    case 'rate_limit':
    case 'overloaded':
    case 'failed':
    case 'unreachable': {
      if (isElsewhere) return 0
      const wait = retryAfterMs ?? BACKOFF_MS * 2 ** tries
      return wait <= PATIENCE_MS ? wait : null
    }
    case 'auth':
    case 'quota':
      return isElsewhere ? 0 : null
    default:
      return null
  }
}
