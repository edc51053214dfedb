/**
 * Describes what a schema refuses, in a sentence that names the member and says what would be right. It never shows the value, which
 * may be a key. A message that the schema itself states is used unchanged.
 */
import type { z } from '@hono/zod-openapi'

type Issue = Parameters<z.core.$ZodErrorMap>[0]

const TYPES: Readonly<Record<string, string>> = {
  string: 'a string',
  number: 'a number',
  int: 'a whole number',
  boolean: 'true or false',
  array: 'a list',
  object: 'a JSON object',
  record: 'a JSON object',
  null: 'null',
  date: 'a date',
}

const FORMATS: Readonly<Record<string, string>> = {
  uuid: 'a UUID',
  email: 'an e-mail address',
  url: 'a URL',
  datetime: 'a time such as 2026-01-31T12:00:00Z',
  date: 'a date such as 2026-01-31',
}

/** `messages[0].role`; empty for the whole. */
export function nameOf(path: readonly PropertyKey[]): string {
  return path
    .map((step) => (typeof step === 'number' ? `[${step}]` : `.${String(step)}`))
    .join('')
    .replace(/^\./, '')
}

export function describeIssue(issue: Issue): string {
  const path = issue.path ?? []
  const name = path.length === 0 ? 'The request' : `"${nameOf(path)}"`
  if (issue.input === undefined && issue.code !== 'custom') return `${name} is missing. It must be ${expected(issue)}.`
  return `${name} must be ${expected(issue)}.`
}

function expected(issue: Issue): string {
  switch (issue.code) {
    case 'invalid_type':
      return TYPES[issue.expected] ?? issue.expected
    case 'invalid_value':
      return oneOf(issue.values)
    case 'too_small':
      return `${issue.inclusive === false ? 'more than' : 'at least'} ${measure(issue.minimum, issue.origin)}`
    case 'too_big':
      return `${issue.inclusive === false ? 'less than' : 'at most'} ${measure(issue.maximum, issue.origin)}`
    case 'invalid_format':
      return FORMATS[issue.format] ?? `in the form ${issue.pattern ?? issue.format}`
    case 'not_multiple_of':
      return `a multiple of ${issue.divisor}`
    case 'unrecognized_keys':
      return `without ${issue.keys.map((key) => JSON.stringify(key.slice(0, 64))).join(', ')}`
    case 'invalid_union':
      return alternatives(issue.errors)
    default:
      return 'in the form that /docs describes'
  }
}

function oneOf(values: readonly unknown[]): string {
  const shown = values.map((value) => JSON.stringify(value))
  return shown.length === 1 ? String(shown[0]) : `one of ${shown.join(', ')}`
}

function measure(bound: number | bigint, origin: string): string {
  if (origin === 'string') return `${bound} characters long`
  if (origin === 'array' || origin === 'set') return `${bound} elements long`
  return String(bound)
}

/** What each branch of a union expected first. */
function alternatives(branches: readonly (readonly z.core.$ZodIssue[])[]): string {
  const wanted = branches.flatMap(([first]) => (first === undefined ? [] : [expected(first as Issue)]))
  return wanted.length === 0 ? 'in the form that /docs describes' : [...new Set(wanted)].join(' or ')
}
