/** The models the price data set knows of a provider, under the names that provider's API takes. Used to list wildcards. */

import { findProvider } from '@pydantic/genai-prices'
import { findProvider as findOwn } from '../../providers/registry.ts'
import type { ProviderName } from '../config/config.ts'

/** Hugging Face is a router: its models are listed by who serves them, and asked for as `<org>/<model>:<who>`. */
const HUGGINGFACE_SERVERS = [
  'cerebras',
  'fireworks-ai',
  'groq',
  'hyperbolic',
  'nebius',
  'novita',
  'nscale',
  'ovhcloud',
  'publicai',
  'sambanova',
  'together',
]

/** Rows that price a family (`ft:gpt-4o`, `gpt-4o-mini-2024-07-18.ft-`), not a model one can ask for. */
const FAMILY = /^ft:|[-.:]$/

/** In the data set's order; deprecated models are left out. */
export function knownModels(provider: ProviderName): string[] {
  if (provider !== 'huggingface')
    return modelsOf(findOwn(provider)?.listedAs('')?.provider ?? provider).filter((id) => isServed(provider, id))
  return HUGGINGFACE_SERVERS.flatMap((server) => modelsOf(`huggingface_${server}`).map((id) => `${id}:${server}`))
}

function modelsOf(providerId: string): string[] {
  const models = findProvider({ providerId })?.models ?? []
  return models.filter(({ id, deprecated }) => deprecated !== true && !FAMILY.test(id)).map(({ id }) => id)
}

/** The data set's `google` holds Vertex AI too, whose Claude models the Gemini API doesn't serve. */
function isServed(provider: ProviderName, id: string): boolean {
  return provider !== 'gemini' || /^gem(?:ini|ma)-/.test(id)
}
