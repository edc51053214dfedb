/** A call that was admitted, which does not change any more, and one attempt of it, made anew for each. */
import type { Exchange } from '../http/exchange.ts'
import type { Caller } from '../identity/caller.ts'
import type { CallHold } from './call-hold.ts'
import type { Candidate } from './candidate.ts'
import type { Endpoint, EndpointRequest, RemoteMedia } from './endpoint.ts'

export interface Admitted {
  endpoint: Endpoint
  exchange: Exchange
  caller: Caller
  request: EndpointRequest
  modelGroup: string
  hold: CallHold
  /** In the order to try them; at least one. The hold was placed for the first. */
  candidates: readonly Candidate[]
  /** What has to be fetched into the request before it goes out; null for nothing. */
  remote: RemoteMedia | null
  /** The candidates of the same call with another request. @throws {TollgateError} 400 where nobody can serve that. */
  quote(request: EndpointRequest): readonly Candidate[]
}

/** One try of a candidate. */
export interface Attempt {
  call: Admitted
  candidate: Candidate
  /** The cap sent upstream although the caller did not set it; shown as X-Max-Tokens-Applied. */
  appliedCap: number | null
  /** The stream is asked for its usage. */
  asksUsage: boolean
  /** Attempts before this one: at the same candidate, and at others. */
  retries: number
  fallbacks: number
  timing: Timing
}

/** Milliseconds by the monotonic clock; filled in while the attempt runs. */
export interface Timing {
  /** When it went out. */
  startedAt: number
  firstByteAt: number | null
  /** How long upstream took, the attempts before it included. */
  upstreamMs: number
}

export function firstAttempt(call: Admitted, asksUsage: boolean): Attempt {
  const candidate = call.candidates[0]!
  return {
    call,
    candidate,
    appliedCap: call.hold.capFor(candidate),
    asksUsage,
    retries: 0,
    fallbacks: 0,
    timing: { startedAt: 0, firstByteAt: null, upstreamMs: 0 },
  }
}

/** The next one. A change of the question for usage alone is no retry. */
export function attemptAfter(
  { call, candidate: failed, retries, fallbacks, timing }: Attempt,
  candidate: Candidate,
  asksUsage: boolean,
  isRetry = true,
): Attempt {
  const isElsewhere = candidate !== failed
  return {
    call,
    candidate,
    appliedCap: call.hold.capFor(candidate),
    asksUsage,
    retries: retries + (isRetry && !isElsewhere ? 1 : 0),
    fallbacks: fallbacks + (isElsewhere ? 1 : 0),
    timing: { startedAt: 0, firstByteAt: null, upstreamMs: timing.upstreamMs },
  }
}

export function idsOf({ exchange, modelGroup }: Admitted): Record<string, string> {
  return { call_id: exchange.callId, request_id: exchange.requestId, model: modelGroup }
}

/** By which what is learned of a model is kept. */
export function modelOf({ candidate: { deployment } }: Attempt): string {
  return `${deployment.provider}/${deployment.upstreamModel}`
}
