/** Array literals of PostgreSQL, one for each column of a batch. */

/** Of values that need no quotes: uuids and decimals. */
export function plainArray(values: readonly (string | null)[]): string {
  let text = '{'
  for (let i = 0; i < values.length; i += 1) {
    if (i > 0) text += ','
    text += values[i] ?? 'NULL'
  }
  return `${text}}`
}

/** Of any storable text. */
export function textArray(values: readonly (string | null)[]): string {
  let text = '{'
  for (let i = 0; i < values.length; i += 1) {
    if (i > 0) text += ','
    const value = values[i]
    text += value === null || value === undefined ? 'NULL' : `"${value.replace(/["\\]/g, '\\$&')}"`
  }
  return `${text}}`
}
