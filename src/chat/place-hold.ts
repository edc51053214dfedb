/** Holds the worst case of a call, and decides from what was granted how much output may be asked for. */
import type { Hold, Ledger } from '../ledger/ledger.ts'
import type { Call } from './call.ts'
import { payerOf } from './call.ts'
import type { Offer } from './offer.ts'

/** @throws {TollgateError} 402, 403, 429, 503. */
export function placeHold(
  ledger: Ledger,
  call: Pick<Call, 'exchange' | 'caller' | 'modelGroup'>,
  offer: Offer,
): Promise<Hold> {
  const { quote, wanted, least } = offer
  return ledger.hold({
    ...payerOf(call.caller),
    callId: call.exchange.callId,
    input: quote.input,
    inputBytes: quote.inputBytes,
    output: quote.outputFor(wanted),
    least: quote.outputFor(least),
    context: {
      model: call.modelGroup,
      deployment: offer.deployment.id,
      price: offer.price.reference,
      rates: offer.price.tiers,
      markup: offer.markup,
      power_level: offer.powerLevel,
    },
  })
}

/**
 * The output cap to send. Less than wanted was granted: what fits, and the caller is told. Otherwise the offer's own, if any.
 */
export function capFor(offer: Offer, hold: Hold): { cap: number | null; applied: number | null } {
  const fits = offer.quote.outputTokensIn(hold.held - hold.input)
  if (fits < offer.wanted) return { cap: Math.max(1, fits), applied: Math.max(1, fits) }
  return { cap: offer.cap, applied: offer.cap }
}

/** Before another deployment is tried, the hold covers its quote too. False: that attempt can't be made. */
export async function coverOffer(ledger: Ledger, call: Call, offer: Offer): Promise<boolean> {
  const least = offer.quote.input + offer.quote.outputFor(offer.least)
  const total = offer.quote.input + offer.quote.outputFor(offer.wanted)
  if (total <= call.held) return true
  const granted = await ledger.extend(call.exchange.callId, total, least)
  if (granted === null) return false
  call.held = granted
  return true
}
