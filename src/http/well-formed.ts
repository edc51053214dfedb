/**
 * Refuses text that is no text: half of a surrogate pair, which JSON can write (`"\ud800"`) and UTF-8 can't hold. It throws where it
 * meets a URL, is refused by PostgreSQL, and readers replace it as each sees fit. Nothing else a caller sends can hold one: UTF-8 is
 * checked before it is parsed, and headers, paths and queries come as bytes.
 */
import { type Path, showPath } from '../../providers/known-members/shape.ts'
import { TollgateError } from './errors.ts'

/** Escapes that can be half of a pair, as they begin. Most bodies have none, and are not walked. */
const ESCAPES = ['\\ud', '\\uD']

/** @throws {TollgateError} 400, naming the member. `json` is what `text` says; it nests no deeper than its reader allows. */
export function refuseHalves(text: Buffer, json: unknown): void {
  if (!ESCAPES.some((start) => text.includes(start))) return
  const place = halfIn(json, [])
  if (place === null) return
  const shown = showPath(place)
  throw new TollgateError(
    400,
    'invalid_request',
    `'${shown}' holds half of a surrogate pair, which is no character. Send whole characters.`,
    { param: shown },
  )
}

/** The first string or name that is not well formed; null where all are. */
function halfIn(value: unknown, path: (string | number)[]): Path | null {
  if (typeof value === 'string') return value.isWellFormed() ? null : [...path]
  if (typeof value !== 'object' || value === null) return null
  for (const step of Array.isArray(value) ? value.keys() : Object.keys(value)) {
    path.push(step)
    const isName = typeof step === 'string' && !step.isWellFormed()
    const found = isName ? [...path] : halfIn((value as Record<string | number, unknown>)[step], path)
    if (found !== null) return found
    path.pop()
  }
  return null
}
