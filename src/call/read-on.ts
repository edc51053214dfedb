/**
 * How long a stream is read on whose caller left. What does not show in it, and what is billed whoever reads it, only its usage tells:
 * such a stream is read to its end, within the time-out of the call, or for as long as the operator says of the provider.
 */
import type { StreamReader } from '../../providers/provider.ts'
import type { Call } from './call.ts'
import type { ChatDependencies } from './chat.ts'
import { isOwn } from './choose-key.ts'

/** Where only the usage tells whether the input was cached, in case it is about to come. */
const CACHE_MS = 2_000
/** Shorter inputs are cached by nobody. */
const CACHED_TOKENS_MIN = 1_024

/** Milliseconds, for a stream that we end: only what is billed to its end all the same is worth reading. */
export function readOnMs(config: ChatDependencies['config'], call: Call): number {
  return call.candidate.provider.billsAbandoned ? toItsEnd(config, call) : 0
}

/** Milliseconds, for a stream whose caller left. */
export function goneReadOnMs(config: ChatDependencies['config'], call: Call, { reading }: StreamReader): number {
  const { key, unseen, price, estimate } = call.candidate
  // By the caller's own key nothing is charged, so there is nothing to learn but what the provider bills anyway.
  if (isOwn(key)) return readOnMs(config, call)
  if (unseen || call.candidate.provider.billsAbandoned) return toItsEnd(config, call)
  const isCheaperCached = price.tiers.some(({ rates }) => rates.cacheRead < rates.input)
  return reading.usage === null && isCheaperCached && estimate.tokens >= CACHED_TOKENS_MIN ? CACHE_MS : 0
}

function toItsEnd(config: ChatDependencies['config'], { candidate, timing }: Call): number {
  const { provider, timeoutMs, streamTimeoutMs } = candidate.deployment
  const timeout = streamTimeoutMs ?? timeoutMs ?? config.requestTimeoutMs
  const left = Math.max(0, Math.ceil(timing.upstreamStartedAt + timeout - performance.now()))
  const stated = Object.hasOwn(config.readOnSeconds, provider) ? config.readOnSeconds[provider] : undefined
  return stated === undefined ? left : Math.min(left, Math.ceil(stated * 1_000))
}
