/** The models a caller can ask for, in OpenAI's form. */
import { z } from '@hono/zod-openapi'
import { type Route, route } from '../../api/route.ts'
import type { Surface } from '../../api/surface.ts'
import { findRoute } from '../../call/admit.ts'
import { chooseKeys } from '../../call/choose-keys.ts'
import type { Config, Deployment } from '../../config/config.ts'
import type { Caller } from '../../identity/caller.ts'
import { mayCallModel, requireModel } from '../../identity/restrictions.ts'
import type { Router } from '../../routing/route.ts'
import type { Vault } from '../../vault/vault.ts'
import { claudeModels, claudeModelsOf } from './claude-models.ts'

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
    routes: [listRoute(deps, '/v1/models'), listRoute(deps, '/models'), showRoute(deps)],
  }
}

function listRoute(deps: ModelDependencies, path: '/v1/models' | '/models'): Route {
  return route({
    method: 'get',
    path,
    may: 'llm:models',
    summary: path === '/v1/models' ? 'The models you can ask for' : 'The same as /v1/models',
    description: "In OpenAI's form, or in Anthropic's where `anthropic-version` is sent.",
    returns: z.union([z.object({ object: z.literal('list'), data: z.array(model) }), claudeModels]),
    async handle({ caller, headers }) {
      const names = deps.router.listModels(await callableBy(deps, caller)).filter((name) => mayCallModel(caller, name))
      if (headers['anthropic-version'] !== undefined) return claudeModelsOf(names)
      return { object: 'list' as const, data: names.map(modelOf) }
    },
  })
}

function showRoute({ router }: ModelDependencies): Route {
  return route({
    method: 'get',
    // Names of models hold slashes: `openrouter/meta-llama/llama-3.3-70b`.
    path: '/v1/models/{model}',
    restOfPath: true,
    may: 'llm:models',
    summary: 'One model',
    params: z.object({ model: z.string() }),
    returns: model,
    errors: { 404: 'There is no such model.' },
    handle({ caller, params }) {
      requireModel(caller, params.model)
      findRoute(router, params.model)
      return modelOf(params.model)
    },
  })
}

/** Whether a deployment has a key that the caller may call it with. */
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
