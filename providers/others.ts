/**
 * Providers that speak OpenAI's dialect and differ by facts alone: a row each. What a row says is what their public documentation and
 * clients show; no recording of theirs was played here, so what was not seen stays on the side that costs the operator nothing: an
 * aborted stream is taken as billed to its end, and a tokenizer as making more tokens than OpenAI's.
 */
import type { MaybeEmbeddingsProvider } from './embeddings.ts'
import { unknownMedia } from './media/media-size.ts'
import { openAiDialect, PLAIN_MODEL, typedTools } from './openai-dialect.ts'
import { openAiEmbeddings } from './openai-embeddings.ts'
import type { OpenAiFacts } from './openai-facts.ts'
import { openAiMediaTokens, openAiModel, serviceTierMultiplier } from './openai-models.ts'
import type { ChatProvider, ModelFacts } from './provider.ts'

interface Row extends Partial<OpenAiFacts> {
  label: string
  baseUrl: string
  /** The variable of its key. */
  variable: string
}

/** What is not known of a model is taken as what makes a call dearest. */
const UNKNOWN_MODEL: ModelFacts = { ...PLAIN_MODEL, tokensPercent: 110, hiddenInput: { always: 40, withTools: 200 } }

/** A server of the operator's own: it wants no key, and stops when nobody reads. */
const OWN_SERVER = { domain: 'localhost', billsAbandoned: false, isOwnServer: true } as const

/** `accounts/fireworks/models/llama-v3p1-8b-instruct`; the short name stands for it, and is the one in the list of prices. */
const FIREWORKS = 'accounts/fireworks/models/'

