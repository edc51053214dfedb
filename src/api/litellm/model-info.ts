/** The deployments a caller may call, with prices and limits; the groups they make; what a call would cost; the routes there are. */
import { z } from '@hono/zod-openapi'
import { NO_USAGE } from '../../../providers/usage.ts'
import { chooseKeys } from '../../call/choose-keys.ts'
import type { Config, Deployment } from '../../config/config.ts'
import { modeOf } from '../../config/mode-of.ts'
import { TollgateError } from '../../http/errors.ts'
import { type ExactNumber, exactNumber } from '../../http/exact-number.ts'
import type { Caller } from '../../identity/caller.ts'
import { aliasOf, mayCallModel, requireModel } from '../../identity/restrictions.ts'
import { charge } from '../../metering/charge.ts'
import { trimDecimal } from '../../metering/money.ts'
import { type PriceBook, ratesFor } from '../../metering/price.ts'
import type { Router } from '../../routing/route.ts'
import type { Vault } from '../../vault/vault.ts'
import { exactNumberOrNull, exactNumberSchema } from '../exact-number-schema.ts'
import { findPriceOf } from '../llm/model-view.ts'
import type { OpenApiDocument } from '../openapi.ts'
import { type Route, route } from '../route.ts'

export interface ModelInfoDependencies {
  config: Config
  router: Router
  vault: Pick<Vault, 'find'>
  prices: PriceBook
  now: () => Date
  document: () => OpenApiDocument
  /** Whether a deployment is spared at this moment, because its calls failed. */
  isAway: (id: string) => boolean
}

const info = z.object({
  id: z.string(),
  mode: z.string(),
  litellm_provider: z.string(),
  input_cost_per_token: exactNumberOrNull.openapi({ description: 'Dollars, as the provider charges them.' }),
  output_cost_per_token: exactNumberOrNull,
  cache_read_input_token_cost: exactNumberOrNull,
  max_tokens: z.number().nullable(),
  max_input_tokens: z.number().nullable(),
  max_output_tokens: z.number().nullable(),
})
const shown = z
  .object({ model_name: z.string(), litellm_params: z.object({ model: z.string() }), model_info: info })
  .openapi('ModelInfo')
const group = z
  .object({
    model_group: z.string(),
    providers: z.array(z.string()),
    mode: z.string(),
    input_cost_per_token: exactNumberOrNull,
    output_cost_per_token: exactNumberOrNull,
    max_input_tokens: z.number().nullable(),
    max_output_tokens: z.number().nullable(),
  })
  .openapi('ModelGroupInfo')

export function modelInfoRoutes(deps: ModelInfoDependencies): Route[] {
  return [
    infoRoute(deps, '/model/info'),
    infoRoute(deps, '/v1/model/info'),
    groupRoute(deps),
    estimateRoute(deps),
    calculateRoute(deps),
    routesRoute(deps),
    healthRoute(deps),
  ]
}

interface Named {
  name: string
  deployment: Deployment
}

/** Patterns stand for the models that are known to fit them. */
async function callable({ config, router, vault }: ModelInfoDependencies, caller: Caller): Promise<Named[]> {
  const keysFor = await chooseKeys(vault as Vault, caller, config.deployments)
  const canCall = (deployment: Deployment) => {
    try {
      return keysFor(deployment).length > 0
    } catch {
      return false
    }
  }
  return router
    .listModels(canCall)
    .filter((name) => mayCallModel(caller, name))
    .flatMap((name) => (router.route(name)?.candidates ?? []).map(({ deployment }) => ({ name, deployment })))
    .filter(({ deployment }) => canCall(deployment))
}

