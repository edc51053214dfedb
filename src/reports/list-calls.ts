/**
 * Calls, the newest first: those that run, then those that ended, page by page. Whose calls are shown, and an id, are found by an index:
 * a page reads its own rows. A model, a key or a state is looked for among them, so a rare one reads as far back as it takes.
 */
import { type RawBuilder, sql } from 'kysely'
import type { Database } from '../db/connect.ts'
import { isoTime } from '../db/iso-time.ts'
import { isUuid } from '../db/uuid.ts'

export interface Name {
  id: string
  /** Null where none is known. */
  name: string | null
}

/** Credits are decimal strings, times ISO 8601. */
export interface CallRow {
  call_id: string
  request_id: string | null
  /** `running` or `settled`. */
  status: string
  outcome: string | null
  model: string | null
  provider: string | null
  endpoint: string
  user: Name
  key: Name | null
  organization: Name
  started_at: string
  settled_at: string | null
  /** What it cost, corrections included; null while it runs. */
  credits: string | null
  held_credits: string
  provenance: string | null
  input_tokens: number | null
  output_tokens: number | null
}

export interface CallFilter {
  organizationId?: string
  userId?: string
  /** `running`, or how a call ended. */
  state?: string
  model?: string
  keyId?: string
  /** A call's id or its beginning, or the whole X-Request-ID. */
  id?: string
}

/** Where a page ended: when its last row was written, in microseconds since 1970, and the call. */
export type CallPlace = readonly [at: string, callId: string]

/** A list of what runs is for looking at. */
const RUNNING_MOST = 200

/** Of an API key that is known by its id. @param id the text of it */
const keyNamed = (id: RawBuilder<unknown>) =>
  sql`left join tollgate.api_keys k on k.id = case when ${id} ~ '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$' then (${id})::uuid end`

const KEY = (id: RawBuilder<unknown>) =>
  sql`case when ${id} is not null then json_build_object('id', ${id}, 'name', coalesce(k.name, k.preview)) end as key`

const WHOSE = sql`json_build_object('id', c.user_id, 'name', null) as "user",
  json_build_object('id', o.id, 'name', coalesce(o.display_name, o.name)) as organization`

/** @returns those that run, the newest first. */
export async function listRunning(database: Database, filter: CallFilter): Promise<CallRow[]> {
  if (filter.state !== undefined && filter.state !== 'running') return []
  return selectHolds(
    database,
    sql`c.state = 'open' and ${sharedConditions(filter)} and ${equals(KEY_OF_HOLD, filter.keyId)} and ${hasId(filter.id)}`,
  )
}

/** @returns a call by its hold, however that was closed; null where it is gone. */
export async function findHeld(database: Database, callId: string): Promise<CallRow | null> {
  return (await selectHolds(database, sql`c.call_id = ${callId}`))[0] ?? null
}

const KEY_OF_HOLD = sql`c.context ->> 'key_id'`

async function selectHolds({ query }: Database, condition: RawBuilder<unknown>): Promise<CallRow[]> {
  const { rows } = await sql<CallRow>`
    with page as materialized (
      select c.* from tollgate.ledger_holds c where ${condition} order by c.call_id desc limit ${RUNNING_MOST})
    select c.call_id, c.request_id, case c.state when 'open' then 'running' else c.state end as status, null as outcome,
      c.service_name as model, null as provider, c.service_type as endpoint, ${WHOSE}, ${KEY(KEY_OF_HOLD)},
      ${isoTime('c.created_at')} as started_at, null as settled_at, null as credits,
      trim_scale(c.held_credits)::text as held_credits, null as provenance, null as input_tokens, null as output_tokens
    from page c join organizations o on o.id = c.org_id ${keyNamed(KEY_OF_HOLD)}
    order by c.call_id desc`.execute(query)
  return rows
}

