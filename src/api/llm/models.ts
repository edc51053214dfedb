/** The models a caller may call, with their prices: as a list, by provider, and in a short form. */
import { z } from '@hono/zod-openapi'
import { chooseKeys } from '../../call/choose-keys.ts'
import type { Deployment } from '../../config/config.ts'
import { exactNumber } from '../../http/exact-number.ts'
import type { Caller } from '../../identity/caller.ts'
import { exactNumberOrNull } from '../exact-number-schema.ts'
import { numberInQuery } from '../number-in-query.ts'
import { openRoute, type Route, route } from '../route.ts'
import type { LlmDependencies } from './dependencies.ts'
import { dollarsPerMillion, type ListedModelView, viewModels } from './model-view.ts'
import { tierOf } from './tier.ts'

const base = '/api/v1/llm/models'
const price = z.object({ input: exactNumberOrNull, output: exactNumberOrNull })

const model = z
  .object({
    id: z.string(),
    object: z.literal('model'),
    created: z.number(),
    owned_by: z.string(),
    tier: z.string(),
    name: z.string(),
    display_name: z.string(),
    provider: z.string(),
    provider_id: z.string(),
    pricing: price.openapi({ description: 'Dollars per million tokens, as the provider charges them.' }),
    context_length: z.number().nullable(),
    enabled: z.boolean(),
  })
  .openapi('LlmModel')

const platformModel = z.object({
  id: z.string(),
  name: z.string(),
  context_length: z.number().nullable(),
  cost_per_1m_input: exactNumberOrNull,
  cost_per_1m_output: exactNumberOrNull,
  tier_pricing: z.object({
    input: exactNumberOrNull,
    output: exactNumberOrNull,
    markup_percentage: z.number(),
  }),
  power_level: z.string(),
})

const provider = z.object({
  provider: z.string(),
  provider_type: z.string(),
  models: z.array(platformModel),
  count: z.number(),
  tier_markup: z.number(),
  note: z.string(),
  source: z.string(),
})

export function modelRoutes(deps: LlmDependencies): Route[] {
  return [listRoute(deps), categorizedRoute(deps), curatedRoute(deps)]
}

function listRoute(deps: LlmDependencies): Route {
  return route({
    method: 'get',
    path: base,
    may: 'llm:models',
    summary: 'The models you may call, with their prices',
    query: z.object({
      search: z.string().max(200).optional(),
      provider_id: z.string().max(100).optional(),
      limit: numberInQuery('limit', { min: 1, max: 10_000, default: 10_000 }),
      offset: numberInQuery('offset', { min: 0, max: 1_000_000, default: 0 }),
    }),
    returns: z.object({ object: z.literal('list'), data: z.array(model) }),
    async handle({ caller, query: { search = '', provider_id, limit, offset } }) {
      const { all } = await modelsOf(deps, caller)
      const found = all.filter(
        ({ id, deployment }) =>
          id.toLowerCase().includes(search.toLowerCase()) &&
          (provider_id === undefined || deployment.provider === provider_id),
      )
      const tier = tierOf(caller)
      return { object: 'list' as const, data: found.slice(offset, offset + limit).map((one) => showModel(one, tier)) }
    },
  })
}

function categorizedRoute(deps: LlmDependencies): Route {
  return route({
    method: 'get',
    path: `${base}/categorized`,
    may: 'llm:models',
    summary: 'The models you may call, by provider and by whose key pays',
    returns: z.object({
      byok_models: z.array(provider),
      platform_models: z.array(provider),
      summary: z.object({
        total_models: z.number(),
        byok_count: z.number(),
        platform_count: z.number(),
        has_byok_keys: z.boolean(),
        byok_providers: z.array(z.string()),
      }),
    }),
    async handle({ caller }) {
      const { all, isByok } = await modelsOf(deps, caller)
      const own = all.filter(({ deployment }) => isByok(deployment))
      const ours = all.filter(({ deployment }) => !isByok(deployment))
      const markup = deps.config.plans[caller.plan ?? 'platform'].markup
      const byokProviders = [...new Set(own.map(({ deployment }) => deployment.provider))]
      return {
        byok_models: byProvider(own, 0n, 'Your own key pays the provider; no credits are used.'),
        platform_models: byProvider(ours, caller.isDefaultOrganization ? 0n : markup, 'Paid with credits.'),
        summary: {
          total_models: all.length,
          byok_count: own.length,
          platform_count: ours.length,
          has_byok_keys: byokProviders.length > 0,
          byok_providers: byokProviders,
        },
      }
    },
  })
}

