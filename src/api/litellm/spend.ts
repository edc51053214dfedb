/** What was spent, summed: by key, user, tag, team, model, provider, customer and day. */
import { z } from '@hono/zod-openapi'
import { sql } from 'kysely'
import { listVirtualKeys } from '../../billing/spenders/list-keys.ts'
import { listNamed } from '../../billing/spenders/named-rows.ts'
import type { Database } from '../../db/connect.ts'
import { creditsToMicro, trimDecimal } from '../../metering/money.ts'
import { type Dimension, type SpendSum, spendBy, totalSpend } from '../../reports/spend.ts'
import { exactNumberSchema } from '../exact-number-schema.ts'
import { numberInQuery } from '../number-in-query.ts'
import { type Route, route } from '../route.ts'
import { creditsAsDollars } from './amounts.ts'
import { keysView, viewsOfKeys } from './lists.ts'
import { PERIOD, recentOf } from './spend-queries.ts'
import { userView, viewOfUser } from './users.ts'

export interface SpendDependencies {
  reports: Database
  now: () => Date
}

const LIMIT = { limit: numberInQuery('limit', { min: 1, max: 1_000, default: 100 }) }
const total = z.object({ total_spend: exactNumberSchema, log_count: z.int(), total_tokens: z.number() })

export function spendRoutes(deps: SpendDependencies): Route[] {
  return [
    keysRoute(deps),
    usersRoute(deps),
    tagsRoute(deps, '/spend/tags'),
    tagsRoute(deps, '/global/spend/tags'),
    wholeRoute(deps),
    byRoute(deps, 'day', '/global/spend/logs', 'date'),
    byRoute(deps, 'key', '/global/spend/keys', 'api_key'),
    byRoute(deps, 'team', '/global/spend/teams', 'team_id'),
    byRoute(deps, 'model', '/global/spend/models', 'model'),
    byRoute(deps, 'provider', '/global/spend/provider', 'provider'),
    byRoute(deps, 'customer', '/global/spend/end_users', 'end_user'),
    activityRoute(deps),
  ]
}

function sumOf({ credits, calls, prompt_tokens, completion_tokens }: SpendSum) {
  return { total_spend: creditsAsDollars(credits), log_count: calls, total_tokens: prompt_tokens + completion_tokens }
}

function keysRoute({ reports }: SpendDependencies): Route {
  return route({
    method: 'get',
    path: '/spend/keys',
    may: 'usage:read_members',
    summary: 'Virtual keys with what each spent, the newest first',
    query: z.object(LIMIT),
    returns: keysView,
    async handle({ caller, query: { limit } }) {
      const any = { userId: null, team: null, organizationId: null, alias: null, hash: null }
      return viewsOfKeys((await listVirtualKeys(reports, caller, any, { limit, offset: 0 })).rows)
    },
  })
}

function usersRoute({ reports }: SpendDependencies): Route {
  return route({
    method: 'get',
    path: '/spend/users',
    may: 'usage:read_members',
    summary: 'Users with what each spent, the newest first',
    query: z.object({ ...LIMIT, user_id: z.string().min(1).optional() }),
    returns: z.array(userView),
    async handle({ caller, query: { limit, user_id: user } }) {
      const where = user === undefined ? sql`true` : sql`s.name = ${user}`
      return (await listNamed(reports, caller, 'user', where, { limit, offset: 0 })).map(viewOfUser)
    },
  })
}

function tagsRoute({ reports, now }: SpendDependencies, path: '/spend/tags' | '/global/spend/tags'): Route {
  return route({
    method: 'get',
    path,
    may: 'usage:read_members',
    summary: 'What was spent by tag',
    description: 'In the last thirty days unless dates are given. A call with several tags counts for each.',
    query: z.object(PERIOD),
    returns: z.array(total.extend({ individual_request_tag: z.string() })),
    async handle({ caller, query }) {
      const sums = await spendBy(reports, caller, 'tag', recentOf(query, now()))
      return sums.map((sum) => ({ individual_request_tag: sum.name ?? '', ...sumOf(sum) }))
    },
  })
}

function wholeRoute({ reports }: SpendDependencies): Route {
  return route({
    method: 'get',
    path: '/global/spend',
    may: 'usage:read_members',
    summary: 'What was spent ever',
    description: 'By the organization; by all of them for the operator.',
    returns: z.object({ spend: exactNumberSchema, max_budget: z.null() }),
    handle: async ({ caller }) => ({ spend: creditsAsDollars(await totalSpend(reports, caller)), max_budget: null }),
  })
}

