/**
 * Which attempt comes next. Only what consumed nothing is tried again: a provider that refused, was overloaded or could not be
 * reached; never after something of the answer was passed on, never after a time-out, which may have been paid for.
 */
import type { ProviderError } from '../../providers/provider.ts'
import type { Ledger } from '../ledger/ledger.ts'
import type { Call } from './call.ts'
import type { Offer } from './offer.ts'
import { capFor, coverOffer } from './place-hold.ts'
import { leaseLost } from './provider-failure.ts'

const BACKOFF_MS = 250
/** A provider that wants a longer pause than this is not waited for. */
const PATIENCE_MS = 5_000

/** Tries `attempt` until it succeeds (null) or trying again is no use; answers the error of the first failure then. */
export async function tryOffers(
  deps: { ledger: Ledger; retries: number },
  call: Call,
  offers: readonly Offer[],
  attempt: () => Promise<ProviderError | null>,
): Promise<ProviderError | null> {
  let first: ProviderError | null = null
  for (let tries = 0; ; tries += 1) {
    if (!deps.ledger.covers(call.hold)) return first ?? leaseLost()
    const error = await attempt()
    if (error === null) return null
    first ??= error
    if (tries >= deps.retries || call.exchange.gone) return first
    const next = offers[(offers.indexOf(call.offer) + 1) % offers.length] ?? call.offer
    const wait = waitBefore(error, next !== call.offer, tries)
    if (wait === null) return first
    await pause(wait, call)
    if (call.exchange.gone || !(await coverOffer(deps.ledger, call, next))) return first
    if (next === call.offer) call.retries += 1
    else call.fallbacks += 1
    call.offer = next
    call.appliedCap = capFor(call)
  }
}

/** Milliseconds to wait, or null not to try again. */
function waitBefore(error: ProviderError, elsewhere: boolean, tries: number): number | null {
  switch (error.kind) {
    case 'rate_limit':
    case 'overloaded':
    case 'failed':
    case 'unreachable': {
      if (elsewhere) return 0
      const wait = error.retryAfterMs ?? BACKOFF_MS * 2 ** tries
      return wait <= PATIENCE_MS ? wait : null
    }
    case 'auth':
    case 'quota':
      return elsewhere ? 0 : null
    default:
      return null
  }
}

function pause(ms: number, call: Call): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, ms)
    call.exchange.onGone(() => {
      clearTimeout(timer)
      resolve()
    })
  })
}
