/**
 * Makes attempts until one succeeds or trying again is no use. Only what consumed nothing is tried again: a provider that refused, was
 * overloaded or could not be reached; never after something of the response was passed on, never after a time-out, which may have
 * been paid for.
 */
import type { ProviderError } from '../../providers/provider.ts'
import type { Exchange } from '../http/exchange.ts'
import { nextCandidate } from '../routing/next-candidate.ts'
import { waitBefore } from '../routing/wait-before.ts'
import { type Admitted, type Attempt, attemptAfter, firstAttempt } from './admitted.ts'
import type { CallDependencies } from './call-dependencies.ts'
import { type Failure, failureWith, leaseLost, NO_CONNECTION } from './provider-failure.ts'
import { asksForUsage } from './usage-question.ts'

/** What came of one attempt: it is over, or something else may be tried. */
export type Made<Result> = { ok: Result } | { error: ProviderError }

/** What came of all of them, and the last that was made. `failed`: the first failure of the account that was asked last. */
export type Tried<Result> = { attempt: Attempt } & ({ ok: Result } | { failed: Failure })

export async function tryCandidates<Result>(
  { learned: { usageQuestionRefused }, config }: Pick<CallDependencies, 'learned' | 'config'>,
  call: Admitted,
  make: (attempt: Attempt) => Promise<Made<Result>>,
): Promise<Tried<Result>> {
  const { exchange, request, hold, candidates } = call
  const asks = (id: string) => asksForUsage(usageQuestionRefused, request.stream, id)
  let attempt = firstAttempt(call, asks(candidates[0]!.deployment.id))
  let first: Failure | null = null
  /** The last attempt left out the question for usage; that question may not have been the cause. */
  let isWithoutQuestion = false
  for (let tries = 0; ; tries += 1) {
    if (!hold.covers()) return { attempt, failed: first ?? leaseLost() }
    const { candidate } = attempt
    const { id } = candidate.deployment
    const made = await make(attempt)
    if ('ok' in made) {
      if (isWithoutQuestion && !request.mentionsUsageQuestion()) usageQuestionRefused.add(id)
      return { attempt, ok: made.ok }
    }
    const { error } = made
    if (error.rejects === 'usage_question' && attempt.asksUsage) {
      // Nothing was consumed, and only we ask the question: make the same call without it.
      isWithoutQuestion = true
      attempt = attemptAfter(attempt, candidate, false, false)
      tries -= 1
      continue
    }
    // The retry failed too, so the question may not be the cause. Undo it, or one caller could switch usage reporting off for everyone.
    isWithoutQuestion = false
    first ??= failureWith(candidate, error)
    const mayRetry = tries < config.numRetries
    const next = nextCandidate(error.kind, candidate, candidates, mayRetry)
    // The plan says that the operator's account follows the caller's, so this is no retry.
    const isByPlan = !candidate.payer.isCharged && next.payer.isCharged
    if (exchange.clientDisconnected || !(mayRetry || isByPlan)) return { attempt, failed: first }
    if (isByPlan) tries -= 1
    const wait = pauseBefore(error, next !== candidate, tries)
    if (wait === null) return { attempt, failed: first }
    await pause(wait, exchange)
    if (exchange.clientDisconnected || !(await hold.cover(candidate, next))) return { attempt, failed: first }
    // From here on the call uses our key: report later errors as ours, not the failure of the caller's key.
    if (isByPlan) first = null
    attempt = attemptAfter(attempt, next, asks(next.deployment.id))
  }
}

function pauseBefore(error: ProviderError, isElsewhere: boolean, tries: number): number | null {
  // The attempt has waited for a connection already.
  if (error.code === NO_CONNECTION && !isElsewhere) return null
  return waitBefore(error, isElsewhere, tries)
}

function pause(ms: number, exchange: Exchange): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, ms)
    exchange.onDisconnect(() => {
      clearTimeout(timer)
      resolve()
    })
  })
}
