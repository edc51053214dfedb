/** What callers may ask the usage reports for: whose usage, of which days, in which groups; and what each caller may see of it. */
import { z } from '@hono/zod-openapi'
import { isUuid } from '../../db/uuid.ts'
import { TollgateError } from '../../http/errors.ts'
import type { Caller } from '../../identity/caller.ts'
import { requirePermission } from '../../identity/permissions.ts'
import { DIMENSIONS, type Dimension, isByTime, type UsageFilter } from '../../reports/usage-by.ts'
import { dayFields, spanOf } from '../days.ts'
import { numberInQuery } from '../number-in-query.ts'

const GROUPS_MAX = 3

const text = (max: number) => z.string().min(1).max(max).optional()
export const filterFields = {
  scope: z.enum(['user', 'organization', 'system']).default('user').openapi({
    description:
      '`user`: your own usage. `organization`: of all members, for its admins. `system`: of all organizations, for the operator.',
  }),
  org_id: text(64).openapi({
    description: 'The organization; your own by default. In the scope system, only this one.',
  }),
  user_id: text(255).openapi({ description: 'One user only.' }),
  service: text(100).openapi({ description: 'One service only, such as `llm_inference`.' }),
  model: text(200),
  provider: text(100),
  key_id: text(255).openapi({ description: 'One API key only, by its id.' }),
  ...dayFields,
}

export const pageFields = {
  group_by: z
    .string()
    .default('day')
    .refine(
      (names) => readGroups(names) !== null,
      `"group_by" must be one to ${GROUPS_MAX} of ${DIMENSIONS.join(', ')}, separated by commas, with at most one of day, week and month.`,
    )
    .openapi({ example: 'day,model' }),
  limit: numberInQuery('limit', { min: 1, max: 1_000, default: 100 }),
  cursor: z.string().max(2_000).optional().openapi({ description: 'The `next_cursor` of the page before.' }),
}

type Fields = z.output<z.ZodObject<typeof filterFields>>

/** Times first. Null where a name is unknown or stands twice, or where there are two times. */
export function readGroups(names: string): Dimension[] | null {
  const asked = names.split(',').map((name) => name.trim())
  const known = DIMENSIONS.filter((dimension) => asked.includes(dimension))
  const times = known.filter((dimension) => dimension === 'day' || dimension === 'week' || dimension === 'month')
  return known.length === asked.length && known.length <= GROUPS_MAX && times.length <= 1 ? known : null
}

/** @throws {TollgateError} 403 for usage that the caller may not see, 404 for what is no organization, 422 for days that end before they begin. */
export function filterOf(caller: Caller, fields: Fields, now: Date): UsageFilter {
  const {
    scope,
    org_id = scope === 'system' ? undefined : caller.organizationId,
    user_id,
    service,
    model,
    provider,
  } = fields
  if (org_id !== undefined && !isUuid(org_id)) throw new TollgateError(404, 'NOT_FOUND', 'Organization not found')
  const userId = user_id ?? (scope === 'user' ? caller.userId : undefined)
  const isOwn = scope === 'user' && userId === caller.userId && org_id === caller.organizationId
  if (scope === 'system') requirePermission(caller, 'billing:system')
  else requirePermission(caller, isOwn ? 'credits:read_own' : 'usage:read_members', org_id)
  const { from, until } = spanOf(fields, now)
  return {
    ...{ from, until },
    ...given({ organizationId: org_id, userId, service, model, provider, keyId: fields.key_id }),
  }
}

type Given<T> = { [Name in keyof T]?: NonNullable<T[Name]> }

function given<T extends object>(values: T): Given<T> {
  return Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined)) as Given<T>
}

export function writeCursor(after: readonly string[]): string {
  return Buffer.from(JSON.stringify(after)).toString('base64url')
}

/** @throws {TollgateError} 422 for what is no cursor of a page with these groups. */
export function readCursor(cursor: string | undefined, groups: readonly Dimension[]): string[] | null {
  if (cursor === undefined) return null
  const values = parse(Buffer.from(cursor, 'base64url').toString())
  const length = isByTime(groups) ? groups.length : groups.length + 1
  const isRight = Array.isArray(values) && values.length === length && values.every(isText)
  if (isRight && (isByTime(groups) || /^\d{1,20}(?:\.\d{1,6})?$/.test(values[0]))) return values
  throw new TollgateError(
    422,
    'invalid_request',
    '"cursor" must be the next_cursor of a page with the same group_by.',
    {
      param: 'cursor',
    },
  )
}

/** PostgreSQL stores no NUL. */
function isText(value: unknown): boolean {
  return typeof value === 'string' && !value.includes('\0')
}

function parse(json: string): unknown {
  try {
    return JSON.parse(json)
  } catch {
    return null
  }
}
