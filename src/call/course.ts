/**
 * Who is asked after a failure: another deployment of the group, as often as the operator says; then a group that stands in for it. The
 * next one is asked only if the hold covers it, the caller is there and time is left.
 */
import type { ProviderError, ProviderErrorKind } from '../../providers/provider.ts'
import type { Fallbacks } from '../config/routing-settings.ts'
import type { Exchange } from '../http/exchange.ts'
import { createDetours, type Detours } from '../routing/detours.ts'
import { KEY_ERRORS, nextCandidate } from '../routing/next-candidate.ts'
import { retriesAfter } from '../routing/retries.ts'
import { waitBefore } from '../routing/wait-before.ts'
import type { Admitted, Again, Attempt } from './admitted.ts'
import type { CallDependencies } from './call-dependencies.ts'
import type { Candidate } from './candidate.ts'
import { type Failure, failureWith, noneFree } from './provider-failure.ts'

export interface Course {
  /** Null: nobody is left to be asked. */
  after(attempt: Attempt, failure: AttemptFailure): Promise<Next | null>
  /** The first failure of the account that was asked last; where nobody could be asked, that. Null before any. */
  readonly failed: Failure | null
}

/** A failure, or for how long nobody can be sent there. */
export type AttemptFailure = { error: ProviderError } | { fullMs: number }

export interface Next {
  candidate: Candidate
  again: Again
}

type Deps = Pick<CallDependencies, 'config' | 'routing' | 'clock'>

export function createCourse({ config, routing, clock }: Deps, call: Admitted): Course {
  const { exchange, request, hold, deadline } = call
  const tried = new Set<Candidate>()
  const spent = new Set<Candidate>()
  let candidates = call.candidates
  let detours: Detours | null = null
  let tries = 0
  let first: Failure | null = null
  let fullMs = Number.POSITIVE_INFINITY
  const isOver = () => exchange.clientDisconnected || clock.monotonic() >= deadline

  async function inGroup(candidate: Candidate, kind: ProviderErrorKind, wasAsked: boolean): Promise<Next | null> {
    if (request.asks?.mockFailure !== undefined && candidate.group === call.modelGroup) return null
    const usual = request.asks?.numRetries ?? candidate.deployment.numRetries ?? config.numRetries
    const mayRetry = !wasAsked || tries < retriesAfter(kind, candidate.group, config.routing, usual)
    const next = nextCandidate(kind, candidate, { candidates, spent, mayRetry })
    if (next === null) return null
    // The plan says that the operator's account follows the caller's, so this is no retry.
    const isByPlan = !candidate.payer.isCharged && next.payer.isCharged
    const wait = tried.has(next) ? waitBefore(tries, config.routing.retryAfterMs, routing.random()) : 0
    if (wait === null) return null
    if (wasAsked && !isByPlan) tries += 1
    if (wait > 0) await pause(wait, exchange)
    return { candidate: next, again: isByPlan ? 'fallback' : wasAsked ? 'retry' : 'unasked' }
  }

  async function inAnother({ payer }: Candidate, kind: ProviderErrorKind): Promise<Next | null> {
    if (request.asks?.isWithoutFallbacks === true) return null
    detours ??= createDetours(fallbacksOf(config, call), call.modelGroup, config.routing.maxFallbacks)
    for (;;) {
      const group = detours.next(kind)
      if (group === null) return null
      const all = await call.standIns(group, request)
      const [candidate] = payer.isCharged || KEY_ERRORS.includes(kind) ? all : all.filter((one) => !one.payer.isCharged)
      if (candidate === undefined) continue
      candidates = all
      tries = 0
      return { candidate, again: 'fallback' }
    }
  }

  return {
    async after({ candidate }, failure) {
      const kind = 'error' in failure ? failure.error.kind : 'rate_limit'
      if ('error' in failure) {
        first ??= failureWith(candidate, failure.error)
        tried.add(candidate)
      } else fullMs = Math.min(fullMs, failure.fullMs)
      if (kind !== 'unreachable') spent.add(candidate)
      if (isOver()) return null
      const next = (await inGroup(candidate, kind, 'error' in failure)) ?? (await inAnother(candidate, kind))
      if (next === null || isOver() || !(await hold.cover(candidate, next.candidate))) return null
      // From here on the call uses our key: report later errors as ours, not the failure of the caller's key.
      if (!candidate.payer.isCharged && next.candidate.payer.isCharged) first = null
      return next
    },
    get failed() {
      return first ?? (Number.isFinite(fullMs) ? noneFree(fullMs) : null)
    },
  }
}

/** The caller's own come before the operator's, each kind for itself. */
export function fallbacksOf(
  { routing }: Pick<CallDependencies['config'], 'routing'>,
  { request }: Admitted,
): Fallbacks {
  const { asks } = request
  return asks?.fallbacks === undefined ? routing.fallbacks : { ...routing.fallbacks, ...asks.fallbacks }
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
