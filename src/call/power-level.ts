/** The power level of a call, as its header or its body states it. */
import type { PowerLevel } from '../config/config.ts'

/** `X-Power-Level` takes precedence over the body. An unknown level counts as balanced. */
export function powerLevelOf(header: string | string[] | undefined, body: unknown): PowerLevel {
  const named = typeof header === 'string' ? header.trim().toLowerCase() : body
  return named === 'eco' || named === 'precision' ? named : 'balanced'
}
