/**
 * Which attempt comes next. Only what consumed nothing is tried again: a provider that refused, was overloaded or could not be
 * reached; never after something of the answer was passed on, never after a time-out, which may have been paid for.
 */
import type { ProviderError } from '../../providers/provider.ts'
import type { Ledger } from '../ledger/ledger.ts'
import type { Call } from './call.ts'
import type { Candidate } from './candidate.ts'
import type { ChatDependencies } from './chat.ts'
import { isOwn } from './choose-key.ts'
import { nextCandidate } from './next-candidate.ts'
import { capFor, coverCandidate } from './place-hold.ts'
import { type Failure, failureWith, leaseLost, NO_CONNECTION } from './provider-failure.ts'
import { asksForUsage, type StreamOptionsUnsupported, speaksOfUsage } from './usage-question.ts'

const BACKOFF_MS = 250
/** A provider that wants a longer pause than this is not waited for. */
const PATIENCE_MS = 5_000

interface Attempts {
  ledger: Ledger
  /** How often after the first. */
  retries: number
  streamOptionsUnsupported: StreamOptionsUnsupported
}

export function attemptsOf({ ledger, config, streamOptionsUnsupported }: ChatDependencies): Attempts {
  return { ledger, retries: config.numRetries, streamOptionsUnsupported }
}

/**
 * Tries `attempt` until it succeeds (null) or trying again is no use. Answers the first failure then: of the platform's key, where
 * it came to that.
 */
export async function tryCandidates(
  deps: Attempts,
  call: Call,
  candidates: readonly Candidate[],
  attempt: () => Promise<ProviderError | null>,
): Promise<Failure | null> {
  let first: Failure | null = null
  for (let tries = 0; ; tries += 1) {
    if (!deps.ledger.covers(call.hold)) return first ?? leaseLost()
    const { id } = call.candidate.deployment
    const asked = asksForUsage(deps.streamOptionsUnsupported, call)
    const error = await attempt()
    if (error === null) {
      if (call.streamOptionsUnsupportedId === id && !speaksOfUsage(call)) deps.streamOptionsUnsupported.add(id)
      return null
    }
    if (error.rejects === 'stream_options' && asked) {
      // Nothing was consumed, and the question is ours: the same call without it.
      call.streamOptionsUnsupportedId = id
      tries -= 1
      continue
    }
    // Failed either way, so the question may not be what was wrong.
    call.streamOptionsUnsupportedId = null
    first ??= failureWith(call.candidate, error)
    const mayRetry = tries < deps.retries
    const next = nextCandidate(error, call.candidate, candidates, mayRetry)
    // That the platform's key follows the caller's is their plan, and no retry.
    const byPlan = isOwn(call.candidate.key) && !isOwn(next.key)
    if (call.exchange.clientDisconnected || !(mayRetry || byPlan)) return first
    if (byPlan) tries -= 1
    const wait = waitBefore(error, next !== call.candidate, tries)
    if (wait === null) return first
    await pause(wait, call)
    if (call.exchange.clientDisconnected || !(await coverCandidate(deps.ledger, call, next))) return first
    // From here on it is our account's call: what ails that is for the operator to hear, and worth the caller's trying again.
    if (byPlan) first = null
    if (next === call.candidate) call.retries += 1
    else call.fallbacks += 1
    call.candidate = next
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
      // It has waited for one already.
      if (error.code === NO_CONNECTION) return null
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
    call.exchange.onDisconnect(() => {
      clearTimeout(timer)
      resolve()
    })
  })
}
