import type { KeyLimits } from '../config/config.ts'

/** Of whoever has no rates of their own. */
export const NO_LIMITS: KeyLimits = { requestsPerMinute: null, tokensPerMinute: null, callsAtOnce: null }
