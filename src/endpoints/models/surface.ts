/** The models a caller can ask for, in OpenAI's form. */
import { z } from '@hono/zod-openapi'
import { type Route, route } from '../../api/route.ts'
import type { Surface } from '../../api/surface.ts'
import { findRoute } from '../../call/admit.ts'
import { chooseKeys } from '../../call/choose-keys.ts'
import type { Config, Deployment } from '../../config/config.ts'
import type { Caller } from '../../identity/caller.ts'
import { aliasOf, mayCallModel, requireModel } from '../../identity/restrictions.ts'
import type { Router } from '../../routing/route.ts'
import type { Vault } from '../../vault/vault.ts'
import { claudeModels, claudeModelsOf } from './claude-models.ts'
import {
  asksAsGemini,
  geminiModel,
  geminiModelOf,
  geminiModelRoutes,
  geminiModels,
  geminiModelsOf,
} from './gemini-models.ts'

export interface ModelDependencies {
  config: Pick<Config, 'deployments'>
  router: Router
  vault: Vault
}

const model = z
  .object({ id: z.string(), object: z.literal('model'), created: z.int(), owned_by: z.string() })
  .openapi('Model')

export function createModelsSurface(deps: ModelDependencies): Surface {
  return {
    name: 'Models',
    description: 'The models a caller can ask for.',
    invalidStatus: 400,
    routes: [
      listRoute(deps, '/v1/models'),
      listRoute(deps, '/models'),
      showRoute(deps),
      ...geminiModelRoutes({ ...deps, namesFor: (caller) => namesFor(deps, caller) }),
    ],
  }
}

function listRoute(deps: ModelDependencies, path: '/v1/models' | '/models'): Route {
  return route({
    method: 'get',
    path,
    may: 'llm:models',
    summary: path === '/v1/models' ? 'The models you can ask for' : 'The same as /v1/models',
    description:
      "In OpenAI's form, in Anthropic's where `anthropic-version` is sent, in Gemini's where `x-goog-api-key` is.",
    returns: z.union([z.object({ object: z.literal('list'), data: z.array(model) }), claudeModels, geminiModels]),
    async handle({ caller, headers }) {
      const names = await namesFor(deps, caller)
      if (headers['anthropic-version'] !== undefined) return claudeModelsOf(names)
      if (asksAsGemini(headers)) return geminiModelsOf(names, deps.config)
      return { object: 'list' as const, data: names.map(modelOf) }
    },
  })
}

function showRoute({ router, config }: ModelDependencies): Route {
  return route({
    method: 'get',
    // Names of models hold slashes: `openrouter/meta-llama/llama-3.3-70b`.
    path: '/v1/models/{model}',
    restOfPath: true,
    may: 'llm:models',
    summary: 'One model',
    params: z.object({ model: z.string() }),
    returns: z.union([model, geminiModel]),
    errors: { 404: 'There is no such model.' },
    handle({ caller, params, headers }) {
      requireModel(caller, params.model)
      findRoute(router, aliasOf(caller, params.model) ?? params.model)
      return asksAsGemini(headers) ? geminiModelOf(params.model, config) : modelOf(params.model)
    },
  })
}

async function namesFor(deps: ModelDependencies, caller: Caller): Promise<readonly string[]> {
  const all = deps.router.listModels(await callableBy(deps, caller))
  const served = new Set(all)
  const aliases = Object.entries(caller.aliases ?? {}).flatMap(([name, meant]) => (served.has(meant) ? [name] : []))
  return [...new Set([...all, ...aliases])].filter((name) => mayCallModel(caller, name))
}

/** True if the caller may call the deployment with some key. */
async function callableBy({ vault, config }: ModelDependencies, caller: Caller) {
  const keysFor = await chooseKeys(vault, caller, config.deployments)
  return (deployment: Deployment): boolean => {
    try {
      return keysFor(deployment).length > 0
    } catch {
      return false
    }
  }
}

function modelOf(id: string): z.output<typeof model> {
  return { id, object: 'model', created: 0, owned_by: 'tollgate' }
}
