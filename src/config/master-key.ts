/** Tells a strong master key from one that an attacker tries first. */

const LEAST_LENGTH = 20
const LEAST_REST = 12
const LEAST_DISTINCT = 6

// Words of example keys. They add nothing to a key, so they don't count.
const WORDS =
  /litellm|tollgate|change|replace|password|passwd|secret|master|admin|default|example|sample|virtual|local|proxy|token|test|demo|prod|your|this|here|please|key|dev|api/gi

/**
 * Why a master key is weak, as the end of "the master key ..."; null when it is not. What counts is what remains without
 * `sk-`, well-known words and runs like `1234` or `aaaa`: `sk-1234`, `sk-litellm-master-key` and `changeme` leave nothing.
 */
export function weaknessOf(key: string): string | null {
  if (key.length < LEAST_LENGTH) return `is shorter than ${LEAST_LENGTH} characters`
  const rest = withoutRuns(key.replace(/^sk-/i, '').replace(WORDS, '')).replace(/[^\p{L}\p{N}]/gu, '')
  if (rest.length < LEAST_REST) return 'is made of well-known words and sequences'
  return new Set(rest.toLowerCase()).size < LEAST_DISTINCT ? 'repeats too few different characters' : null
}

/** Drops every run of three or more characters that stay the same or go up by one each. */
function withoutRuns(text: string): string {
  let kept = ''
  let start = 0
  for (let end = 1; end <= text.length; end++) {
    if (end < text.length && continues(text, start, end)) continue
    if (end - start < 3) kept += text.slice(start, end)
    start = end
  }
  return kept
}

function continues(text: string, start: number, at: number): boolean {
  const step = text.charCodeAt(at) - text.charCodeAt(at - 1)
  const first = at - start === 1 ? step : text.charCodeAt(start + 1) - text.charCodeAt(start)
  return step === first && (step === 0 || step === 1)
}
