/** An admitted call, which does not change, and its attempts, each a new value. */
import type { Exchange } from '../http/exchange.ts'
import type { Caller } from '../identity/caller.ts'
import type { CallHold } from './call-hold.ts'
import type { Candidate } from './candidate.ts'
import type { Endpoint, EndpointRequest, RemoteMedia } from './endpoint.ts'
import type { Session } from './session.ts'

export interface Admitted {
  endpoint: Endpoint
  exchange: Exchange
  caller: Caller
  request: EndpointRequest
  /** Which calls it belongs to, as its client says. */
  session: Session | null
  modelGroup: string
  hold: CallHold
  /** In the order to try them; at least one. The hold was placed for the first. */
  candidates: readonly Candidate[]
  /** What has to be fetched into the request before it goes out; null for nothing. */
  remote: RemoteMedia | null
  /** The candidates of the same call with another request. @throws {TollgateError} 400 where nobody can serve that. */
  quote(request: EndpointRequest): readonly Candidate[]
  /** Those of a group that stands in for the one that was asked for, in the order to try them; none where it can't serve the request. */
  standIns(group: string, request: EndpointRequest): Promise<readonly Candidate[]>
  /** By the monotonic clock: until then a response must have come, or of a stream its first byte. */
  deadline: number
}

/** One try of a candidate. */
export interface Attempt {
  call: Admitted
  candidate: Candidate
  /** The cap sent upstream although the caller did not set it; shown as X-Max-Tokens-Applied. */
  appliedCap: number | null
  /** True if the request asks the provider to state the usage in the stream. */
  asksUsage: boolean
  /** How often the call was tried again within its group, and how often another group or the operator's account stood in. */
  retries: number
  fallbacks: number
  /** What attempts up to this one, whose end nobody knows, may have cost the operator. */
  risks: readonly Risk[]
  /** Nobody knows the end of this attempt: it went out, and nothing came back. */
  isUnknown: boolean
  timing: Timing
}

export interface Risk {
  provider: string
  /** What the provider may bill at most. */
  nanoDollars: bigint
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
    risks: [],
    isUnknown: false,
    timing: { startedAt: 0, firstByteAt: null, upstreamMs: 0 },
  }
}

/** How an attempt relates to the one before. `unasked`: the same attempt without the question for usage, which counts as neither. */
export type Again = 'retry' | 'fallback' | 'unasked'

export function attemptAfter(
  { call, retries, fallbacks, risks, timing }: Attempt,
  candidate: Candidate,
  asksUsage: boolean,
  again: Again,
): Attempt {
  return {
    call,
    candidate,
    appliedCap: call.hold.capFor(candidate),
    asksUsage,
    retries: retries + (again === 'retry' ? 1 : 0),
    fallbacks: fallbacks + (again === 'fallback' ? 1 : 0),
    risks,
    isUnknown: false,
    timing: { startedAt: 0, firstByteAt: null, upstreamMs: timing.upstreamMs },
  }
}

export function idsOf({ exchange, modelGroup }: Admitted): Record<string, string> {
  return { call_id: exchange.callId, request_id: exchange.requestId, model: modelGroup }
}

/** The name under which facts learned about a model are kept. */
export function modelOf({ candidate: { deployment } }: Attempt): string {
  return `${deployment.provider}/${deployment.upstreamModel}`
}
