/** The models a caller can ask for, in Gemini's form, all of them on one page. */
import type { IncomingHttpHeaders } from 'node:http'
import { z } from '@hono/zod-openapi'
import { type Route, route } from '../../api/route.ts'
import { findRoute } from '../../call/admit.ts'
import type { Config } from '../../config/config.ts'
import { modeOf } from '../../config/mode-of.ts'
import type { Caller } from '../../identity/caller.ts'
import { requireModel } from '../../identity/restrictions.ts'
import type { Router } from '../../routing/route.ts'
import { googleErrorSchema } from '../generate-content/google-error-schema.ts'

export const geminiModel = z
  .object({
    name: z.string(),
    baseModelId: z.string(),
    displayName: z.string(),
    supportedGenerationMethods: z.array(z.string()),
  })
  .openapi('GeminiModel')

export const geminiModels = z.object({ models: z.array(geminiModel) })

/** Gemini's newest clients ask under /v1, as others do; these headers tell them apart. */
export function asksAsGemini(headers: IncomingHttpHeaders): boolean {
  return headers['x-goog-api-key'] !== undefined || headers['x-goog-api-client'] !== undefined
}

export interface GeminiModelDependencies {
  config: Pick<Config, 'deployments'>
  router: Router
  namesFor(caller: Caller): Promise<readonly string[]>
}

export function geminiModelRoutes({ config, router, namesFor }: GeminiModelDependencies): readonly Route[] {
  return [
    route({
      method: 'get',
      path: '/v1beta/models',
      may: 'llm:models',
      summary: 'The models you can ask for, in Gemini’s form',
      query: z.looseObject({}),
      returns: geminiModels,
      errorSchema: googleErrorSchema,
      async handle({ caller }) {
        return geminiModelsOf(await namesFor(caller), config)
      },
    }),
    route({
      method: 'get',
      path: '/v1beta/models/{model}',
      restOfPath: true,
      may: 'llm:models',
      summary: 'One model, in Gemini’s form',
      params: z.object({ model: z.string() }),
      query: z.looseObject({}),
      returns: geminiModel,
      errorSchema: googleErrorSchema,
      errors: { 404: 'There is no such model.' },
      handle({ caller, params }) {
        requireModel(caller, params.model)
        findRoute(router, params.model)
        return geminiModelOf(params.model, config)
      },
    }),
  ]
}

type Deployments = Pick<Config, 'deployments'>

export function geminiModelsOf(names: readonly string[], config: Deployments): z.output<typeof geminiModels> {
  const modes = modesOf(config)
  return { models: names.map((name) => modelOf(name, modes.get(name))) }
}

export function geminiModelOf(name: string, config: Deployments): z.output<typeof geminiModel> {
  return modelOf(name, modesOf(config).get(name))
}

function modesOf({ deployments }: Deployments): ReadonlyMap<string, string> {
  return new Map(deployments.map((one) => [one.modelName, modeOf(one)]))
}

const METHODS: ReadonlyMap<string | undefined, readonly string[]> = new Map([
  ['embedding', ['embedContent', 'batchEmbedContents']],
  ['image_generation', ['predict']],
])

function modelOf(name: string, mode: string | undefined): z.output<typeof geminiModel> {
  const methods = [...(METHODS.get(mode) ?? ['generateContent', 'streamGenerateContent', 'countTokens'])]
  return { name: `models/${name}`, baseModelId: name, displayName: name, supportedGenerationMethods: methods }
}