function viewOf(deps: ModelInfoDependencies, { name, deployment }: Named): z.output<typeof shown> {
  const price = findPriceOf(deps, deployment, deps.now())
  const rates = price === null ? null : ratesFor(price, 0)
  const output = deployment.maxOutputTokens
  return {
    model_name: name,
    litellm_params: { model: `${deployment.provider}/${deployment.upstreamModel}` },
    model_info: {
      id: deployment.id,
      mode: modeOf(deployment),
      litellm_provider: deployment.provider,
      input_cost_per_token: rates === null ? null : perToken(rates.input),
      output_cost_per_token: rates === null ? null : perToken(rates.output),
      cache_read_input_token_cost: rates === null ? null : perToken(rates.cacheRead),
      max_tokens: output,
      max_input_tokens: deployment.maxInputTokens ?? price?.contextWindow ?? null,
      max_output_tokens: output,
    },
  }
}

/** @param rate nano-dollars for a million tokens. */
function perToken(rate: bigint): ExactNumber {
  return exactNumber(trimDecimal(rate, 15))
}

function infoRoute(deps: ModelInfoDependencies, path: '/model/info' | '/v1/model/info'): Route {
  return route({
    method: 'get',
    path,
    may: 'llm:models',
    summary: 'The deployments you may call, with prices and limits',
    query: z.object({ litellm_model_id: z.string().optional().openapi({ description: 'The id of one deployment.' }) }),
    returns: z.object({ data: z.array(shown) }),
    errors: { 404: 'There is no such deployment among those you may call.' },
    async handle({ caller, query: { litellm_model_id: id } }) {
      const all = await callable(deps, caller)
      const found = id === undefined ? all : all.filter(({ deployment }) => deployment.id === id)
      if (id !== undefined && found.length === 0)
        throw new TollgateError(404, 'model_not_found', '"litellm_model_id" names no deployment that you may call.', {
          param: 'litellm_model_id',
        })
      return { data: found.map((one) => viewOf(deps, one)) }
    },
  })
}

function groupRoute(deps: ModelInfoDependencies): Route {
  return route({
    method: 'get',
    path: '/model_group/info',
    may: 'llm:models',
    summary: 'The model groups you may call',
    description: 'Prices and limits are those of the first deployment.',
    query: z.object({ model_group: z.string().optional() }),
    returns: z.object({ data: z.array(group) }),
    async handle({ caller, query: { model_group: only } }) {
      const groups = Map.groupBy(await callable(deps, caller), ({ name }) => name)
      const data = [...groups]
        .filter(([name]) => only === undefined || name === only)
        .map(([name, all]) => {
          const { model_info: first } = viewOf(deps, all[0]!)
          return {
            model_group: name,
            providers: [...new Set(all.map(({ deployment }) => deployment.provider))],
            mode: first.mode,
            input_cost_per_token: first.input_cost_per_token,
            output_cost_per_token: first.output_cost_per_token,
            max_input_tokens: first.max_input_tokens,
            max_output_tokens: first.max_output_tokens,
          }
        })
      return { data }
    },
  })
}

const tokens = z.int().min(0).max(1_000_000_000)

interface Counted {
  input: number
  cached: number
  output: number
}

/** What a call of so many tokens is charged on the first deployment, in dollars. @throws {TollgateError} 400, 403, 404. */
function costOf(deps: ModelInfoDependencies, caller: Caller, model: string, counted: Counted): ExactNumber {
  requireModel(caller, model)
  const deployment = deps.router.route(aliasOf(caller, model) ?? model)?.candidates[0]?.deployment
  if (deployment === undefined)
    throw new TollgateError(
      404,
      'model_not_found',
      '"model" names no model here. GET /v1/models lists what there is.',
      {
        param: 'model',
      },
    )
  const price = findPriceOf(deps, deployment, deps.now())
  if (price === null)
    throw new TollgateError(400, 'no_price', 'Nobody knows what this model costs, so it is not called either.', {
      param: 'model',
    })
  const { plans, powerLevels, allowBelowCost } = deps.config
  const { input, cached, output } = counted
  const { microcredits } = charge({
    usage: { ...NO_USAGE, input: Math.max(0, input - cached), cacheRead: Math.min(cached, input), output },
    price,
    markup: caller.isDefaultOrganization ? 0n : plans[caller.plan ?? 'platform'].markup,
    level: powerLevels.balanced,
    allowBelowCost,
  })
  return exactNumber(trimDecimal(microcredits, 9))
}

