/** Calls as LiteLLM's clients read them: one row each. */
import { z } from '@hono/zod-openapi'
import { hashOf } from '../../billing/spenders/virtual-keys.ts'
import type { Database } from '../../db/connect.ts'
import { isUuid } from '../../db/uuid.ts'
import { TollgateError } from '../../http/errors.ts'
import {
  ANY_SPEND,
  countSpend,
  type SpendCursor,
  type SpendFilter,
  type SpendRow,
  spendBy,
  spendRows,
} from '../../reports/spend.ts'
import { exactNumberSchema } from '../exact-number-schema.ts'
import { numberInQuery } from '../number-in-query.ts'
import { type Route, route } from '../route.ts'
import { creditsAsDollars } from './amounts.ts'
import { PERIOD, periodOf } from './spend-queries.ts'

const ROWS_MAX = 1_000

const log = z
  .object({
    request_id: z.string().openapi({ description: 'The call id.' }),
    call_type: z.string(),
    api_key: z.string().openapi({ description: 'The SHA-256 of the key; empty where there was none.' }),
    spend: exactNumberSchema,
    total_tokens: z.number(),
    prompt_tokens: z.number(),
    completion_tokens: z.number(),
    startTime: z.string(),
    endTime: z.string(),
    request_duration_ms: z.number().nullable(),
    model: z.string(),
    model_id: z.string().nullable(),
    model_group: z.string().nullable(),
    custom_llm_provider: z.string().nullable(),
    user: z.string(),
    end_user: z.string().nullable(),
    team_id: z.string().nullable(),
    organization_id: z.string(),
    request_tags: z.array(z.string()),
    cache_hit: z.literal('False'),
    status: z.enum(['success', 'failure']),
    metadata: z.record(z.string(), z.unknown()),
  })
  .openapi('SpendLog')

const perDay = z.object({
  startTime: z.string(),
  spend: exactNumberSchema,
  api_requests: z.int(),
  total_tokens: z.number(),
})

const FILTERS = {
  ...PERIOD,
  api_key: z.string().min(1).optional().openapi({ description: 'A key, or its SHA-256.' }),
  user_id: z.string().min(1).optional(),
  team_id: z.string().min(1).optional(),
  end_user: z.string().min(1).optional(),
  model: z.string().min(1).optional(),
  request_id: z.string().min(1).optional(),
  status_filter: z.enum(['success', 'failure']).optional(),
}
type Filters = z.output<z.ZodObject<typeof FILTERS>>

export function spendLogRoutes(reports: Database): Route[] {
  return [logsRoute(reports), pagesRoute(reports)]
}

function filterOf(query: Filters): SpendFilter {
  return {
    ...ANY_SPEND,
    ...periodOf(query),
    key: query.api_key === undefined ? null : hashOf(query.api_key).toString('hex'),
    userId: query.user_id ?? null,
    team: query.team_id ?? null,
    customer: query.end_user ?? null,
    model: query.model ?? null,
    requestId: query.request_id ?? null,
    outcome: query.status_filter ?? null,
  }
}

function logsRoute(reports: Database): Route {
  return route({
    method: 'get',
    path: '/spend/logs',
    may: 'usage:read_members',
    summary: 'What calls cost, the newest first',
    description: `At most ${ROWS_MAX} calls; /spend/logs/v2 has pages. With both dates and without \`summarize=false\`: sums by day, in UTC.`,
    query: z.object({ ...FILTERS, summarize: z.enum(['true', 'false', 'True', 'False']).optional() }),
    returns: z.union([z.array(log), z.array(perDay)]),
    async handle({ caller, query }) {
      const filter = filterOf(query)
      const isSummed =
        query.start_date !== undefined && query.end_date !== undefined && query.summarize?.toLowerCase() !== 'false'
      if (!isSummed) {
        const rows = await spendRows(reports, caller, filter, { limit: ROWS_MAX, offset: 0, after: null })
        return rows.map(viewOf)
      }
      return (await spendBy(reports, caller, 'day', filter)).map((sum) => ({
        startTime: sum.name ?? '',
        spend: creditsAsDollars(sum.credits),
        api_requests: sum.calls,
        total_tokens: sum.prompt_tokens + sum.completion_tokens,
      }))
    },
  })
}

function pagesRoute(reports: Database): Route {
  return route({
    method: 'get',
    path: '/spend/logs/v2',
    may: 'usage:read_members',
    summary: 'What calls cost, page by page',
    description: '`next_cursor` of a page is `cursor` of the next one: calls that are made meanwhile shift nothing.',
    query: z.object({
      ...FILTERS,
      page: numberInQuery('page', { min: 1, max: 1_000, default: 1 }),
      page_size: numberInQuery('page_size', { min: 1, max: 500, default: 50 }),
      cursor: z.string().optional(),
    }),
    returns: z.object({
      data: z.array(log),
      total: z.int(),
      page: z.int(),
      page_size: z.int(),
      total_pages: z.int(),
      next_cursor: z.string().nullable(),
    }),
    async handle({ caller, query }) {
      const filter = filterOf(query)
      const { page, page_size: size } = query
      const after = query.cursor === undefined ? null : readCursor(query.cursor)
      const [rows, total] = await Promise.all([
        spendRows(reports, caller, filter, { limit: size, offset: after === null ? (page - 1) * size : 0, after }),
        countSpend(reports, caller, filter),
      ])
      const last = rows.at(-1)
      return {
        data: rows.map(viewOf),
        total,
        page,
        page_size: size,
        total_pages: Math.ceil(total / size),
        next_cursor: last === undefined || rows.length < size ? null : `${last.created_at}_${last.call_id}`,
      }
    },
  })
}

/** @throws {TollgateError} 400. */
function readCursor(text: string): SpendCursor {
  const [at = '', callId = ''] = text.split('_')
  if (/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$/.test(at) && !Number.isNaN(Date.parse(at)) && isUuid(callId))
    return { at, callId }
  throw new TollgateError(400, 'invalid_request', '"cursor" must be the next_cursor of the page before.', {
    param: 'cursor',
  })
}

function viewOf(row: SpendRow): z.output<typeof log> {
  const details = row.details ?? {}
  const usage = (details.usage ?? {}) as { total_tokens?: number; prompt_tokens?: number; completion_tokens?: number }
  const duration = typeof details.duration_ms === 'number' ? details.duration_ms : null
  const ended = typeof details.finished_at === 'string' ? details.finished_at : row.created_at
  return {
    request_id: row.call_id,
    call_type: row.service_type,
    api_key: row.key_hash ?? '',
    spend: creditsAsDollars(row.credits),
    total_tokens: usage.total_tokens ?? 0,
    prompt_tokens: usage.prompt_tokens ?? 0,
    completion_tokens: usage.completion_tokens ?? 0,
    startTime: new Date(Date.parse(ended) - (duration ?? 0)).toISOString(),
    endTime: ended,
    request_duration_ms: duration,
    model: text(details.upstream_model) ?? row.model ?? '',
    model_id: text(details.deployment),
    model_group: row.model,
    custom_llm_provider: text(details.provider),
    user: row.user_id,
    end_user: text(details.customer),
    team_id: text(details.team),
    organization_id: row.org_id,
    request_tags: Array.isArray(details.tags) ? details.tags.map(String) : [],
    cache_hit: 'False',
    status: row.outcome === 'failed' ? 'failure' : 'success',
    metadata: { user_api_key_alias: row.key_alias, requester_request_id: row.request_id, outcome: row.outcome },
  }
}

function text(value: unknown): string | null {
  return typeof value === 'string' ? value : null
}
