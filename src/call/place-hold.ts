/** Holds the worst case of a call, and decides from what was granted how much output may be asked for. */
import { TollgateError } from '../http/errors.ts'
import type { Hold, Ledger } from '../ledger/ledger.ts'
import { trimDecimal } from '../metering/money.ts'
import type { Price } from '../metering/price.ts'
import type { Call } from './call.ts'
import { payerOf } from './call.ts'
import type { Candidate } from './candidate.ts'
import { isOwn } from './choose-key.ts'

/** Where less than this many times the estimated input is left, it is held at one token a byte. The gate says the same. */
const LITTLE = 10n

/** @throws {TollgateError} 402, 403, 429, 503. */
export function placeHold(
  ledger: Ledger,
  call: Pick<Call, 'exchange' | 'caller' | 'modelGroup'>,
  candidate: Candidate,
): Promise<Hold> {
  const { quote, wanted, least } = candidate
  const next = candidate.extendable
    ? Math.min(wanted + candidate.step, candidate.most ?? Number.POSITIVE_INFINITY)
    : wanted
  return ledger.hold({
    ...payerOf(call.caller),
    callId: call.exchange.callId,
    isGone: () => call.exchange.clientDisconnected,
    serviceName: call.modelGroup,
    requestId: call.exchange.callerRequestId,
    input: quote.input,
    inputBytes: quote.inputBytes,
    uncertain: quote.uncertain,
    output: quote.outputFor(wanted),
    least: quote.outputFor(least),
    step: quote.outputFor(next) - quote.outputFor(wanted),
    context: {
      key_id: call.caller.keyId,
      deployment: candidate.deployment.id,
      price: candidate.price.reference,
      rates: writtenRates(candidate.price),
      markup: candidate.markup.toString(),
      power_level: candidate.powerLevel,
    },
  })
}

/** As they are kept with every hold. */
export function writtenRates({ tiers }: Price): unknown {
  return tiers.map(({ above, rates }) => {
    const written: Record<string, string> = {}
    for (const bucket in rates) written[bucket] = String(rates[bucket as keyof typeof rates])
    return { above, rates: written }
  })
}

type HeldInput = Pick<Call, 'byteBoundInput' | 'unheld'>

/** How the gate held the input. What it leaves out is less than the input and the least output need, by the uncertain part at most. */
export function heldInput({ held, input }: Pick<Hold, 'held' | 'input'>, candidate: Candidate): HeldInput {
  const { quote, wanted, least } = candidate
  const missing = input + quote.outputFor(wanted) - held
  const isCovered = held >= input + quote.outputFor(least)
  const unheld = isCovered ? 0n : missing < quote.uncertain ? missing : quote.uncertain
  return { byteBoundInput: input > quote.input, unheld }
}

/**
 * What of the hold is meant for the input of a candidate: by the estimate, or a token a byte where that is how it was granted. Another
 * candidate may leave out no more than the first one did: so much is kept from further calls.
 */
export function inputOf({ byteBoundInput, unheld }: HeldInput, { quote }: Candidate): bigint {
  return (byteBoundInput ? quote.inputBytes : quote.input) - (unheld < quote.uncertain ? unheld : quote.uncertain)
}

/**
 * The output cap to send. Less than wanted is covered: what fits, and the caller is told. Otherwise the candidate's own, if any.
 */
export function capFor(call: Pick<Call, 'candidate' | 'held' | keyof HeldInput>): number | null {
  const { candidate, held } = call
  const fits = candidate.quote.outputTokensIn(held - inputOf(call, candidate))
  return fits < candidate.wanted ? Math.max(1, fits) : candidate.cap
}

/**
 * Makes the hold what the call is worth now that its size is known. Its input is a token a byte from here on: the byte rule knows no
 * margin for what was held at the most it can be. @throws {TollgateError} 402 where the credits do not cover it.
 */
export async function fitHold(ledger: Ledger, call: Call): Promise<void> {
  const { exchange, caller, candidate, held } = call
  if (isOwn(candidate.key)) return
  call.byteBoundInput = true
  const input = inputOf(call, candidate)
  const least = input + candidate.quote.outputFor(candidate.least)
  const total = input + candidate.quote.outputFor(candidate.wanted)
  if (total === held) return
  const { callId } = exchange
  const hold = { total, least, shrink: true } as const
  const granted = await ledger.extend({ callId, organizationId: caller.organizationId, delivered: null, hold })
  // One that could not be made smaller in time may become so later.
  call.held = granted ?? (total < held ? total : held)
  if (call.held < least) throw tooLarge(least, held)
}

function tooLarge(required: bigint, available: bigint): TollgateError {
  const fields = { required: trimDecimal(required, 6), available: trimDecimal(available, 6) }
  return new TollgateError(
    402,
    'insufficient_credits',
    `Insufficient credits: with what was fetched this call needs at least ${fields.required} credits and holds ${fields.available}. ` +
      'Send less, or ask an admin of your organization to allocate more.',
    { headers: { 'x-should-retry': 'false' }, fields },
  )
}

/** Before another deployment is tried, the hold covers its quote too. False: that attempt can't be made. */
export async function coverCandidate(ledger: Ledger, call: Call, candidate: Candidate): Promise<boolean> {
  // What failed cost nothing, so the same attempt is covered as it was.
  if (candidate === call.candidate) return true
  // The caller's own key came first, and nothing was held: whether little is left is decided now.
  if (isOwn(call.candidate.key)) call.byteBoundInput = call.hold.remaining < LITTLE * candidate.quote.input
  const input = inputOf(call, candidate)
  const least = input + candidate.quote.outputFor(candidate.least)
  const total = input + candidate.quote.outputFor(candidate.wanted)
  if (total > call.held) {
    const { callId } = call.exchange
    const { organizationId } = call.caller
    const granted = await ledger.extend({ callId, organizationId, delivered: null, hold: { total, least } })
    call.held = granted ?? call.held
  }
  return call.held >= least
}
