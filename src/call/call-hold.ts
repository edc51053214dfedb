/**
 * The credits that are set aside for one call. The hold starts at the call's worst case, is fitted to fetched media, and grows before
 * another candidate is tried and while a stream runs. What was granted decides how much output may be requested.
 */
import { TollgateError } from '../http/errors.ts'
import type { Caller } from '../identity/caller.ts'
import type { Delivered, Ended, Hold, HoldSize, Ledger, Limit } from '../ledger/ledger.ts'
import { trimDecimal } from '../metering/money.ts'
import type { Price } from '../metering/price.ts'
import type { Candidate } from './candidate.ts'
import { limitsOf } from './limits-of.ts'
import type { Session } from './session.ts'

/** Where less than this many times the estimated input is left, it is held at one token a byte. The gate says the same. */
const LITTLE = 10n

export interface HeldCall {
  callId: string
  caller: Caller
  serviceType: string
  modelGroup: string
  callerRequestId: string | null
  isGone: () => boolean
  /** What bounds it besides its key, pool and allocation. */
  limits: readonly Limit[]
  session: Session | null
}

export interface CallHold {
  /** The hold as it was granted. */
  readonly granted: Hold
  /** Its present size. */
  readonly held: bigint
  /** The part of it for the input of a candidate: by the estimate, or at one token a byte where it was granted so. */
  inputOf(candidate: Candidate): bigint
  /** The output tokens per choice that it covers. */
  outputTokens(candidate: Candidate): number
  /** The output cap to send: what the hold covers where that is less than wanted (the caller is told), else the candidate's own cap, if any. */
  capFor(candidate: Candidate): number | null
  /** True if the call may go out at this moment. */
  covers(): boolean
  /** Returns the new size, or null where the credits don't cover it. */
  extend(size: HoldSize, delivered: Delivered | null, onEnded?: (why: Ended) => void): Promise<bigint | null>
  /**
   * Fits the hold to the call, now that the size of its media is known. From here on the input counts one token a byte.
   * @throws {TollgateError} 402 where the credits do not cover it.
   */
  fit(candidate: Candidate): Promise<void>
  /** Extends the hold to the quote of the next candidate. Returns false where it can't: that attempt is not made. */
  cover(failed: Candidate, next: Candidate): Promise<boolean>
}

/** @throws {TollgateError} 402, 403, 429, 503. */
export async function placeHold(ledger: Ledger, call: HeldCall, candidate: Candidate): Promise<CallHold> {
  const { caller, callId } = call
  const { quote, wanted, least } = candidate
  const next = candidate.extendable
    ? Math.min(wanted + candidate.step, candidate.most ?? Number.POSITIVE_INFINITY)
    : wanted
  const granted = await ledger.hold({
    organizationId: caller.organizationId,
    userId: caller.userId,
    keyId: caller.keyId,
    callId,
    isGone: call.isGone,
    serviceType: call.serviceType,
    serviceName: call.modelGroup,
    requestId: call.callerRequestId,
    input: quote.input,
    inputBytes: quote.inputBytes,
    uncertain: quote.uncertain,
    output: quote.outputFor(wanted),
    least: quote.outputFor(least),
    step: quote.outputFor(next) - quote.outputFor(wanted),
    limits: [...limitsOf(caller, call.modelGroup), ...call.limits],
    tier: caller.tier,
    context: {
      key_id: caller.keyId,
      deployment: candidate.deployment.id,
      price: candidate.price.reference,
      rates: writtenRates(candidate.price),
      markup: candidate.markup.toString(),
      power_level: candidate.powerLevel,
      ...call.session,
    },
  })
  return createCallHold(ledger, { callId, organizationId: caller.organizationId }, granted, candidate)
}

/** The rates of a price in the form that every hold keeps. */
export function writtenRates({ tiers, units }: Price): unknown {
  return tiers.map(({ above, rates }) => {
    const all = units === undefined ? rates : { ...rates, ...units }
    const written: Record<string, string> = {}
    for (const bucket in all) written[bucket] = String(all[bucket as keyof typeof all])
    return { above, rates: written }
  })
}

/** @param first the candidate it was granted for. */
export function createCallHold(
  ledger: Pick<Ledger, 'covers' | 'extend'>,
  ids: { callId: string; organizationId: string },
  granted: Hold,
  first: Candidate,
): CallHold {
  let held = granted.held
  // The gate held the input at a token a byte because little was left.
  let byteBoundInput = granted.input > first.quote.input
  const unheld = unheldOf(granted, first)

  /** Another candidate may leave out no more than the first one did: further calls keep only that much free. */
  function inputOf({ quote }: Candidate): bigint {
    const input = byteBoundInput ? quote.inputBytes : quote.input
    return input - (unheld < quote.uncertain ? unheld : quote.uncertain)
  }

  const outputTokens = (candidate: Candidate) => candidate.quote.outputTokensIn(held - inputOf(candidate))

  /** The size that a candidate wants, and the least it needs. */
  function sizeFor(candidate: Candidate): HoldSize {
    const input = inputOf(candidate)
    const { quote, least, wanted } = candidate
    return { total: input + quote.outputFor(wanted), least: input + quote.outputFor(least) }
  }

  async function extend(
    size: HoldSize,
    delivered: Delivered | null,
    onEnded?: (why: Ended) => void,
  ): Promise<bigint | null> {
    const told = onEnded === undefined ? {} : { onEnded }
    const now = await ledger.extend({ ...ids, delivered, hold: size, ...told })
    if (now !== null) held = now
    return now
  }

  return {
    granted,
    get held() {
      return held
    },
    inputOf,
    outputTokens,
    capFor(candidate) {
      const fits = outputTokens(candidate)
      return fits < candidate.wanted ? Math.max(1, fits) : candidate.cap
    },
    covers: () => ledger.covers(granted),
    extend,
    async fit(candidate) {
      if (!candidate.payer.isCharged) return
      byteBoundInput = true
      const before = held
      const size = sizeFor(candidate)
      if (size.total === held) return
      const now = await extend({ ...size, shrink: true }, null)
      // The ledger did not respond in time, and may shrink the hold later: count on the smaller one.
      if (now === null && size.total < held) held = size.total
      if (held < size.least) throw tooLarge(size.least, before)
    },
    async cover(failed, next) {
      // The failed attempt cost nothing, so the hold still covers the same candidate.
      if (next === failed) return true
      // A BYOK attempt held nothing, so the estimate (or the byte bound) is chosen here.
      if (!failed.payer.isCharged) byteBoundInput = granted.remaining < LITTLE * next.quote.input
      const size = sizeFor(next)
      if (size.total > held) await extend(size, null)
      return held >= size.least
    },
  }
}

/**
 * What the gate left out of the hold because the credits did not cover the largest size of the media: at most the uncertain part.
 */
function unheldOf({ held, input }: Hold, { quote, wanted, least }: Candidate): bigint {
  if (held >= input + quote.outputFor(least)) return 0n
  const missing = input + quote.outputFor(wanted) - held
  return missing < quote.uncertain ? missing : quote.uncertain
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
