/**
 * Makes values storable before they enter a statement: PostgreSQL takes no NUL and no lone surrogate in text or jsonb, and
 * one such value would fail the whole batch, for everyone in it (measured).
 */

const TEXT_MAX = 10_000

/** At most `max` characters, without NUL and lone surrogates. */
export function storableText(text: string, max: number): string {
  return text.replaceAll('\0', '\ufffd').slice(0, max).toWellFormed()
}

/** JSON text whose strings and keys are storable; bigints as strings, null for what JSON can't say at all. Never throws. */
export function storableJson(value: unknown): string {
  try {
    const text = JSON.stringify(value ?? null)
    // JSON escapes exactly what can't be stored; most values have none of it.
    if (text.length <= TEXT_MAX && !UNSTORABLE.test(text)) return text
  } catch {
    // A bigint; or too deep, or it holds itself.
  }
  try {
    return JSON.stringify(clean(value))
  } catch {
    return 'null'
  }
}

const UNSTORABLE = /\\u(?:0000|[dD][89a-fA-F])/

function clean(value: unknown): unknown {
  if (typeof value === 'string') return storableText(value, TEXT_MAX)
  if (typeof value === 'bigint') return value.toString()
  if (Array.isArray(value)) return value.map(clean)
  if (value !== null && typeof value === 'object') {
    return Object.fromEntries(Object.entries(value).map(([key, member]) => [storableText(key, 200), clean(member)]))
  }
  return value
}