function byRoute(
  { reports, now }: SpendDependencies,
  dimension: Dimension,
  path: `/global/${string}`,
  name: string,
): Route {
  return route({
    method: 'get',
    path,
    may: 'usage:read_members',
    summary: `What was spent by ${dimension}`,
    description: 'In the last thirty days unless dates are given.',
    query: z.object({ ...PERIOD, ...LIMIT }),
    returns: z
      .array(z.record(z.string(), z.unknown()))
      .openapi({ description: `\`${name}\`, total_spend, log_count, total_tokens.` }),
    async handle({ caller, query }) {
      const sums = await spendBy(reports, caller, dimension, recentOf(query, now()), query.limit)
      return sums.map((sum) => ({
        [name]: sum.name,
        ...(dimension === 'key' ? { key_alias: sum.alias } : {}),
        ...(dimension === 'day' ? { spend: creditsAsDollars(sum.credits) } : {}),
        ...sumOf(sum),
      }))
    },
  })
}

const metrics = z.object({
  spend: exactNumberSchema,
  prompt_tokens: z.number(),
  completion_tokens: z.number(),
  total_tokens: z.number(),
  cache_read_input_tokens: z.number(),
  api_requests: z.int(),
  successful_requests: z.int(),
  failed_requests: z.int(),
})

function metricsOf(sum: SpendSum): z.output<typeof metrics> {
  return {
    spend: creditsAsDollars(sum.credits),
    prompt_tokens: sum.prompt_tokens,
    completion_tokens: sum.completion_tokens,
    total_tokens: sum.prompt_tokens + sum.completion_tokens,
    cache_read_input_tokens: sum.cached_tokens,
    api_requests: sum.calls,
    successful_requests: sum.calls - sum.failed,
    failed_requests: sum.failed,
  }
}

const DAYS_MAX = 100

function activityRoute({ reports, now }: SpendDependencies): Route {
  const breakdown = z.record(z.string(), z.object({ metrics }))
  return route({
    method: 'get',
    path: '/user/daily/activity',
    may: 'usage:read_members',
    summary: 'What was spent day by day, by model, provider and key',
    description: `In the last thirty days unless dates are given; the first ${DAYS_MAX} days with calls, in UTC.`,
    query: z.object({ ...PERIOD, user_id: z.string().min(1).optional(), model: z.string().min(1).optional() }),
    returns: z.object({
      results: z.array(
        z.object({
          date: z.string(),
          metrics,
          breakdown: z.object({ models: breakdown, providers: breakdown, api_keys: breakdown }),
        }),
      ),
      metadata: z.object({ total_spend: exactNumberSchema, total_api_requests: z.int() }),
    }),
    async handle({ caller, query }) {
      const filter = { ...recentOf(query, now()), userId: query.user_id ?? null, model: query.model ?? null }
      const days = await spendBy(reports, caller, 'day', filter, DAYS_MAX)
      const results = []
      for (const sum of days) {
        const since = `${sum.name}T00:00:00Z`
        const until = new Date(Date.parse(since) + 86_400_000).toISOString()
        const within = { ...filter, since: later(filter.since, since), until: earlier(filter.until, until) }
        const by = async (dimension: Dimension) =>
          Object.fromEntries(
            (await spendBy(reports, caller, dimension, within)).map((one) => [
              one.name ?? '',
              { metrics: metricsOf(one) },
            ]),
          )
        const [models, providers, keys] = await Promise.all([by('model'), by('provider'), by('key')])
        results.push({
          date: sum.name ?? '',
          metrics: metricsOf(sum),
          breakdown: { models, providers, api_keys: keys },
        })
      }
      const whole = days.reduce((credits, { credits: more }) => credits + creditsToMicro(more), 0n)
      const requests = days.reduce((count, { calls }) => count + calls, 0)
      return {
        results,
        metadata: { total_spend: creditsAsDollars(trimDecimal(whole, 6)), total_api_requests: requests },
      }
    },
  })
}

function later(a: string | null, b: string): string {
  return a !== null && Date.parse(a) > Date.parse(b) ? a : b
}

function earlier(a: string | null, b: string): string {
  return a !== null && Date.parse(a) < Date.parse(b) ? a : b
}
