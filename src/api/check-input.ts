/** Checks what a caller sent against a route's schema. The error names the first member that does not fit and says what would. */
import type { z } from '@hono/zod-openapi'
import { TollgateError } from '../http/errors.ts'
import { describeIssue, nameOf } from './describe-issue.ts'

/**
 * @param schema undefined where the route takes nothing of this kind.
 * @returns the values as the schema reads them, without members it does not know.
 * @throws {TollgateError} `status`, naming the member.
 */
export function checkInput<S extends z.ZodType>(schema: S | undefined, value: unknown, status: number): z.output<S> {
  if (schema === undefined) return {} as z.output<S>
  const holder = findNul(value)
  // PostgreSQL stores no NUL, so a value with one can be neither found nor saved.
  if (holder !== null) throw invalid(status, holder, `"${holder}" must not contain the character U+0000.`)
  const result = schema.safeParse(value, { error: describeIssue })
  if (result.success) return result.data
  const issue = result.error.issues[0]
  throw invalid(status, nameOf(issue?.path ?? []), issue?.message ?? 'The request does not fit its schema.')
}

/**
 * As checkInput, for the parameters of a path.
 * @throws {TollgateError} 404 for an id that can't exist; `status` for one that does not fit the schema.
 */
export function checkParams<S extends z.ZodType>(
  schema: S | undefined,
  params: Readonly<Record<string, string>>,
  status: number,
): z.output<S> {
  const holder = findNul(params)
  if (holder === null) return checkInput(schema, params, status)
  throw new TollgateError(404, 'not_found', `There is no such "${holder}": it contains the character U+0000.`)
}

/** The top-level member that holds a NUL, in a value or a name; null where none does. */
function findNul(value: unknown): string | null {
  if (typeof value !== 'object' || value === null) return null
  for (const [name, member] of Object.entries(value)) {
    if (name.includes('\0')) return name.replaceAll('\0', '\\u0000')
    if (typeof member === 'string' ? member.includes('\0') : findNul(member) !== null) return name
  }
  return null
}

function invalid(status: number, param: string, message: string): TollgateError {
  return new TollgateError(status, 'invalid_request', message, { param: param === '' ? null : param })
}
