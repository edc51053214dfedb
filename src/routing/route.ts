/** The name a caller asked for becomes the deployments that can serve it. Pure: one Config in, one router out. */

import { providerOfBareName } from '../../providers/provider-name.ts'
import { findProvider, PROVIDERS } from '../../providers/registry.ts'
import type { Config, Deployment } from '../config/config.ts'
import { createDetours } from './detours.ts'
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
  /** All that can serve it, in the file's order; at least one. */
  candidates: readonly RoutedCandidate[]
}

export interface Router {
  /**
   * Matches in this order: alias, exact name, most specific wildcard; then a bare name again under its provider's prefix
   * (`gpt-4o` as `openai/gpt-4o`). Null when nothing serves the name.
   */
  route(model: string): Route | null
  /** The same for what stands in for a group, which may be named by the id of one deployment too. */
  standIn(name: string): Route | null
  /** Why a group of the file has nothing that can be served here; null for every other name. */
  whyNot(model: string): string | null
  /** The names for GET /v1/models: concrete ones and aliases, wildcards expanded where they can be called. Never a pattern. */
  listModels(canCall?: (deployment: Deployment) => boolean): string[]
}

/** No provider has longer names; longer ones are refused before the search. */
const LONGEST_NAME = 512

export function createRouter(config: Config): Router {
  const groups: Map<string, readonly Deployment[]> = Map.groupBy(config.deployments, ({ modelName }) => modelName)
  const leftOut = Map.groupBy(config.leftOut, ({ modelName }) => modelName)
  // One that has nothing left keeps its name: no wildcard that is less specific takes its calls.
  for (const name of leftOut.keys()) if (!groups.has(name)) groups.set(name, [])
  const patterns = [...groups.keys()].filter((name) => name.includes('*')).sort(compareSpecificity)
  const aliases = new Map(Object.entries(config.modelGroupAlias))

  const find = (name: string): Found | null => {
    const exact = groups.get(name)
    return exact === undefined ? findByPattern(name, patterns, groups) : { written: name, route: routeTo(name, exact) }
  }

  const search = (model: string): Found | null => {
    // A star asked for literally would go upstream as the model's name.
    if (model.length > LONGEST_NAME || model.includes('*')) return null
    const name = aliases.get(model) ?? model
    if (name.includes('*')) return null
    const found = find(name)
    if (found !== null || name.includes('/')) return found
    const provider = providerOfBareName(PROVIDERS, name)
    return provider === null ? null : find(`${provider}/${name}`)
  }

  const route = (model: string): Route | null => {
    const found = search(model)
    return found === null || found.route.candidates.length > 0 ? (found?.route ?? null) : instead(found.written)
  }

  /** What a group that has nothing left would fall back to if it failed. */
  const instead = (group: string): Route | null => {
    const { fallbacks, maxFallbacks } = config.routing
    const detours = createDetours(fallbacks, group, maxFallbacks)
    for (let name = detours.next('failed'); name !== null; name = detours.next('failed')) {
      const found = search(name)?.route
      if (found !== undefined && found.candidates.length > 0) return found
    }
    return null
  }

  const whyNot = (model: string): string | null => {
    const found = search(model)
    if (found === null || route(model) !== null) return null
    return [...new Set(leftOut.get(found.written)?.map(({ why }) => why))].join('; ')
  }

  const listModels = (canCall: (deployment: Deployment) => boolean = hasKey): string[] => {
    const names = new Set(config.deployments.flatMap((deployment) => expand(deployment, canCall)))
    for (const alias of aliases.keys())
      if (!config.hiddenAliases.includes(alias) && route(alias) !== null) names.add(alias)
    return [...names]
  }

  const standIn = (name: string): Route | null => {
    const found = route(name)
    if (found !== null) return found
    const deployment = config.deployments.find(({ id, modelName }) => id === name && !modelName.includes('*'))
    return deployment === undefined ? null : routeTo(deployment.modelName, [deployment])
  }

  return { route, whyNot, standIn, listModels }
}

interface Found {
  /** The name of the group in the file. */
  written: string
  route: Route
}

function routeTo(group: string, deployments: readonly Deployment[]): Route {
  return { modelGroup: group, candidates: deployments.map((deployment) => ({ group, deployment })) }
}

function findByPattern(
  name: string,
  patterns: readonly string[],
  groups: ReadonlyMap<string, readonly Deployment[]>,
): Found | null {
  for (const pattern of patterns) {
    const texts = matchPattern(pattern, name)
    if (texts === null) continue
    const deployments = (groups.get(pattern) ?? []).map((deployment) => fill(deployment, texts))
    return { written: pattern, route: routeTo(name, deployments) }
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
