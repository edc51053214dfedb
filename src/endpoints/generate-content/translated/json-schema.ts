/** Turns Gemini's Schema (a subset of OpenAPI's, with types in capitals) into JSON Schema. Names of properties are the caller's own. */
import { asObject } from '../../../../providers/json.ts'

type Json = Readonly<Record<string, unknown>>

/** Members that only Gemini has, or that have no meaning elsewhere. */
const OWN: ReadonlySet<string> = new Set(['nullable', 'propertyOrdering', 'property_ordering', 'example'])
const LISTS: ReadonlySet<string> = new Set(['anyOf', 'any_of'])
/** Members whose numbers Gemini writes in quotes. */
const COUNTS = /^(?:min|max)_?(?:items|length|properties)$/i

/** The reader bounds how deep requests nest, and with it the recursion. */
export function jsonSchemaOf(value: unknown): unknown {
  const schema = asObject(value)
  if (schema === null) return value
  const out: Record<string, unknown> = {}
  for (const [name, member] of Object.entries(schema)) {
    if (OWN.has(name) || member === null) continue
    const known = name.replace(/_([a-z])/g, (_, letter: string) => letter.toUpperCase())
    if (known === 'type') out.type = typeOf(member, schema)
    else if (known === 'properties') out.properties = propertiesOf(asObject(member) ?? {})
    else if (known === 'items') out.items = jsonSchemaOf(member)
    else if (LISTS.has(name) && Array.isArray(member)) out.anyOf = member.map(jsonSchemaOf)
    else if (COUNTS.test(known) && typeof member === 'string') out[known] = Number(member)
    else out[known] = member
  }
  return out
}

function typeOf(type: unknown, { nullable }: Json): unknown {
  const plain = typeof type === 'string' ? type.toLowerCase() : type
  return nullable === true ? [plain, 'null'] : plain
}

function propertiesOf(properties: Json): Json {
  return Object.fromEntries(Object.entries(properties).map(([name, member]) => [name, jsonSchemaOf(member)]))
}
