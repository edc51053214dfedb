/** A limit of calls as Anthropic's clients read it: https://docs.anthropic.com/en/api/rate-limits */
import type { RateState } from '../../admission/rate-limits.ts'

export function messageRate({ limit, remaining, reset }: RateState): Record<string, string> {
  return {
    'anthropic-ratelimit-requests-limit': String(limit),
    'anthropic-ratelimit-requests-remaining': String(remaining),
    'anthropic-ratelimit-requests-reset': new Date(reset * 1_000).toISOString().replace('.000Z', 'Z'),
  }
}
