/** `tollgate.rate_limits`: how often a caller may ask in a minute, and how many calls of models may run at once. */
import type { KeyLimits, RateLimitSettings } from './config.ts'
import type { Field, NumberRule, Section } from './field.ts'

const COUNT: NumberRule = { what: 'a whole number, 1 or more', example: '100', least: 1, whole: true, most: 1e12 }
const NONE: ReadonlySet<string> = new Set()

/** The narrower of two limits counts, so a plan without limits keeps an organization's own. */
export function readRateLimits(field: Field | null): RateLimitSettings {
  const section = field?.section() ?? null
  const setting = (name: string, otherwise: number) => section?.take(name).number(COUNT) ?? otherwise
  const bounds = (name: string) => readBounds(section?.take(name).section() ?? null)
  const limits = {
    post: setting('post_per_minute', 20),
    get: setting('get_per_minute', 100),
    change: setting('change_per_minute', 100),
    quotes: setting('quotes_per_minute', 60),
    calls: {
      key: bounds('key'),
      organization: bounds('organization'),
      plans: { platform: bounds('platform'), byok: bounds('byok'), hybrid: bounds('hybrid') },
    },
  }
  section?.finish(NONE, section.known)
  return limits
}

function readBounds(section: Section | null): KeyLimits {
  const setting = (name: string) => section?.take(name).number(COUNT) ?? null
  const limits = {
    requestsPerMinute: setting('requests_per_minute'),
    tokensPerMinute: setting('tokens_per_minute'),
    callsAtOnce: setting('calls_at_once'),
  }
  section?.finish(NONE, section.known)
  return limits
}
