/** The name a caller asked for becomes the deployments that can serve it. Pure: one Config in, one router out. */

import { providerOfBareName } from '../../providers/provider-name.ts'
import { findProvider, PROVIDERS } from '../../providers/registry.ts'
import type { Config, Deployment } from '../config/config.ts'
import { knownModels } from './known-models.ts'
import { compareSpecificity, fillPattern, matchPattern } from './pattern.ts'

/** One way to serve a call: a deployment, whose `upstreamModel` holds no star any more, and the group it was found in. */
export interface RoutedCandidate {
  group: string
  deployment: Deployment
}

export interface Route {
  /** The concrete name the deployments were found under: never a pattern, never an alias. */
  modelGroup: string
  /** All that can serve it, in the file's order; at least one. Those of other groups, which stand in for it, would follow. */
  candidates: readonly RoutedCandidate[]
}

export interface Router {
  /**
   * Matches in this order: alias, exact name, most specific wildcard; then a bare name again under its provider's prefix
   * (`gpt-4o` as `openai/gpt-4o`). Null when nothing serves the name.
   */
  route(model: string): Route | null
  /** The names for GET /v1/models: concrete ones and aliases, wildcards expanded where they can be called. Never a pattern. */
  listModels(canCall?: (deployment: Deployment) => boolean): string[]
}

/** No provider has longer names; longer ones are refused before the search. */
const LONGEST_NAME = 512

export function createRouter(config: Config): Router {
  const groups = Map.groupBy(config.deployments, ({ modelName }) => modelName)
  const patterns = [...groups.keys()].filter((name) => name.includes('*')).sort(compareSpecificity)
  const aliases = new Map(Object.entries(config.modelGroupAlias))

  const find = (name: string): Route | null => {
    const exact = groups.get(name)
    return exact === undefined ? findByPattern(name, patterns, groups) : routeTo(name, exact)
  }

  const route = (model: string): Route | null => {
    // A star asked for literally would go upstream as the model's name.
    if (model.length > LONGEST_NAME || model.includes('*')) return null
    const name = aliases.get(model) ?? model
    if (name.includes('*')) return null
    const found = find(name)
    if (found !== null || name.includes('/')) return found
    const provider = providerOfBareName(PROVIDERS, name)
    return provider === null ? null : find(`${provider}/${name}`)
  }

  const listModels = (canCall: (deployment: Deployment) => boolean = hasKey): string[] => {
    const names = new Set(config.deployments.flatMap((deployment) => expand(deployment, canCall)))
    for (const alias of aliases.keys()) if (route(alias) !== null) names.add(alias)
    return [...names]
  }

  return { route, listModels }
}

function routeTo(group: string, deployments: readonly Deployment[]): Route {
  return { modelGroup: group, candidates: deployments.map((deployment) => ({ group, deployment })) }
}

function findByPattern(
  name: string,
  patterns: readonly string[],
  groups: ReadonlyMap<string, readonly Deployment[]>,
): Route | null {
  for (const pattern of patterns) {
    const texts = matchPattern(pattern, name)
    if (texts === null) continue
    return routeTo(
      name,
      (groups.get(pattern) ?? []).map((deployment) => fill(deployment, texts)),
    )
  }
  return null
}

function fill(deployment: Deployment, texts: readonly string[]): Deployment {
  const filled = fillPattern(deployment.upstreamModel, texts)
  const upstreamModel = isPrefixed(deployment, filled) ? filled.slice(deployment.provider.length + 1) : filled
  return upstreamModel === deployment.upstreamModel ? deployment : { ...deployment, upstreamModel }
}

/**
 * `*` served by `openai/*` is asked for `openai/gpt-4o`, which OpenAI knows as `gpt-4o`. Routers do have such names
 * (`openrouter/auto`), and so may any server behind an api_base.
 */
function isPrefixed({ provider, apiBase }: Deployment, model: string): boolean {
  return apiBase === null && findProvider(provider)?.isRouter !== true && model.startsWith(`${provider}/`)
}

function hasKey({ apiKey, mockResponse }: Deployment): boolean {
  return apiKey !== null || mockResponse !== null
}

/** The names that a deployment can be asked for, as far as they can be known. */
function expand(deployment: Deployment, canCall: (deployment: Deployment) => boolean): string[] {
  const { modelName, provider, upstreamModel } = deployment
  if (!modelName.includes('*')) return [modelName]
  if (!canCall(deployment)) return []
  const starsOf = (pattern: string): number => pattern.split('*').length
  if (starsOf(modelName) !== starsOf(upstreamModel)) return []
  return knownModels(provider).flatMap((model) => {
    const texts = matchPattern(upstreamModel, model)
    return texts === null ? [] : [fillPattern(modelName, texts)]
  })
}
