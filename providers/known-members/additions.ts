/**
 * Members that servers of OpenAI's dialect take beyond OpenAI's own, kept by hand with their source. What may change a price is
 * missing on purpose: models and credentials of compound systems, presets of the operator's account, documents, image sizes, thinking
 * that a cap does not bound. An operator who wants one writes `allowed_openai_params`, and it is metered as what nobody knows.
 */
import { CHAT_MEMBERS } from './chat-members.ts'
import { COMPLETION_MEMBERS } from './completion-members.ts'
import { EMBEDDING_MEMBERS } from './embedding-members.ts'
import { GENERATE_MEMBERS } from './generate-members.ts'
import { MESSAGE_MEMBERS } from './message-members.ts'
import { RESPONSE_MEMBERS } from './response-members.ts'
import { type Shape, shapeOf } from './shape.ts'

/** Ours or Ops-Center's: read here, never sent. */
export const NEVER_SENT: readonly string[] = ['power_level', 'task_type', 'privacy_required']

/**
 * Of conversations that clients send back as they got them, whoever answered before: reasoning (DeepSeek, xAI, Groq, OpenRouter),
 * Claude's thoughts as LiteLLM writes them, Gemini's signatures, what OpenAI's own client adds to parsed responses, the index of a
 * streamed call. The estimate counts all of a message, so nothing here comes in unpriced. Cache hints are Anthropic's, by LiteLLM.
 */
const CONVERSATION: readonly string[] = [
  'messages[].annotations.*',
  'messages[].audio.data',
  'messages[].audio.expires_at',
  'messages[].audio.transcript',
  'messages[].cache_control.*',
  'messages[].channel',
  'messages[].citations.*',
  'messages[].content[].annotations.*',
  'messages[].content[].audio_url.url',
  'messages[].content[].cache_control.*',
  'messages[].content[].citations.*',
  'messages[].content[].file.format',
  'messages[].content[].image_url.format',
  'messages[].content[].video_url.url',
  'messages[].executed_tools.*',
  'messages[].extra_content.*',
  'messages[].images.*',
  'messages[].parsed.*',
  'messages[].provider_specific_fields.*',
  'messages[].reasoning.*',
  'messages[].reasoning_content',
  'messages[].reasoning_details.*',
  'messages[].thinking_blocks.*',
  'messages[].tool_calls[].cache_control.*',
  'messages[].tool_calls[].extra_content.*',
  'messages[].tool_calls[].function.parsed_arguments.*',
  'messages[].tool_calls[].index',
  'messages[].tool_calls[].provider_specific_fields.*',
  'tools[].cache_control.*',
  'tools[].function.cache_control.*',
]

/** https://console.groq.com/docs/api-reference, without `compound_custom` and `documents`; tools of its own by their type. */
const GROQ: readonly string[] = [
  'citation_options',
  'disable_tool_validation',
  'exclude_domains',
  'include_domains',
  'include_reasoning',
  'reasoning_format',
  'search_settings.country',
  'search_settings.exclude_domains',
  'search_settings.include_domains',
  'search_settings.include_images',
]

/** https://docs.x.ai/docs/api-reference; `deferred` is taken only to say no (xai.ts). */
const XAI: readonly string[] = ['deferred', 'search_parameters.*', 'tools[].sources.*']

/** https://openrouter.ai/docs/api/api-reference/chat, without `preset`, `image_config` and a search's own prompt. */
const OPENROUTER: readonly string[] = [
  'cache_control.*',
  'include_reasoning',
  'min_p',
  'models',
  'plugins[].allowed_models',
  'plugins[].enabled',
  'plugins[].engine',
  'plugins[].exclude_domains',
  'plugins[].id',
  'plugins[].include_domains',
  'plugins[].max_results',
  'plugins[].pdf.engine',
  'provider.allow_fallbacks',
  'provider.data_collection',
  'provider.enforce_distillable_text',
  'provider.ignore',
  'provider.max_price.audio',
  'provider.max_price.completion',
  'provider.max_price.image',
  'provider.max_price.prompt',
  'provider.max_price.request',
  'provider.only',
  'provider.order',
  'provider.preferred_max_latency.*',
  'provider.preferred_min_throughput.*',
  'provider.quantizations',
  'provider.require_parameters',
  'provider.sort.by',
  'provider.sort.partition',
  'provider.zdr',
  'reasoning.effort',
  'reasoning.enabled',
  'reasoning.exclude',
  'reasoning.max_tokens',
  'reasoning.summary',
  'repetition_penalty',
  'route',
  'session_id',
  'structured_outputs',
  'tools[].parameters.*',
  'top_a',
  'top_k',
  'trace.*',
  'transforms',
  'usage.include',
]

