/**
 * Makes values storable before they enter a statement: PostgreSQL takes no NUL and no lone surrogate in text or jsonb, and
 * one such value would fail the whole statement (measured: the whole batch, for everyone in it).
 */

/** At most `max` characters, without NUL and lone surrogates. */
export function storableText(text: string, max: number): string {
  return text.replaceAll('\0', '\ufffd').slice(0, max).toWellFormed()
}

/** JSON text whose strings and keys are storable. */
export function storableJson(value: unknown): string {
  return JSON.stringify(clean(value))
}

function clean(value: unknown): unknown {
  if (typeof value === 'string') return storableText(value, 10_000)
  if (typeof value === 'bigint') return value.toString()
  if (Array.isArray(value)) return value.map(clean)
  if (value !== null && typeof value === 'object') {
    return Object.fromEntries(Object.entries(value).map(([key, member]) => [storableText(key, 200), clean(member)]))
  }
  return value
}
