/** The models the price data set knows of a provider, under the names that provider's API takes. Used to list wildcards. */

import { findProvider as findListed } from '@pydantic/genai-prices'
import type { ModelList } from '../../providers/provider.ts'
import { findProvider } from '../../providers/registry.ts'
import type { ProviderName } from '../config/config.ts'

/** Rows that price a family (`ft:gpt-4o`, `gpt-4o-mini-2024-07-18.ft-`), not a model one can ask for. */
const FAMILY = /^ft:|[-.:]$/

/** In the data set's order; deprecated models are left out. */
export function knownModels(name: ProviderName): string[] {
  const provider = findProvider(name)
  const lists = provider?.modelLists ?? [{ provider: provider?.listedAs('')?.provider ?? name }]
  return lists.flatMap(modelsIn)
}

function modelsIn({ provider: providerId, only, suffix = '' }: ModelList): string[] {
  const models = findListed({ providerId })?.models ?? []
  return models
    .filter(({ id, deprecated }) => deprecated !== true && !FAMILY.test(id) && only?.test(id) !== false)
    .map(({ id }) => `${id}${suffix}`)
}