/** https://huggingface.co/docs/inference-providers/tasks/chat-completion; what its old client sent; sampling its servers share. */
const HUGGINGFACE: readonly string[] = [
  'min_p',
  'options.chatCompletion',
  'options.use_cache',
  'options.wait_for_model',
  'repetition_penalty',
  'return_full_text',
  'top_k',
]

/** https://ai.google.dev/gemini-api/docs/openai. `extra_body` really stands in the request there; refusals.ts bounds what it holds. */
const GEMINI: readonly string[] = [
  'extra_body.google.safety_settings.*',
  'extra_body.google.thinking_config.*',
  'safety_settings.*',
  'top_k',
]

/** Whatever listens behind an `api_base` (vLLM, llama.cpp, Mistral, DeepSeek): ways of sampling, and of saying `reasoning_effort`. */
const OTHER_SERVERS: readonly string[] = [
  'messages[].partial',
  'messages[].prefix',
  'min_p',
  'random_seed',
  'reasoning.effort',
  'repetition_penalty',
  'safe_prompt',
  'skip_special_tokens',
  'stop_token_ids',
  'top_a',
  'top_k',
  'typical_p',
]

const BY_PROVIDER: Readonly<Record<string, readonly string[]>> = {
  gemini: GEMINI,
  groq: GROQ,
  huggingface: HUGGINGFACE,
  openrouter: OPENROUTER,
  xai: XAI,
}

/** What every server takes. */
export const KNOWN: Shape = shapeOf(CHAT_MEMBERS)
/** All there are, wherever they are taken: what a name must not look like. */
export const KNOWN_ANYWHERE: Shape = shapeOf([
  ...[...CHAT_MEMBERS, ...NEVER_SENT, ...CONVERSATION, ...OTHER_SERVERS],
  ...Object.values(BY_PROVIDER).flat(),
])

/** What a provider takes beyond OpenAI's members; `foreign` behind an `api_base` that is not its own host. */
export function additionsOf(provider: string): { own: Shape; foreign: Shape } {
  const own = [...NEVER_SENT, ...CONVERSATION, ...(BY_PROVIDER[provider] ?? [])]
  return { own: shapeOf(own), foreign: shapeOf([...own, ...OTHER_SERVERS]) }
}

/** Of message requests, what the newest client no longer declares and older models take. */
const OLDER_MESSAGE_MEMBERS: readonly string[] = ['temperature', 'top_k', 'top_p']

/** What Anthropic takes of a message request, and what is ours in it. */
export const KNOWN_MESSAGE: Shape = shapeOf([...MESSAGE_MEMBERS, ...OLDER_MESSAGE_MEMBERS, ...NEVER_SENT])

/** Beside OpenAI's own members of a request for a response: what Codex says about itself, and what OpenAI's client adds to parsed output. */
const RESPONSE_ADDITIONS: readonly string[] = [
  'client_metadata.*',
  'input[].content[].parsed.*',
  'input[].parsed_arguments.*',
]

/** What its chat completions take and its responses too, without plugins: https://openrouter.ai/docs/api/api-reference/responses */
const ROUTED_RESPONSE: readonly string[] = [
  ...OPENROUTER.filter((place) => /^(?:models|provider|route|session_id|trace|top_k|reasoning)\b/.test(place)),
]

/** What OpenAI takes of a request for a response, and what is ours in it. */
export const KNOWN_RESPONSE: Shape = shapeOf([...RESPONSE_MEMBERS, ...NEVER_SENT])
/** All there are, wherever they are taken: what a name must not look like. */
export const KNOWN_RESPONSE_ANYWHERE: Shape = shapeOf([
  ...[...RESPONSE_MEMBERS, ...NEVER_SENT, ...RESPONSE_ADDITIONS, ...ROUTED_RESPONSE],
])

