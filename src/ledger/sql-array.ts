/** Rows of a batch as array literals of PostgreSQL, one for each column. */

export function arraysOf(rows: readonly (readonly (string | null)[])[]): string[] {
  const width = rows[0]?.length ?? 0
  return Array.from({ length: width }, (_, column) => {
    let text = '{'
    for (const [i, row] of rows.entries()) {
      if (i > 0) text += ','
      text += element(row[column] ?? null)
    }
    return `${text}}`
  })
}

/** Decimals and uuids need no quotes; nothing else is worth telling apart. */
function element(value: string | null): string {
  if (value === null) return 'NULL'
  return PLAIN.test(value) ? value : `"${value.replace(ESCAPED, '\\$&')}"`
}

const PLAIN = /^(?=.*\d)[0-9a-f.-]+$/
const ESCAPED = /["\\]/g
