/**
 * Names with stars in them. A star stands for one or more characters, slashes included. Matching is linear in the name,
 * because names come from callers: no regular expression, so no backtracking to be provoked.
 */

/** What each star of `pattern` stands for in `name`, in order; earlier stars take as much as they can. Null without a match. */
export function matchPattern(pattern: string, name: string): string[] | null {
  const literals = pattern.split('*')
  const [first = '', ...others] = literals
  if (others.length === 0) return pattern === name ? [] : null
  if (!name.startsWith(first)) return null
  const captures: string[] = []
  let end = name.length
  for (const [index, literal] of [...others.entries()].reverse()) {
    // The last literal ends the name; each one before it sits as far right as leaves its star a character.
    const last = index === others.length - 1
    const at = last ? end - literal.length : name.lastIndexOf(literal, end - 1 - literal.length)
    if (at < first.length + index + 1 || !name.startsWith(literal, at)) return null
    if (!last) captures.unshift(name.slice(at + literal.length, end))
    end = at
  }
  captures.unshift(name.slice(first.length, end))
  return captures
}

/** Puts texts in the place of a pattern's stars, in order. Stars beyond the texts stay. */
export function fillPattern(pattern: string, texts: readonly string[]): string {
  const [first = '', ...others] = pattern.split('*')
  return others.reduce((filled, literal, index) => `${filled}${texts[index] ?? '*'}${literal}`, first)
}

/** Sorts the more specific pattern first: longest text before the first star, then fewest stars, then most text. */
export function compareSpecificity(a: string, b: string): number {
  const difference = b.indexOf('*') - a.indexOf('*')
  if (difference !== 0) return difference
  const starsOf = (pattern: string): number => pattern.split('*').length
  return starsOf(a) - starsOf(b) || b.length - a.length
}