/** What a provider takes beyond OpenAI's members of a request for a response. */
export function responseAdditionsOf(provider: string): Shape {
  return shapeOf([...NEVER_SENT, ...RESPONSE_ADDITIONS, ...(provider === 'openrouter' ? ROUTED_RESPONSE : [])])
}

/** https://openrouter.ai/docs/api-reference/embeddings: who may serve, and what the texts are for. */
const OPENROUTER_EMBEDDING: readonly string[] = [
  'input_type',
  ...OPENROUTER.filter((place) => place.startsWith('provider.')),
]
/** vLLM, TEI, NIM, Cohere's and Jina's compatible endpoints: what the texts are for, and what becomes of one that is too long. */
const OTHER_EMBEDDERS: readonly string[] = [
  ...['add_special_tokens', 'input_type', 'normalize', 'task', 'truncate', 'truncate_prompt_tokens'],
  'truncation_direction',
]

/** Of embedding requests: `stream` is read only to be refused. */
export const KNOWN_EMBEDDING: Shape = shapeOf([...EMBEDDING_MEMBERS, 'stream'])
/** All there are, wherever they are taken: what a name must not look like. */
export const KNOWN_EMBEDDING_ANYWHERE: Shape = shapeOf([
  ...[...EMBEDDING_MEMBERS, 'stream', ...NEVER_SENT, ...OPENROUTER_EMBEDDING, ...OTHER_EMBEDDERS],
])

/** What a provider takes of an embedding request beyond OpenAI's members; `foreign` behind an `api_base` that is not its own host. */
export function embeddingAdditionsOf(provider: string): { own: Shape; foreign: Shape } {
  const own = [...NEVER_SENT, ...(provider === 'openrouter' ? OPENROUTER_EMBEDDING : [])]
  return { own: shapeOf(own), foreign: shapeOf([...own, ...OTHER_EMBEDDERS]) }
}

/** Ways of sampling, and of choosing who serves: as its chat completions have them, without other models and plugins. */
const ROUTED_COMPLETION: readonly string[] = OPENROUTER.filter((place) =>
  /^(?:provider|top_k|min_p|top_a|repetition_penalty|transforms)\b/.test(place),
)
const OTHER_COMPLETION: readonly string[] = [
  ...[
    'ignore_eos',
    'min_p',
    'min_tokens',
    'repetition_penalty',
    'skip_special_tokens',
    'stop_token_ids',
    'top_a',
    'top_k',
  ],
  'typical_p',
]

/** What OpenAI takes of a request to complete a text, and what is ours in it. */
export const KNOWN_COMPLETION: Shape = shapeOf([...COMPLETION_MEMBERS, ...NEVER_SENT])
/** All there are, wherever they are taken: what a name must not look like. */
export const KNOWN_COMPLETION_ANYWHERE: Shape = shapeOf([
  ...[...COMPLETION_MEMBERS, ...NEVER_SENT, ...ROUTED_COMPLETION, ...OTHER_COMPLETION],
])

/** What a provider takes of such a request beyond OpenAI's members; `foreign` behind an `api_base` that is not its own host. */
export function completionAdditionsOf(provider: string): { own: Shape; foreign: Shape } {
  const own = [...NEVER_SENT, ...(provider === 'openrouter' ? ROUTED_COMPLETION : [])]
  return { own: shapeOf(own), foreign: shapeOf([...own, ...OTHER_COMPLETION]) }
}

/** What Google takes of a request of Gemini's own, and what is ours in it. */
export const KNOWN_GENERATE: Shape = shapeOf([...GENERATE_MEMBERS, ...NEVER_SENT])

/** The same of a text to be embedded, and of many. */
const EMBED_MEMBERS: readonly string[] = [
  ...['model', 'taskType', 'title', 'outputDimensionality', 'content.role', 'content.parts[].text'],
]
export const EMBED_SHAPE: { one: Shape; batch: Shape } = {
  one: shapeOf(EMBED_MEMBERS),
  batch: shapeOf(EMBED_MEMBERS.map((place) => `requests[].${place}`)),
}
