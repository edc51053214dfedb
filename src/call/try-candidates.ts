/**
 * Makes attempts until one succeeds or trying again is no use. Never after something of the response was passed on, nor after a failure
 * that was paid for. course.ts says who is next, visit.ts keeps the books of each deployment.
 */
import type { ProviderError } from '../../providers/provider.ts'
import { type Admitted, type Attempt, attemptAfter, firstAttempt } from './admitted.ts'
import type { CallDependencies } from './call-dependencies.ts'
import { type AttemptFailure, createCourse } from './course.ts'
import { type Failure, leaseLost, mockedFailure } from './provider-failure.ts'
import { withRisk } from './unknown-outcome.ts'
import { asksForUsage } from './usage-question.ts'
import { type Made, visit } from './visit.ts'

/** What came of all of them, and the last that was made. `failed`: the first failure of the account that was asked last. */
export type Tried<Result> = { attempt: Attempt } & ({ ok: Result } | { failed: Failure })

type Deps = Pick<CallDependencies, 'learned' | 'config' | 'routing' | 'clock'>

export async function tryCandidates<Result>(
  deps: Deps,
  call: Admitted,
  make: (attempt: Attempt) => Promise<Made<Result>>,
): Promise<Tried<Result>> {
  const { request, hold, candidates } = call
  const { usageQuestionRefused } = deps.learned
  const asks = (id: string) => asksForUsage(usageQuestionRefused, request.stream, id)
  let attempt = firstAttempt(call, asks(candidates[0]!.deployment.id))
  const course = createCourse(deps, call)
  /** The last attempt left out the question for usage; that question may not have been the cause. */
  let isWithoutQuestion = false
  for (;;) {
    if (!hold.covers()) return { attempt, failed: course.failed ?? leaseLost() }
    const { candidate } = attempt
    const made: Made<Result> | AttemptFailure = mocked(attempt) ?? (await visit(deps, attempt, make))
    if ('ok' in made) {
      if (isWithoutQuestion && !request.mentionsUsageQuestion()) usageQuestionRefused.add(candidate.deployment.id)
      return { attempt, ok: made.ok }
    }
    if ('error' in made && made.error.rejects === 'usage_question' && attempt.asksUsage) {
      // Nothing was consumed, and only we ask the question: make the same call without it.
      isWithoutQuestion = true
      attempt = attemptAfter(attempt, candidate, false, 'unasked')
      continue
    }
    // The retry failed too, so the question may not be the cause. Undo it, or one caller could switch usage reporting off for everyone.
    isWithoutQuestion = false
    if ('error' in made) attempt = withRisk(attempt, made.error)
    const next = await course.after(attempt, made)
    if (next === null) return { attempt, failed: course.failed ?? leaseLost() }
    attempt = attemptAfter(attempt, next.candidate, asks(next.candidate.deployment.id), next.again)
  }
}

/** Where the caller wants to see what stands in for a group, the group fails by word. */
function mocked({ call: { request, modelGroup }, candidate }: Attempt): { error: ProviderError } | null {
  const kind = request.asks?.mockFailure
  return kind === undefined || candidate.group !== modelGroup ? null : { error: mockedFailure(kind) }
}
