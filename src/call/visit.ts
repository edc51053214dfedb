/** An attempt, counted where it is made: by that later calls find their deployment. What the caller's own account does counts for nobody else. */
import type { ProviderError } from '../../providers/provider.ts'
import type { Reading } from '../../providers/reading.ts'
import { inputTokens, outputTokens } from '../../providers/usage.ts'
import { hasStandIn } from '../routing/detours.ts'
import { type Answered, isFull, type Unanswered } from '../routing/traffic.ts'
import type { Attempt } from './admitted.ts'
import type { CallDependencies } from './call-dependencies.ts'
import { hasItsTime } from './deadline.ts'

/** What came of one attempt: it is over, or something else may be tried. */
export type Made<Result> = { ok: Result; told: Told } | { error: ProviderError }

/** How the deployment did: what it said, how it failed, or null where it was us or the caller who ended it. */
export type Told = Reading | ProviderError | null

type Deps = Pick<CallDependencies, 'config' | 'routing' | 'clock'>

/** Resolves to how long the deployment takes no call, where it was not asked. */
export async function visit<Result>(
  deps: Deps,
  attempt: Attempt,
  make: (attempt: Attempt) => Promise<Made<Result>>,
): Promise<Made<Result> | { fullMs: number }> {
  const { candidate } = attempt
  const { deployment, estimate, payer } = candidate
  if (!payer.isCharged) return make(attempt)
  const entering = deps.routing.traffic.enter(deployment, estimate.tokens + estimate.expected.media)
  // Nothing is awaited where no minute is limited.
  const entered = entering instanceof Promise ? await entering : entering
  if (isFull(entered)) return { fullMs: entered.waitMs }
  let told: Told = null
  try {
    const made = await make(attempt)
    told = 'error' in made ? made.error : made.told
    return made
  } finally {
    entered.end(resultOf(deps, attempt, told))
  }
}

function resultOf(deps: Deps, attempt: Attempt, told: Told): Answered | Unanswered | null {
  if (told === null) return null
  const { call, timing } = attempt
  if ('kind' in told) {
    if (told.isOurs === true) return null
    return { failed: told, mayBeSpared: isItsOwn(deps, attempt, told) && hasOthers(deps, attempt) }
  }
  const { stream } = call.request
  const firstByteAt = stream ? timing.firstByteAt : null
  const { usage } = told
  return {
    stream,
    ms: (firstByteAt ?? deps.clock.monotonic()) - timing.startedAt,
    outputTokens: usage === null ? 0 : outputTokens(usage),
    tokens: usage === null ? 0 : inputTokens(usage) + outputTokens(usage),
  }
}

/** No caller can have a deployment spared by asking in vain: for what it has no time for, or for a model nobody has behind a wildcard. */
function isItsOwn({ config }: Deps, attempt: Attempt, { kind }: ProviderError): boolean {
  if (kind === 'timeout') return hasItsTime(config, attempt)
  return kind !== 'model_not_found' || !attempt.candidate.deployment.modelName.includes('*')
}

/** A deployment that is alone is not spared: who would do its work? */
function hasOthers({ config }: Deps, { call, candidate: { deployment, group } }: Attempt): boolean {
  return (
    call.candidates.some((other) => other.deployment.id !== deployment.id && other.group === group) ||
    hasStandIn(config.routing.fallbacks, group)
  )
}