const ROWS: Readonly<Record<string, Row>> = {
  azure: {
    label: 'Azure OpenAI',
    baseUrl: 'https://your-resource.openai.azure.com',
    variable: 'AZURE_API_KEY',
    // A key belongs to one resource, so one that was not written for a deployment is sent to none.
    domain: 'localhost',
    alsoAt: ['azure.com'],
    baseVariable: 'AZURE_API_BASE',
    versionVariable: 'AZURE_API_VERSION',
    model: openAiModel,
    mediaTokens: openAiMediaTokens,
    capMember: (model) => (openAiModel(model).hiddenReasoning ? 'max_completion_tokens' : 'either'),
    tierMultiplier: serviceTierMultiplier,
    // What a deployment anywhere in the world costs is OpenAI's price; one in a region may cost more, and the operator writes that.
    priceList: 'openai',
    pathOf: azurePath,
    // A token of Entra ID is a JWT.
    keyHeader: (key) =>
      /^eyJ[\w-]+\.[\w-]+\.[\w-]+$/.test(key) ? { authorization: `Bearer ${key}` } : { 'api-key': key },
  },
  deepseek: { label: 'DeepSeek', baseUrl: 'https://api.deepseek.com/v1', variable: 'DEEPSEEK_API_KEY' },
  // It answers 422 to members that it does not know, the question for usage among them: that comes unasked.
  mistral: {
    label: 'Mistral',
    baseUrl: 'https://api.mistral.ai/v1',
    variable: 'MISTRAL_API_KEY',
    asksUsage: false,
    saysNothing: { store: false, logprobs: false },
  },
  together_ai: {
    label: 'Together AI',
    baseUrl: 'https://api.together.xyz/v1',
    variable: 'TOGETHERAI_API_KEY',
    keyVariables: ['TOGETHERAI_API_KEY', 'TOGETHER_AI_API_KEY', 'TOGETHER_API_KEY'],
    priceList: 'together',
  },
  fireworks_ai: {
    label: 'Fireworks AI',
    baseUrl: 'https://api.fireworks.ai/inference/v1',
    variable: 'FIREWORKS_AI_API_KEY',
    keyVariables: ['FIREWORKS_AI_API_KEY', 'FIREWORKS_API_KEY'],
    sentAs: (model) => (model.includes('/') ? model : `${FIREWORKS}${model}`),
    listedAs: (model) => ({ provider: 'fireworks', model: model.replace(FIREWORKS, '') }),
  },
  deepinfra: {
    label: 'DeepInfra',
    baseUrl: 'https://api.deepinfra.com/v1/openai',
    variable: 'DEEPINFRA_API_KEY',
    keyVariables: ['DEEPINFRA_API_KEY', 'DEEPINFRA_API_TOKEN'],
  },
  cerebras: {
    label: 'Cerebras',
    baseUrl: 'https://api.cerebras.ai/v1',
    variable: 'CEREBRAS_API_KEY',
    capMember: () => 'max_completion_tokens',
  },
  moonshot: {
    label: 'Moonshot',
    baseUrl: 'https://api.moonshot.ai/v1',
    variable: 'MOONSHOT_API_KEY',
    alsoAt: ['moonshot.cn'],
    priceList: 'moonshotai',
  },
  // Its API in OpenAI's dialect, which refuses the question for usage.
  cohere: {
    label: 'Cohere',
    baseUrl: 'https://api.cohere.ai/compatibility/v1',
    variable: 'COHERE_API_KEY',
    keyVariables: ['COHERE_API_KEY', 'CO_API_KEY'],
    alsoNamed: ['cohere_chat'],
    asksUsage: false,
  },
  dashscope: {
    label: 'DashScope',
    baseUrl: 'https://dashscope-intl.aliyuncs.com/compatible-mode/v1',
    variable: 'DASHSCOPE_API_KEY',
    domain: 'aliyuncs.com',
  },
  nvidia_nim: { label: 'NVIDIA NIM', baseUrl: 'https://integrate.api.nvidia.com/v1', variable: 'NVIDIA_NIM_API_KEY' },
  sambanova: { label: 'SambaNova', baseUrl: 'https://api.sambanova.ai/v1', variable: 'SAMBANOVA_API_KEY' },
  zai: { label: 'Z.AI', baseUrl: 'https://api.z.ai/api/paas/v4', variable: 'ZAI_API_KEY' },
  novita: { label: 'Novita', baseUrl: 'https://api.novita.ai/openai/v1', variable: 'NOVITA_API_KEY' },
  friendliai: {
    label: 'Friendli',
    baseUrl: 'https://api.friendli.ai/serverless/v1',
    variable: 'FRIENDLIAI_API_KEY',
    keyVariables: ['FRIENDLIAI_API_KEY', 'FRIENDLI_TOKEN'],
  },
  volcengine: {
    label: 'Volcengine',
    baseUrl: 'https://ark.cn-beijing.volces.com/api/v3',
    variable: 'VOLCENGINE_API_KEY',
  },
  meta_llama: { label: 'Llama API', baseUrl: 'https://api.llama.com/compat/v1', variable: 'LLAMA_API_KEY' },
  ollama: {
    ...OWN_SERVER,
    label: 'Ollama',
    baseUrl: 'http://localhost:11434/v1',
    variable: 'OLLAMA_API_KEY',
    baseVariable: 'OLLAMA_API_BASE',
    alsoNamed: ['ollama_chat'],
    pathOf: (base, path) => (base.endsWith('/v1') ? `${base}${path}` : `${base}/v1${path}`),
  },
  lm_studio: {
    ...OWN_SERVER,
    label: 'LM Studio',
    baseUrl: 'http://localhost:1234/v1',
    variable: 'LM_STUDIO_API_KEY',
    baseVariable: 'LM_STUDIO_API_BASE',
  },
  hosted_vllm: {
    ...OWN_SERVER,
    label: 'vLLM',
    baseUrl: 'http://localhost:8000/v1',
    variable: 'HOSTED_VLLM_API_KEY',
    baseVariable: 'HOSTED_VLLM_API_BASE',
    alsoNamed: ['vllm'],
  },
  openai_like: {
    ...OWN_SERVER,
    label: 'OpenAI-compatible server',
    baseUrl: 'http://localhost:8000/v1',
    variable: 'OPENAI_LIKE_API_KEY',
    baseVariable: 'OPENAI_LIKE_API_BASE',
    alsoNamed: ['custom_openai'],
  },
}

/** The deployment in the path and the version behind it; without a version, the API that needs neither. */
function azurePath(base: string, path: string, { search, model }: { search: string; model: string }): string {
  if (base.includes('/openai/')) return `${base}${path}`
  return search === '' ? `${base}/openai/v1${path}` : `${base}/openai/deployments/${encodeURIComponent(model)}${path}`
}

export type OtherProvider = ChatProvider & MaybeEmbeddingsProvider

export const OTHERS: Readonly<Record<string, OtherProvider>> = Object.fromEntries(
  Object.entries(ROWS).map(([name, row]) => [name, providerOf(name, row)]),
)

function providerOf(name: string, { variable, ...row }: Row): OtherProvider {
  const facts: OpenAiFacts = {
    keyVariables: [variable],
    domain: domainOf(row.baseUrl),
    billsAbandoned: true,
    model: () => UNKNOWN_MODEL,
    mediaTokens: () => unknownMedia,
    capMember: () => 'max_tokens',
    serverTools: typedTools,
    ...row,
    name,
  }
  return { ...openAiDialect(facts), embeddings: openAiEmbeddings(facts) }
}

/** `api.acme.example` belongs to `acme.example`. */
function domainOf(baseUrl: string): string {
  return new URL(baseUrl).hostname.split('.').slice(-2).join('.')
}
