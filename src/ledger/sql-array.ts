/** Rows of a batch as arrays of PostgreSQL, one for each column. */

/**
 * Literals, but for the column of JSON documents: that goes in binary, since a literal of it would have a backslash for each quote
 * (measured: a sixth of what Node does for a batch, and PostgreSQL takes them out again).
 * @param documents the place of that column, its texts being JSON
 */
export function arraysOf(rows: readonly (readonly (string | null)[])[], documents?: number): (string | Buffer)[] {
  const width = rows[0]?.length ?? 0
  return Array.from({ length: width }, (_, column) =>
    column === documents ? jsonbArray(rows, column) : literal(rows, column),
  )
}

type Rows = Parameters<typeof arraysOf>[0]

function literal(rows: Rows, column: number): string {
  let text = '{'
  for (const [i, row] of rows.entries()) {
    if (i > 0) text += ','
    text += element(row[column] ?? null)
  }
  return `${text}}`
}

/** Decimals and uuids need no quotes; nothing else is worth telling apart. */
function element(value: string | null): string {
  if (value === null) return 'NULL'
  return PLAIN.test(value) ? value : `"${value.replace(ESCAPED, '\\$&')}"`
}

const PLAIN = /^[0-9a-f.-]+$/
const ESCAPED = /["\\]/g

const OID_OF_JSONB = 3802
const JSONB_VERSION = 1
const HEADER_BYTES = 20

/** As array_recv and jsonb_recv of PostgreSQL read it. */
function jsonbArray(rows: Rows, column: number): Buffer {
  let bytes = HEADER_BYTES
  for (const row of rows) bytes += 5 + Buffer.byteLength(row[column] ?? '')
  const array = Buffer.allocUnsafe(bytes)
  // Dimensions, whether there are nulls, the type of the elements, how many, and the number of the first.
  for (const [i, word] of [1, 1, OID_OF_JSONB, rows.length, 1].entries()) array.writeInt32BE(word, 4 * i)
  let at = HEADER_BYTES
  for (const row of rows) {
    const document = row[column] ?? null
    if (document === null) {
      at = array.writeInt32BE(-1, at)
      continue
    }
    const written = array.write(document, at + 5)
    array.writeInt32BE(1 + written, at)
    array[at + 4] = JSONB_VERSION
    at += 5 + written
  }
  return array.subarray(0, at)
}
