/** What the operator has set up: every dialect behind the scripted provider, and what only tricks need. */
import { respondingOn } from '../support/response-answers.ts'
import { configFor, type ModelEntry, modelOn } from '../support/tollgate.ts'

export function attackConfig(url: string): string {
  const mini = { model: 'openai/gpt-4o-mini' }
  const keyless = (name: string, params: Record<string, unknown>): ModelEntry => ({
    model_name: name,
    litellm_params: { api_base: url, ...params },
    model_info: { id: `${name}-keyless` },
  })
  const second = (name: string, params: Record<string, unknown>): ModelEntry => ({
    ...modelOn(url, name, params),
    model_info: { id: `${name}-second` },
  })
  return configFor(url, {
    models: [
      modelOn(url, 'everything', { ...mini, allowed_openai_params: ['*'] }),
      modelOn(url, 'dropping', { ...mini, drop_params: true }),
      modelOn(url, 'counted', { ...mini, statement: 'counted' }),
      modelOn(url, 'capped', { ...mini, max_tokens: 50 }),
      modelOn(url, 'chosen', { ...mini, n: 3 }),
      // What failed is tried elsewhere.
      modelOn(url, 'twice', mini),
      second('twice', mini),
      // A dear one under the name of a cheap one.
      modelOn(url, 'gpt-4o-nano', { model: 'openai/gpt-4o' }),
      modelOn(url, 'little', mini),
      modelOn(url, 'ft', { model: 'openai/ft:gpt-4o-mini-2024-07-18:acme::x' }),
      modelOn(url, 'searching', { model: 'openai/gpt-4o-mini-search-preview' }),
      modelOn(url, 'claude', { model: 'anthropic/claude-haiku-4-5' }),
      modelOn(url, 'flash', { model: 'gemini/gemini-2.5-flash' }),
      modelOn(url, 'grok', { model: 'xai/grok-3' }),
      modelOn(url, 'llama', { model: 'groq/llama-3.3-70b-versatile' }),
      modelOn(url, 'routed', { model: 'openrouter/openai/gpt-4o-mini' }),
      modelOn(url, 'routed-google', { model: 'openrouter/google/gemini-2.5-flash' }),
      modelOn(url, 'speaking', { model: 'openai/gpt-4o-audio-preview' }),
      // The cheap one first, nearly always; behind it one that is seventeen times as dear.
      modelOn(url, 'stairs', { ...mini, weight: 1_000_000_000 }),
      second('stairs', { model: 'openai/gpt-4o', weight: 1e-9 }),
      {
        ...modelOn(url, 'wild'),
        model_name: 'wild/*',
        litellm_params: { model: 'openai/*', api_base: url, api_key: 'x' },
      },
      // The caller's name becomes a part of the address.
      {
        ...modelOn(url, 'gem'),
        model_name: 'gem/*',
        litellm_params: { model: 'gemini/*', api_base: url, api_key: 'x' },
      },
      modelOn(url, 'eyes', { model: 'groq/meta-llama/llama-4-maverick-17b-128e-instruct' }),
      modelOn(url, 'audio', { model: 'openai/gpt-audio-mini' }),
      modelOn(url, 'instruct', { model: 'openai/gpt-3.5-turbo-instruct' }),
      modelOn(url, 'embedder', { model: 'openai/text-embedding-3-small' }),
      modelOn(url, 'embedder-routed', { model: 'openrouter/openai/text-embedding-3-small' }),
      modelOn(url, 'embedder-counted', { model: 'openai/text-embedding-3-small', statement: 'counted' }),
      modelOn(url, 'whisper', { model: 'openai/whisper-1' }),
      modelOn(url, 'hearing', { model: 'openai/gpt-4o-transcribe' }),
      modelOn(url, 'tts', { model: 'openai/tts-1', input_cost_per_character: 0.000015 }),
      modelOn(url, 'mini-tts', { model: 'openai/gpt-4o-mini-tts' }),
      modelOn(url, 'gpt-image-1'),
      modelOn(url, 'dall-e', { model: 'openai/dall-e-3', output_cost_per_image: 0.04 }),
      modelOn(url, 'drawing', { model: 'gemini/gemini-2.5-flash-image' }),
      modelOn(url, 'imagen', { model: 'gemini/imagen-4.0-generate-001', output_cost_per_image: 0.04 }),
      modelOn(url, 'omni-moderation-latest'),
      {
        ...modelOn(url, 'ranker', { ...mini, model: 'openai/rerank-3' }),
        model_info: { id: 'ranker-scripted', mode: 'rerank' },
      },
      keyless('own', mini),
      // Whose servers speak Responses.
      respondingOn(url, 'answering', mini),
      respondingOn(url, 'pondering', { model: 'openai/o4-mini' }),
    ],
    router_settings: { num_retries: 1, disable_cooldowns: true },
    tollgate: { tool_fees: { web_search: 0.01 }, limits: { booking_wait_seconds: 20 } },
  })
}
