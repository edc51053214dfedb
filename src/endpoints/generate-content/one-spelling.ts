/**
 * Google reads each member by two names: `maxOutputTokens`, and `max_output_tokens` as in its definition. Requests are read and sent with
 * the first name only, so that the server reads what was priced. A request with both names is refused.
 */
import { parseExactJson } from '../../../providers/exact-json.ts'
import { objectMembers } from '../../../providers/json-members.ts'
import { type Path, type Shape, showPath } from '../../../providers/known-members/shape.ts'
import type { JsonObject } from '../../http/json-object.ts'
import { bad } from '../read-members.ts'

/** Returns the same object where no member has its second name. @throws {TollgateError} 400 for a member with both names. */
export function inOneSpelling(body: JsonObject, shape: Shape): JsonObject {
  if (!spellsOtherwise(body.json, shape, [])) return body
  const text = Buffer.from(JSON.stringify(respelled(parseExactJson(body.text.toString('utf8')), shape)))
  const json = respelled(body.json, shape) as Readonly<Record<string, unknown>>
  return { ...body, text, members: objectMembers(text), json }
}

/** Visits each value once. The reader bounds how deep requests nest, and with it the recursion. */
function spellsOtherwise(value: unknown, shape: Shape, path: Path): boolean {
  if (shape.free || typeof value !== 'object' || value === null) return false
  let found = false
  if (Array.isArray(value)) {
    for (const [index, one] of value.entries()) if (spellsOtherwise(one, shape, [...path, index])) found = true
    return found
  }
  for (const [name, member] of Object.entries(value)) {
    const known = knownName(name, shape)
    const below = shape.members.get(known)
    if (known !== name) {
      if (Object.hasOwn(value, known)) throw twice([...path, name], known)
      found = true
    }
    if (below !== undefined && spellsOtherwise(member, below, [...path, name])) found = true
  }
  return found
}

function twice(path: Path, known: string) {
  return bad(showPath(path), `'${showPath(path)}' and '${known}' are one member. Send it once.`)
}

function respelled(value: unknown, shape: Shape): unknown {
  if (shape.free || typeof value !== 'object' || value === null || isRaw(value)) return value
  if (Array.isArray(value)) return value.map((one) => respelled(one, shape))
  return Object.fromEntries(
    Object.entries(value).map(([name, member]) => {
      const known = knownName(name, shape)
      const below = shape.members.get(known)
      return [known, below === undefined ? member : respelled(member, below)]
    }),
  )
}

const { isRawJSON } = JSON as unknown as { isRawJSON(value: unknown): boolean }

/** A number with its exact digits. */
function isRaw(value: object): boolean {
  return isRawJSON(value)
}

/** The first name of a member; its own name where it is unknown. */
function knownName(name: string, { members }: Shape): string {
  if (members.has(name) || !name.includes('_')) return name
  const other = name.replace(/(?<=[a-z0-9])_([a-z0-9])/g, (_, letter: string) => letter.toUpperCase())
  return members.has(other) ? other : name
}