/** @returns at most `limit + 1` of those that ended: one more than the page says that there is a next one. */
export async function listEnded(
  { query }: Database,
  filter: CallFilter,
  { limit, after }: { limit: number; after: CallPlace | null },
): Promise<(CallRow & { place: CallPlace })[]> {
  if (filter.state === 'running') return []
  const key = sql`c.details ->> 'key_id'`
  const { rows } = await sql<CallRow & { written_at: string }>`
    with page as materialized (
      select c.* from ${chargesOf(filter)} c
      where c.entry = 'charge' and c.source = 'proxy' and ${sharedConditions(filter)} and ${equals(key, filter.keyId)}
        and ${equals(sql`c.outcome`, filter.state)} and ${isBehind(after)}
      order by c.created_at desc, c.call_id desc limit ${limit + 1})
    select c.call_id, c.request_id, 'settled' as status, c.outcome, c.service_name as model, c.details ->> 'provider' as provider,
      c.service_type as endpoint, ${WHOSE}, ${KEY(key)}, ${isoTime(STARTED)} as started_at,
      ${isoTime('c.created_at')} as settled_at, trim_scale(s.credits)::text as credits,
      coalesce(c.details ->> 'held', '0') as held_credits, c.provenance,
      tollgate.usage_count(c.details -> 'usage' -> 'prompt_tokens')::float8 as input_tokens,
      tollgate.usage_count(c.details -> 'usage' -> 'completion_tokens')::float8 as output_tokens,
      (extract(epoch from c.created_at) * 1000000)::bigint::text as written_at
    from page c join organizations o on o.id = c.org_id ${keyNamed(key)}
    cross join lateral (select sum(a.credits_used) as credits from credit_usage_attribution a where a.call_id = c.call_id) s
    order by c.created_at desc, c.call_id desc`.execute(query)
  return rows.map(({ written_at: at, ...row }) => ({ ...row, place: [at, row.call_id] }))
}

/** A row says how long its call took. */
const STARTED = `(c.created_at - coalesce(tollgate.usage_count(c.details -> 'duration_ms'), 0)::float8 * interval '1 millisecond')`

function sharedConditions({ organizationId, userId, model }: CallFilter): RawBuilder<unknown> {
  return sql`${equals(sql`c.org_id`, organizationId)} and ${equals(sql`c.user_id`, userId)} and ${equals(sql`c.service_name`, model)}`
}

function equals(column: RawBuilder<unknown>, value: string | undefined): RawBuilder<unknown> {
  return value === undefined ? sql`true` : sql`${column} = ${value}`
}

/** Of an id that is asked for, only its rows are read, through the index of its form; `offset 0` keeps the planner to that. */
function chargesOf({ id, organizationId }: CallFilter): RawBuilder<unknown> {
  if (id === undefined) return sql`credit_usage_attribution`
  const organizations =
    organizationId === undefined ? sql`(select id from organizations)` : sql`(${organizationId}::uuid)`
  const span = callIdsBeginning(id)
  const byCall =
    span === null
      ? sql``
      : sql`
    select * from credit_usage_attribution where call_id between ${span.first}::uuid and ${span.last}::uuid union`
  return sql`(${byCall} select * from credit_usage_attribution where org_id in ${organizations} and request_id = ${id} offset 0)`
}

function hasId(id: string | undefined): RawBuilder<unknown> {
  if (id === undefined) return sql`true`
  const span = callIdsBeginning(id)
  const isCall = span === null ? sql`false` : sql`c.call_id between ${span.first}::uuid and ${span.last}::uuid`
  return sql`(${isCall} or c.request_id = ${id})`
}

/** The beginning of an id is the time its call began: eight digits are a minute of calls, fewer would be a day and more. */
function callIdsBeginning(text: string): { first: string; last: string } | null {
  const written = text.toLowerCase()
  if (!/^[0-9a-f]{8}[0-9a-f-]{0,28}$/.test(written)) return null
  const fill = (digit: string) =>
    written + `${digit.repeat(8)}${`-${digit.repeat(4)}`.repeat(3)}-${digit.repeat(12)}`.slice(written.length)
  const [first, last] = [fill('0'), fill('f')]
  return isUuid(first) ? { first, last } : null
}

function isBehind(after: CallPlace | null): RawBuilder<unknown> {
  return after === null
    ? sql`true`
    : sql`(c.created_at, c.call_id) < (timestamptz 'epoch' + ${after[0]}::bigint * interval '1 microsecond', ${after[1]}::uuid)`
}