/** Public: it lists the names in the configuration, not who may call them. */
function curatedRoute({ router, config, prices, now }: LlmDependencies): Route {
  return openRoute({
    method: 'get',
    path: `${base}/curated`,
    summary: 'The models of this installation, for a list in an application',
    query: z.object({ app: z.string().max(100).optional() }),
    returns: z.object({
      object: z.literal('list'),
      data: z.array(model),
      by_category: z.record(z.string(), z.array(z.string())),
      app: z.string().nullable(),
      source: z.string(),
      summary: z.object({ total: z.number(), categories: z.number() }),
    }),
    async handle({ query: { app = null } }) {
      const all = viewModels({ router, config, prices }, router.listModels(), now())
      const groups = Map.groupBy(all, ({ deployment }) => deployment.provider)
      return {
        object: 'list' as const,
        data: all.map((one) => showModel(one, 'all')),
        by_category: Object.fromEntries([...groups].map(([name, models]) => [name, models.map(({ id }) => id)])),
        app,
        source: 'config',
        summary: { total: all.length, categories: groups.size },
      }
    },
  })
}

interface CallersModels {
  all: ListedModelView[]
  isByok(deployment: Deployment): boolean
}

async function modelsOf(deps: LlmDependencies, caller: Caller): Promise<CallersModels> {
  const keysFor = await chooseKeys(deps.vault, caller, deps.config.deployments)
  const firstKey = (deployment: Deployment) => {
    try {
      return keysFor(deployment)[0] ?? null
    } catch {
      return null
    }
  }
  const names = deps.router.listModels((deployment) => firstKey(deployment) !== null)
  return {
    all: viewModels(deps, names, deps.now()),
    isByok(deployment) {
      const key = firstKey(deployment)
      return key?.payer.accountOf === 'caller'
    },
  }
}

function showModel({ id, deployment, price: found }: ListedModelView, tier: string): z.output<typeof model> {
  return {
    id,
    object: 'model',
    created: 0,
    owned_by: deployment.provider,
    tier,
    name: id,
    display_name: id,
    provider: deployment.provider,
    provider_id: deployment.provider,
    pricing: {
      input: found === null ? null : exactNumber(dollarsPerMillion(found.input)),
      output: found === null ? null : exactNumber(dollarsPerMillion(found.output)),
    },
    context_length: found?.contextLength ?? null,
    enabled: true,
  }
}

function byProvider(models: readonly ListedModelView[], markup: bigint, note: string): z.output<typeof provider>[] {
  const percent = Number(markup) / 10_000
  return [...Map.groupBy(models, ({ deployment }) => deployment.provider)].map(([name, listed]) => ({
    provider: name,
    provider_type: name,
    models: listed.map(({ id, price: found }) => ({
      id,
      name: id,
      context_length: found?.contextLength ?? null,
      cost_per_1m_input: found === null ? null : exactNumber(dollarsPerMillion(found.input)),
      cost_per_1m_output: found === null ? null : exactNumber(dollarsPerMillion(found.output)),
      tier_pricing: {
        input: found === null ? null : exactNumber(dollarsPerMillion(found.input, markup)),
        output: found === null ? null : exactNumber(dollarsPerMillion(found.output, markup)),
        markup_percentage: percent,
      },
      power_level: 'balanced',
    })),
    count: listed.length,
    tier_markup: percent,
    note,
    source: 'config',
  }))
}
