/** Which provider a `litellm_params.model` means. */
import type { CloudFacts } from './cloud.ts'

/** The prefix of a model in config.yaml: `openai`, `groq` ... The providers this version knows are in the registry. */
export type ProviderName = string

/** What reading a configuration has to know of a provider; the providers themselves say it. */
export interface ProviderFacts {
  /** Environment variables that hold the operator's key, in the order they are tried. */
  keyVariables: readonly string[]
  /** Model names without a prefix that can only be this provider's. */
  bareName: RegExp | null
  /** Other prefixes that mean it. @default none */
  alsoNamed?: readonly string[]
  /** Hosts the provider's own key may be sent to without the operator saying so. */
  domain: string
  /** The environment variable that says where it stands, for one that stands where its operator put it; left out elsewhere. */
  baseVariable?: string
  /** The environment variable of the version of its API, for one that wants a version in every request. */
  versionVariable?: string
  /** It is the operator's own server, which wants no key. */
  isOwnServer?: boolean
  /** Its usual place, for such a server. */
  baseUrl?: string
  /** It is a cloud: an address is made of a region, and a credential has several parts. */
  cloud?: CloudFacts
}

export type KnownProviders = Readonly<Record<ProviderName, ProviderFacts>>

/** The provider whose models a name without prefix belongs to: `gpt-4o-mini` is openai's. Null when nobody can tell. */
export function providerOfBareName(known: KnownProviders, model: string): ProviderName | null {
  return Object.keys(known).find((provider) => known[provider]?.bareName?.test(model)) ?? null
}

/** `groq/llama-3` -> groq and `llama-3`. Only the first segment is a prefix: `openrouter/openai/gpt-4o` keeps `openai/gpt-4o`. */
export function splitModel(
  known: KnownProviders,
  model: string,
): { provider: ProviderName; upstreamModel: string } | null {
  const slash = model.indexOf('/')
  const prefix = slash < 0 ? '' : model.slice(0, slash)
  const named = providerNamed(known, prefix)
  if (named !== null) {
    const upstreamModel = model.slice(slash + 1)
    return upstreamModel === '' ? null : { provider: named, upstreamModel }
  }
  const provider = slash < 0 ? providerOfBareName(known, model) : null
  return provider === null ? null : { provider, upstreamModel: model }
}

/** The provider that a prefix means. */
export function providerNamed(known: KnownProviders, prefix: string): ProviderName | null {
  if (Object.hasOwn(known, prefix)) return prefix
  return Object.keys(known).find((name) => known[name]?.alsoNamed?.includes(prefix)) ?? null
}
