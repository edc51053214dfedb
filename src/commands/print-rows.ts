/** Prints rows with the same members as a table with a heading, for people. */
export function printRows(rows: readonly object[], none: string): string {
  const [first] = rows
  if (first === undefined) return `${none}\n`
  const names = Object.keys(first)
  const cells = rows.map((row) => names.map((name) => shown((row as Record<string, unknown>)[name])))
  const widths = names.map((name, i) => Math.max(name.length, ...cells.map((row) => row[i]?.length ?? 0)))
  const line = (values: readonly string[]) =>
    values
      .map((value, i) => value.padEnd(widths[i] ?? 0))
      .join('  ')
      .trimEnd()
  return `${[names, ...cells].map(line).join('\n')}\n`
}

function shown(value: unknown): string {
  if (value === null || value === undefined) return '-'
  // A name may hold control characters, which a terminal would obey.
  return (value instanceof Date ? value.toISOString() : String(value)).replace(/\p{Cc}/gu, '?')
}
