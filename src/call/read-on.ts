/**
 * How long a stream is read on after its caller left. Only the usage states hidden tokens, and tokens that are billed although nobody
 * reads them. Such a stream is read to its end, within the time-out of the call, or for as long as the operator set for the provider.
 */
import type { StreamReader } from '../../providers/provider.ts'
import type { Config } from '../config/config.ts'
import type { Attempt } from './admitted.ts'

/** A short wait for the usage: only it says whether the input was cached. */
const CACHE_MS = 2_000
/** No provider caches shorter inputs. */
const CACHED_TOKENS_MIN = 1_024

/** Milliseconds for a stream that we end: reading on is useful only where the provider bills to the end anyway. @param now monotonic. */
export function readOnMs(config: Config, attempt: Attempt, now: number): number {
  return attempt.candidate.terms.provider.billsAbandoned ? toItsEnd(config, attempt, now) : 0
}

/** Milliseconds, for a stream whose caller left. @param now monotonic. */
export function disconnectedReadOnMs(config: Config, attempt: Attempt, { reading }: StreamReader, now: number): number {
  const { payer, hidesUsage, price, estimate, terms } = attempt.candidate
  // Where the caller's own account pays, nothing is charged, so only a bill that runs on anyway is worth reading.
  if (!payer.isCharged) return readOnMs(config, attempt, now)
  if (hidesUsage || terms.provider.billsAbandoned) return toItsEnd(config, attempt, now)
  const isCheaperCached = price.tiers.some(({ rates }) => rates.cacheRead < rates.input)
  return reading.usage === null && isCheaperCached && estimate.tokens >= CACHED_TOKENS_MIN ? CACHE_MS : 0
}

function toItsEnd(config: Config, { candidate, timing }: Attempt, now: number): number {
  const { provider, timeoutMs, streamTimeoutMs } = candidate.deployment
  const timeout = streamTimeoutMs ?? timeoutMs ?? config.requestTimeoutMs
  const left = Math.max(0, Math.ceil(timing.startedAt + timeout - now))
  const stated = Object.hasOwn(config.readOnSeconds, provider) ? config.readOnSeconds[provider] : undefined
  return stated === undefined ? left : Math.min(left, Math.ceil(stated * 1_000))
}
