/**
 * Which offer is tried after a failure. Among offers of one payer in turn; from the caller's own key to the platform's, which
 * costs the caller credits, only where the own key itself is the trouble, and never back.
 */
import type { ProviderError, ProviderErrorKind } from '../../providers/provider.ts'
import { isOwn } from './choose-key.ts'
import type { Offer } from './offer.ts'

/** The key is refused, its account is out of money, or it calls too often: another key may do. */
const KEY_TROUBLE: readonly ProviderErrorKind[] = ['auth', 'quota', 'rate_limit']

/** @param offers own keys first. @param mayRetry whether tries are left. Answers `failed` where there is no other. */
export function nextOffer(error: ProviderError, failed: Offer, offers: readonly Offer[], mayRetry: boolean): Offer {
  if (!isOwn(failed.key) || !KEY_TROUBLE.includes(error.kind)) return turn(failed, offers)
  const later = offers.slice(offers.indexOf(failed) + 1)
  // Whoever limits calls may do so by model; whoever refuses a key does so everywhere.
  const sameKey = (offer: Offer) => error.kind !== 'rate_limit' && offer.key.apiKey === failed.key.apiKey
  return later.find((offer) => !sameKey(offer) && (mayRetry || !isOwn(offer.key))) ?? failed
}

function turn(failed: Offer, offers: readonly Offer[]): Offer {
  const same = offers.filter((offer) => isOwn(offer.key) === isOwn(failed.key))
  return same[(same.indexOf(failed) + 1) % same.length] ?? failed
}
