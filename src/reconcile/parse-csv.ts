/** RFC 4180, with commas or tabs, as spreadsheets and dashboards write it. */

/** Rows by the names of the first line, in lower case. A missing cell is ''. */
export function parseCsv(text: string): Record<string, string>[] {
  const [head = [], ...rows] = cellsOf(text.replace(/^\uFEFF/, ''))
  const names = head.map((name) => name.trim().toLowerCase())
  return rows
    .filter((cells) => cells.some((cell) => cell !== ''))
    .map((cells) => Object.fromEntries(names.map((name, i) => [name, (cells[i] ?? '').trim()])))
}

function cellsOf(text: string): string[][] {
  const firstLine = text.slice(0, Math.max(text.indexOf('\n'), 0) || text.length)
  const separator = firstLine.includes('\t') && !firstLine.includes(',') ? '\t' : ','
  const rows: string[][] = [['']]
  let quoted = false
  for (let i = 0; i < text.length; i += 1) {
    const char = text[i]!
    const row = rows.at(-1)!
    const last = row.length - 1
    if (quoted && char === '"' && text[i + 1] === '"') {
      row[last] += '"'
      i += 1
    } else if (char === '"' && (quoted || row[last] === '')) quoted = !quoted
    else if (quoted) row[last] += char
    else if (char === separator) row.push('')
    else if (char === '\n') rows.push([''])
    else if (char !== '\r') row[last] += char
  }
  return rows
}
