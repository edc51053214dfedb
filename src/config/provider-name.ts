/** Which provider a `litellm_params.model` means, and which environment variables hold that provider's key. */

import type { ProviderName } from './config.ts'

interface ProviderFacts {
  /** In the order they are tried. */
  keyVariables: readonly string[]
  /** Model names without a prefix that can only be this provider's. */
  bareName: RegExp | null
  /** Hosts the provider's own key may be sent to without the operator saying so. */
  domain: string
}

export const PROVIDERS: Readonly<Record<ProviderName, ProviderFacts>> = {
  openai: {
    keyVariables: ['OPENAI_API_KEY'],
    bareName: /^(?:gpt-|chatgpt-|o[1-9](?:-|$)|davinci|babbage|ft:gpt)/,
    domain: 'openai.com',
  },
  anthropic: { keyVariables: ['ANTHROPIC_API_KEY'], bareName: /^claude-/, domain: 'anthropic.com' },
  gemini: { keyVariables: ['GEMINI_API_KEY', 'GOOGLE_API_KEY'], bareName: /^gemini-/, domain: 'googleapis.com' },
  groq: { keyVariables: ['GROQ_API_KEY'], bareName: null, domain: 'groq.com' },
  xai: { keyVariables: ['XAI_API_KEY'], bareName: /^grok-/, domain: 'x.ai' },
  huggingface: { keyVariables: ['HF_TOKEN', 'HUGGINGFACE_API_KEY'], bareName: null, domain: 'huggingface.co' },
  openrouter: { keyVariables: ['OPENROUTER_API_KEY'], bareName: null, domain: 'openrouter.ai' },
}

export const PROVIDER_NAMES = Object.keys(PROVIDERS) as readonly ProviderName[]

function isProviderName(name: string): name is ProviderName {
  return Object.hasOwn(PROVIDERS, name)
}

/** The provider whose models a name without prefix belongs to: `gpt-4o-mini` is openai's. Null when nobody can tell. */
export function providerOfBareName(model: string): ProviderName | null {
  return PROVIDER_NAMES.find((provider) => PROVIDERS[provider].bareName?.test(model)) ?? null
}

/** `groq/llama-3` -> groq and `llama-3`. Only the first segment is a prefix: `openrouter/openai/gpt-4o` keeps `openai/gpt-4o`. */
export function splitModel(model: string): { provider: ProviderName; upstreamModel: string } | null {
  const slash = model.indexOf('/')
  const prefix = slash < 0 ? '' : model.slice(0, slash)
  if (isProviderName(prefix)) {
    const upstreamModel = model.slice(slash + 1)
    return upstreamModel === '' ? null : { provider: prefix, upstreamModel }
  }
  const provider = slash < 0 ? providerOfBareName(model) : null
  return provider === null ? null : { provider, upstreamModel: model }
}
