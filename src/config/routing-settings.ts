/** How a call finds its deployment, in LiteLLM's words: docs/routing.md says what each does. */

export const STRATEGIES = [
  'simple-shuffle',
  'least-busy',
  'latency-based-routing',
  'usage-based-routing',
  'cost-based-routing',
] as const
export type Strategy = (typeof STRATEGIES)[number]

/** Kinds of failures as LiteLLM tells them apart; its policies name them. */
export const FAILURE_CLASSES = [
  'BadRequestError',
  'AuthenticationError',
  'TimeoutError',
  'RateLimitError',
  'ContentPolicyViolationError',
  'InternalServerError',
] as const
export type FailureClass = (typeof FAILURE_CLASSES)[number]
export type FailurePolicy = Readonly<Partial<Record<FailureClass, number>>>

/** Groups that stand in for a group, in the order to try them; `*` for every group without a line of its own. */
export type FallbackTable = Readonly<Record<string, readonly string[]>>

export interface Fallbacks {
  general: FallbackTable
  contextWindow: FallbackTable
  contentPolicy: FallbackTable
}

export interface RoutingSettings {
  strategy: Strategy
  /** Of latencies: how old they may be, and how far from the least counts as equal to it. */
  latency: { ttlMs: number; buffer: number }
  fallbacks: Fallbacks
  /** Groups that are asked after the first. */
  maxFallbacks: number
  /** How many other deployments a failed call is tried on; null where `numRetries` says it for all failures. */
  retryPolicy: FailurePolicy | null
  groupRetryPolicy: Readonly<Record<string, FailurePolicy>>
  /** At least so long before a place that gave no connection is asked again. */
  retryAfterMs: number
  /** False: nobody is spared. */
  cooldowns: boolean
  cooldownMs: number
  /** Failures in a minute after which a deployment is spared; null: by the share that failed. */
  allowedFails: number | null
  allowedFailsPolicy: FailurePolicy | null
  /** Calls at once of a deployment that says nothing; null: any number. */
  maxParallel: number | null
  /** Only deployments with a tag of the request's. */
  tagFiltering: boolean
  matchAnyTag: boolean
  /** Until the first byte of a stream; null: as for any call. */
  streamTimeoutMs: number | null
}
