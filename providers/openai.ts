/** OpenAI: the dialect every caller speaks. */
import type { MaybeCompletionsProvider } from './completions.ts'
import type { MaybeEmbeddingsProvider } from './embeddings.ts'
import type { MaybeImagesProvider } from './images.ts'
import { asObject } from './json.ts'
import { type MaybeModerationsProvider, openAiModerations } from './moderations.ts'
import { openAiCompletions } from './openai-completions.ts'
import { droppable, isSet, openAiDialect, typedTools } from './openai-dialect.ts'
import { openAiEmbeddings } from './openai-embeddings.ts'
import type { OpenAiFacts } from './openai-facts.ts'
import { openAiImages } from './openai-images/capability.ts'
import { openAiMediaTokens, openAiModel, serviceTierMultiplier } from './openai-models.ts'
import { openAiSpeech } from './openai-speech/capability.ts'
import { openAiTranscriptions } from './openai-transcriptions/capability.ts'
import type { ChatProvider, Refusal, ServerTool } from './provider.ts'
import type { MaybeResponsesProvider } from './responses.ts'
import type { MaybeSpeechProvider } from './speech.ts'
import type { MaybeTranscriptionProvider } from './transcriptions.ts'

type Json = Readonly<Record<string, unknown>>

const LABEL = 'OpenAI'

const FACTS: OpenAiFacts = {
  name: 'openai',
  label: LABEL,
  baseUrl: 'https://api.openai.com/v1',
  keyVariables: ['OPENAI_API_KEY'],
  bareName:
    /^(?:gpt-|chatgpt-|o[1-9](?:-|$)|davinci|babbage|text-embedding-|ft:gpt|dall-e-|whisper-1|tts-1|omni-moderation-|text-moderation-)/,
  domain: 'openai.com',
  alsoNamed: ['text-completion-openai'],
  // Azure, which refuses both caps at once as OpenAI does.
  alsoAt: ['azure.com'],
  model: openAiModel,
  mediaTokens: openAiMediaTokens,
  // Models that reason refuse the older member.
  capMember: (model) => (openAiModel(model).hiddenReasoning ? 'max_completion_tokens' : 'either'),
  tierMultiplier: serviceTierMultiplier,
  serverTools,
  refuses,
  responses: {
    billedTools: ['web_search', 'web_search_preview', 'file_search', 'code_interpreter', 'image_generation'],
    boundsTools: true,
    stores: true,
    encryptsThoughts: true,
    leastOutput: 16,
  },
}

export const openai: ChatProvider &
  MaybeResponsesProvider &
  MaybeEmbeddingsProvider &
  MaybeCompletionsProvider &
  MaybeImagesProvider &
  MaybeTranscriptionProvider &
  MaybeSpeechProvider &
  MaybeModerationsProvider = {
  ...openAiDialect(FACTS),
  completions: openAiCompletions(FACTS),
  embeddings: openAiEmbeddings(FACTS),
  images: openAiImages(FACTS),
  moderations: openAiModerations(FACTS),
  speech: openAiSpeech(FACTS),
  transcriptions: openAiTranscriptions(FACTS, { isUnstreamed: (model) => model === 'whisper-1' }),
}

/**
 * A search model searches on every call, others when told to; the fee is per call and in no usage field. What is found is not
 * billed as input.
 */
function serverTools(json: Json, model: string): ServerTool[] {
  const searches = model.includes('-search-preview') || asObject(json.web_search_options) !== null
  return [
    ...(searches ? [{ kind: 'web_search', uses: 1, addsInput: false, billedByUse: true }] : []),
    ...typedTools(json),
  ]
}

/** The o series and the first gpt-5 always reason, and then sample in one way only. Later ones depend on `reasoning_effort`. */
const ALWAYS_REASONS = /^(?:ft:)?(?:o[1-9](?:-|$)|gpt-5(?:-mini|-nano|-pro)?(?:-\d{4}|:|$))/

function refuses(json: Json, model: string): Refusal[] {
  if (!ALWAYS_REASONS.test(model)) return []
  const refused = ['temperature', 'top_p'].filter((key) => isSet(json, key, 1))
  refused.push(...['presence_penalty', 'frequency_penalty'].filter((key) => isSet(json, key, 0)))
  refused.push(...['logit_bias', 'top_logprobs'].filter((key) => isSet(json, key)))
  if (isSet(json, 'logprobs', false)) refused.push('logprobs')
  return refused.map((param) => droppable(param, LABEL))
}
