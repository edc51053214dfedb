/**
 * The calls of a batch as one JSON document: an array of objects with the members of a composite type in sql/migrations/000003-ledger.sql.
 * A text a call, put together by hand: values that are JSON already (documents, amounts) go in as they are.
 */

/** JSON text by name; null: left out. */
export type JsonRow = Readonly<Record<string, string | null>>

export function jsonArray(rows: readonly JsonRow[]): string {
  return `[${rows.map(jsonObject).join(',')}]`
}

export function jsonObject(row: JsonRow): string {
  let text = '{'
  for (const name in row) {
    const value = row[name]
    if (value === null || value === undefined) continue
    text += text === '{' ? `"${name}":${value}` : `,"${name}":${value}`
  }
  return `${text}}`
}

/** A text as JSON; null stays null. */
export function jsonText(text: string | null): string | null {
  return text === null ? null : JSON.stringify(text)
}