function estimateRoute(deps: ModelInfoDependencies): Route {
  return route({
    method: 'post',
    path: '/cost/estimate',
    may: 'llm:models',
    summary: 'What a call of so many tokens costs',
    description: 'In dollars, with the markup of the plan. POST /v1/quotes prices a request and fixes its rates.',
    body: z.object({ model: z.string().min(1), input_tokens: tokens, output_tokens: tokens.default(0) }),
    returns: z.object({
      model: z.string(),
      input_tokens: z.int(),
      output_tokens: z.int(),
      cost_per_request: exactNumberSchema,
    }),
    errors: { 404: 'There is no such model.' },
    async handle({ caller, body: { model, input_tokens: input, output_tokens: output } }) {
      const cost = costOf(deps, caller, model, { input, cached: 0, output })
      return { model, input_tokens: input, output_tokens: output, cost_per_request: cost }
    },
  })
}

const usage = z.object({
  prompt_tokens: tokens,
  completion_tokens: tokens.default(0),
  prompt_tokens_details: z.object({ cached_tokens: tokens.nullish() }).nullish(),
})

function calculateRoute(deps: ModelInfoDependencies): Route {
  return route({
    method: 'post',
    path: '/spend/calculate',
    may: 'llm:models',
    summary: 'What a response with this usage is charged',
    description: 'By the tokens it states. What a request may cost before it is made: POST /v1/quotes.',
    body: z.object({
      model: z.string().min(1).optional(),
      completion_response: z.object({ model: z.string().min(1).optional(), usage }),
    }),
    returns: z.object({ cost: exactNumberSchema }),
    errors: { 404: 'There is no such model.' },
    async handle({ caller, body: { model: named, completion_response: response } }) {
      const model = named ?? response.model
      if (model === undefined)
        throw new TollgateError(400, 'invalid_request', '"model" is missing. It must be the name of a model.', {
          param: 'model',
        })
      const { prompt_tokens: input, completion_tokens: output, prompt_tokens_details: details } = response.usage
      return { cost: costOf(deps, caller, model, { input, cached: details?.cached_tokens ?? 0, output }) }
    },
  })
}

const endpoint = z.object({ model: z.string(), model_id: z.string(), custom_llm_provider: z.string() })

function healthRoute({ config, isAway }: ModelInfoDependencies): Route {
  return route({
    method: 'get',
    path: '/health',
    may: 'system:read',
    summary: 'Which deployments serve, and which are spared because their calls failed',
    description: 'What earlier calls have shown: no provider is called to find out.',
    returns: z.object({
      healthy_endpoints: z.array(endpoint),
      unhealthy_endpoints: z.array(endpoint),
      healthy_count: z.int(),
      unhealthy_count: z.int(),
    }),
    async handle() {
      const shown = (away: boolean) =>
        config.deployments
          .filter(({ id }) => isAway(id) === away)
          .map(({ id, modelName, provider }) => ({ model: modelName, model_id: id, custom_llm_provider: provider }))
      const [healthy, unhealthy] = [shown(false), shown(true)]
      return {
        healthy_endpoints: healthy,
        unhealthy_endpoints: unhealthy,
        healthy_count: healthy.length,
        unhealthy_count: unhealthy.length,
      }
    },
  })
}

function routesRoute({ document }: ModelInfoDependencies): Route {
  return route({
    method: 'get',
    path: '/routes',
    may: 'llm:models',
    summary: 'The routes there are',
    description: '/openapi.json says what each takes and returns.',
    returns: z.object({ routes: z.array(z.object({ path: z.string(), methods: z.array(z.string()) })) }),
    async handle() {
      const paths = Object.entries(document().paths ?? {})
      return {
        routes: paths.map(([path, methods]) => ({
          path,
          methods: Object.keys(methods ?? {}).map((method) => method.toUpperCase()),
        })),
      }
    },
  })
}
