/** Whether a deployment that failed is spared for a while, by LiteLLM's rules, and for how long. Pure. */
import type { ProviderErrorKind } from '../../providers/provider.ts'
import type { FailureClass, RoutingSettings } from '../config/routing-settings.ts'
import { failureClass } from './failure-class.ts'

/** What became of the calls of a deployment in the current minute, the present one included. */
export interface MinuteCounts {
  successes: number
  failures: number
  byClass: Partial<Record<FailureClass, number>>
}

export interface Failed {
  kind: ProviderErrorKind
  retryAfterMs: number | null
}

/** Says something of the request, and nothing of the deployment. */
const OF_REQUEST: ReadonlySet<ProviderErrorKind> = new Set([
  'bad_request',
  'too_large',
  'context_length',
  'content_filter',
])
/** Once is enough: another call would fare the same. */
const AT_ONCE: ReadonlySet<ProviderErrorKind> = new Set(['rate_limit', 'auth', 'quota', 'model_not_found', 'timeout'])
/** Of other failures this share, of so many calls at least: one failure in a quiet minute says little. */
const SHARE = 0.5
const LEAST_CALLS = 5
const USUAL_ALLOWED_FAILS = 3
/** A provider may ask for any pause. */
export const LONGEST_MS = 3_600_000

type Rules = Pick<RoutingSettings, 'cooldowns' | 'cooldownMs' | 'allowedFails' | 'allowedFailsPolicy'>

export function isOfRequest(kind: ProviderErrorKind): boolean {
  return OF_REQUEST.has(kind)
}

/** Milliseconds; null where calls go on. */
export function cooldownAfter({ kind, retryAfterMs }: Failed, counts: MinuteCounts, rules: Rules): number | null {
  if (!rules.cooldowns || OF_REQUEST.has(kind) || !isTooMuch(kind, counts, rules)) return null
  return Math.max(rules.cooldownMs, Math.min(retryAfterMs ?? 0, LONGEST_MS))
}

function isTooMuch(kind: ProviderErrorKind, counts: MinuteCounts, rules: Rules): boolean {
  const { allowedFails, allowedFailsPolicy } = rules
  if (allowedFails === null && allowedFailsPolicy === null) {
    const calls = counts.successes + counts.failures
    return AT_ONCE.has(kind) || (calls >= LEAST_CALLS && counts.failures > calls * SHARE)
  }
  const name = failureClass(kind)
  const ofClass = allowedFailsPolicy?.[name]
  if (ofClass !== undefined) return (counts.byClass[name] ?? 0) > ofClass
  return counts.failures > (allowedFails ?? USUAL_ALLOWED_FAILS)
}
