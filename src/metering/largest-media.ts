/** Each model counts media by its own rules, and the hold must cover every model that may serve. */
import type { MediaTokens } from './estimate.ts'

export function largestOf(rules: readonly MediaTokens[]): MediaTokens {
  const [only] = rules
  if (only !== undefined && rules.length === 1) return only
  return (part) => {
    const sizes = rules.map((rule) => rule(part))
    const bounds = sizes.map(({ bound }) => bound)
    const expected = Math.max(...sizes.map((size) => size.expected))
    const leasts = sizes.map(({ least }) => least)
    return {
      bound: bounds.includes(null) ? null : Math.max(...bounds.map(Number)),
      expected,
      ...(leasts.includes(undefined) ? {} : { least: Math.max(...leasts.map(Number)) }),
    }
  }
}
