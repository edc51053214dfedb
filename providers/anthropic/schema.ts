/**
 * JSON schemas as Claude takes them. A tool's schema must be an object at its root. Strict ones (structured output, strict tools)
 * must close every object and know only part of the keywords: what they don't know moves into the description, where the model
 * still reads it.
 */
import { asObject } from '../json.ts'

type Schema = Readonly<Record<string, unknown>>

/** A tool's parameters; null where the root can't be an object. */
export function toolSchema(parameters: unknown): Schema | null {
  if (parameters === undefined || parameters === null) return { type: 'object', properties: {} }
  const schema = inlineRoot(asObject(parameters))
  if (schema === null || 'anyOf' in schema || 'oneOf' in schema || 'allOf' in schema || '$ref' in schema) return null
  const types: unknown[] = Array.isArray(schema.type) ? schema.type : [schema.type ?? 'object']
  return types.includes('object') ? { ...schema, type: 'object' } : null
}

/** A root that only points to a definition is that definition. */
function inlineRoot(schema: Schema | null): Schema | null {
  const name = typeof schema?.$ref === 'string' ? /^#\/(\$defs|definitions)\/([^/]+)$/.exec(schema.$ref) : null
  if (schema === null || name === null) return schema
  const group = name[1] ?? ''
  const found = asObject(asObject(schema[group])?.[name[2] ?? ''])
  return found === null ? schema : { ...found, [group]: schema[group] }
}

const MOVED = [
  'minimum',
  'maximum',
  'exclusiveMinimum',
  'exclusiveMaximum',
  'multipleOf',
  'minLength',
  'maxLength',
  'maxItems',
  'uniqueItems',
  'minProperties',
  'maxProperties',
]
const DEPTH_MAX = 64

/** Closed at every object; null where a part of it is open on purpose, which strictness can't express. */
export function strictSchema(schema: unknown, depth = 0): Schema | null {
  const stated = asObject(schema)
  if (stated === null || depth > DEPTH_MAX) return null
  const open = stated.additionalProperties
  if (open !== undefined && open !== false) return null
  const strict: Record<string, unknown> = {}
  for (const [key, value] of Object.entries(stated)) {
    const kept = strictMember(key, value, depth)
    if (kept === null) return null
    if (!isMoved(key, value)) strict[key] = kept.value
  }
  const isObject = stated.type === 'object' || asObject(stated.properties) !== null
  if (isObject) strict.additionalProperties = false
  const moved = Object.entries(stated).filter(([key, value]) => isMoved(key, value))
  if (moved.length > 0) strict.description = described(stated.description, moved)
  return strict
}

function isMoved(key: string, value: unknown): boolean {
  return MOVED.includes(key) || (key === 'minItems' && value !== 0 && value !== 1)
}

function described(description: unknown, moved: readonly (readonly [string, unknown])[]): string {
  const words = moved.map(([key, value]) => `${key}: ${JSON.stringify(value)}`).join(', ')
  return typeof description === 'string' && description !== '' ? `${description} (${words})` : words
}

const MAPS = new Set(['properties', '$defs', 'definitions', 'patternProperties'])
const LISTS = new Set(['anyOf', 'oneOf', 'allOf', 'prefixItems'])

function strictMember(key: string, value: unknown, depth: number): { value: unknown } | null {
  if (MAPS.has(key)) {
    const entries = Object.entries(asObject(value) ?? {}).map(([name, sub]) => [name, strictSchema(sub, depth + 1)])
    return entries.some(([, sub]) => sub === null) ? null : { value: Object.fromEntries(entries) as unknown }
  }
  if (LISTS.has(key) && Array.isArray(value)) {
    const subs = value.map((sub) => strictSchema(sub, depth + 1))
    return subs.includes(null) ? null : { value: subs }
  }
  if (key !== 'items') return { value }
  const items = strictSchema(value, depth + 1)
  return items === null ? null : { value: items }
}
