/**
 * Usage in groups (by day, user, model ...), page by page. It reads the sums by day, which are written with the charges, so every number
 * equals the books: credits are what charges and corrections cost; refunds are movements of their own, in the statement.
 */
import { type RawBuilder, sql } from 'kysely'
import type { Database } from '../db/connect.ts'

/** Times first: a page that has one is in the order of time. */
export const DIMENSIONS = [
  'day',
  'week',
  'month',
  'organization',
  'user',
  'service',
  'model',
  'provider',
  'key',
] as const
export type Dimension = (typeof DIMENSIONS)[number]

export interface UsageFilter {
  /** Days in UTC: the first one, and the one after the last. */
  from: string
  until: string
  organizationId?: string
  userId?: string
  service?: string
  model?: string
  provider?: string
  keyId?: string
}

/** Credits and dollars are decimal strings, exact to the last digit; counts are whole numbers. */
export interface Sums {
  calls: string
  failed_calls: string
  credits: string
  /** Dollars: a thousandth of the credits. */
  cost: string
  /** Dollars that providers take. */
  provider_cost: string
  input_tokens: string
  cached_tokens: string
  output_tokens: string
}

/** `key` has the value of each dimension, in the order they were named in. */
export type UsageGroup = Sums & { key: string[] }

export interface Page {
  limit: number
  /** Where the page before ended; null for the first. */
  after: readonly string[] | null
}

/** Grouped by as they are, and made texts afterwards: a group has far more rows than one. */
const COLUMNS: Readonly<Record<Dimension, RawBuilder<unknown>>> = {
  day: sql`day`,
  week: sql`date_trunc('week', day::timestamp)::date`,
  month: sql`date_trunc('month', day::timestamp)::date`,
  organization: sql`org_id`,
  user: sql`user_id`,
  service: sql`service_type`,
  model: sql`model`,
  provider: sql`provider`,
  key: sql`key_id`,
}
const TIMES: ReadonlySet<Dimension> = new Set(['day', 'week', 'month'])

const SUMS = sql`coalesce(sum(calls), 0) as calls, coalesce(sum(failed_calls), 0) as failed_calls, coalesce(sum(credits), 0) as credits,
  coalesce(sum(api_cost), 0) as api_cost, coalesce(sum(input_tokens), 0) as input_tokens,
  coalesce(sum(cached_tokens), 0) as cached_tokens, coalesce(sum(output_tokens), 0) as output_tokens`

const SHOWN = sql`calls::text as calls, failed_calls::text as failed_calls, trim_scale(credits)::text as credits,
  trim_scale(credits / 1000)::text as cost, trim_scale(api_cost)::text as provider_cost, input_tokens::text as input_tokens,
  cached_tokens::text as cached_tokens, output_tokens::text as output_tokens`

/** The sum over everything that the filter lets through. */
export async function usageTotal(database: Database, filter: UsageFilter): Promise<Sums> {
  const { rows } = await sql<Sums>`
    with found as (select ${SUMS} from ${sourceOf(filter, [])} where ${conditionOf(filter)})
    select ${SHOWN} from found`.execute(database.query)
  return rows[0]!
}

/**
 * Groups in the order of time, the newest first, where one of the dimensions is a time; else the most expensive first.
 * @param dimensions at least one; the times first.
 * @returns at most `limit + 1` groups: one more than the page says that there is a next one.
 */
export async function usageBy(
  database: Database,
  filter: UsageFilter,
  dimensions: readonly Dimension[],
  page: Page,
): Promise<UsageGroup[]> {
  const columns = sql.join(dimensions.map((dimension) => COLUMNS[dimension]))
  const key = sql.join(dimensions.map(textOf))
  const byTime = isByTime(dimensions)
  const order = byTime ? sql`key[1] desc, key[2:]` : sql`credits desc, key`
  const places = sql.raw(dimensions.map((_, place) => place + 1).join(', '))
  const names = sql.raw(dimensions.map((_, place) => `d${place}`).join(', '))
  const { rows } = await sql<UsageGroup>`
    with grouped (${names}, calls, failed_calls, credits, api_cost, input_tokens, cached_tokens, output_tokens) as (
        select ${columns}, ${SUMS} from ${sourceOf(filter, dimensions)} where ${conditionOf(filter)} group by ${places}),
      found as (select array[${key}]::text[] collate "C" as key, grouped.* from grouped)
    select key, ${SHOWN} from found where ${afterPage(page.after, byTime)}
    order by ${order} limit ${page.limit + 1}`.execute(database.query)
  return rows
}

function textOf(dimension: Dimension, place: number): RawBuilder<unknown> {
  const column = sql.raw(`d${place}`)
  return dimension === 'month' ? sql`to_char(${column}, 'YYYY-MM')` : sql`${column}::text`
}

/** True if pages of these groups are in the order of time. */
export function isByTime([first]: readonly Dimension[]): boolean {
  return first !== undefined && TIMES.has(first)
}

/** Where the next page goes on: the key, after the credits where those decide the order. */
export function cursorAfter({ credits, key }: UsageGroup, dimensions: readonly Dimension[]): string[] {
  return isByTime(dimensions) ? key : [credits, ...key]
}

function afterPage(after: Page['after'], byTime: boolean): RawBuilder<unknown> {
  if (after === null) return sql`true`
  const [first = '', ...rest] = after
  const others = sql`${rest}::text[] collate "C"`
  if (byTime) return sql`(key[1] < ${first} or (key[1] = ${first} and key[2:] > ${others}))`
  return sql`(credits < ${first}::numeric or (credits = ${first}::numeric and key > ${others}))`
}

/** The sums without users and keys are fewer: they do where nobody asks for either. */
function sourceOf({ userId, keyId }: UsageFilter, dimensions: readonly Dimension[]): RawBuilder<unknown> {
  const isByUser =
    userId !== undefined || keyId !== undefined || dimensions.some((one) => one === 'user' || one === 'key')
  return isByUser ? sql`tollgate.usage_by_user` : sql`tollgate.usage_by_organization`
}

function conditionOf(filter: UsageFilter): RawBuilder<unknown> {
  const { from, until, organizationId, userId, service, model, provider, keyId } = filter
  const conditions = [
    sql`day >= ${from}::date and day < ${until}::date`,
    ...(organizationId === undefined ? [] : [sql`org_id = ${organizationId}::uuid`]),
    ...(userId === undefined ? [] : [sql`user_id = ${userId}`]),
    ...(service === undefined ? [] : [sql`service_type = ${service}`]),
    ...(model === undefined ? [] : [sql`model = ${model}`]),
    ...(provider === undefined ? [] : [sql`provider = ${provider}`]),
    ...(keyId === undefined ? [] : [sql`key_id = ${keyId}`]),
  ]
  return sql.join(conditions, sql` and `)
}
