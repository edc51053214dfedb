/** Until when a call must have its response: what the operator allows, or less where the caller asks for less. */
import type { Config } from '../config/config.ts'
import type { Exchange } from '../http/exchange.ts'
import type { Attempt } from './admitted.ts'
import type { EndpointRequest } from './endpoint.ts'

type Settings = Pick<Config, 'requestTimeoutMs' | 'routing'>

/** By the monotonic clock. */
export function deadlineOf(
  config: Settings,
  { startedAt }: Pick<Exchange, 'startedAt'>,
  request: EndpointRequest,
): number {
  const { asks, stream } = request
  const asked = stream ? (asks?.streamTimeoutMs ?? asks?.timeoutMs) : asks?.timeoutMs
  const usual = (stream ? config.routing.streamTimeoutMs : null) ?? config.requestTimeoutMs
  return startedAt + Math.min(usual, asked ?? usual)
}

/** How long one attempt may take: by the operator's word on the deployment, or on all, and by what is left of the call's time. */
export function attemptMs(config: Settings, { call, candidate }: Attempt, now: number): number {
  // Zero would mean no limit.
  return Math.max(1, Math.min(ownMs(config, call.request.stream, candidate.deployment), call.deadline - now))
}

/** A time-out after less than that says little of a deployment. */
export function hasItsTime(config: Settings, { call, candidate, timing }: Attempt): boolean {
  const own = ownMs(config, call.request.stream, candidate.deployment)
  return call.deadline - timing.startedAt >= own * 0.9
}

function ownMs(
  { requestTimeoutMs, routing }: Settings,
  stream: boolean,
  { timeoutMs, streamTimeoutMs }: Attempt['candidate']['deployment'],
): number {
  const own = stream ? (streamTimeoutMs ?? timeoutMs) : timeoutMs
  return own ?? (stream ? routing.streamTimeoutMs : null) ?? requestTimeoutMs
}
