/** Words that are compared whatever their case. */

/** Roles are in capitals in later revisions. */
export function oneOf(value: string | null, known: readonly string[]): string | null {
  const lower = value?.toLowerCase() ?? ''
  return known.includes(lower) ? lower : null
}
