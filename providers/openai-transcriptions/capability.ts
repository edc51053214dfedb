/** Transcriptions of a provider that has them in OpenAI's dialect: its form is written anew, its response passes but for the usage. */
import { prepareFlat } from '../flat-request.ts'
import { NOTHING_MORE } from '../known-members/media-members.ts'
import { PLAIN_MODEL } from '../openai-dialect.ts'
import type { OpenAiFacts } from '../openai-facts.ts'
import type { Refusal } from '../provider.ts'
import type { SoundFacts, TranscriptionCapability } from '../transcriptions.ts'
import { readTranscription } from './response.ts'
import { readTranscriptionStream } from './stream.ts'

export interface TranscriptionFacts {
  /** What a shorter recording is billed as, in seconds. @default 0 */
  shortest?: number
  /** Models that send no events. */
  isUnstreamed(model: string): boolean
}

/** Its usage comes at the end of the stream, which the provider bills whole. */
const HEARING_MODEL = { ...PLAIN_MODEL, hiddenReasoning: true }
/** As the models of OpenAI that hear take sound. */
const TOKENS_PER_SECOND = 10
/** OpenAI's models that are billed by tokens refuse longer recordings. */
const LONGEST = 1_500

export function openAiTranscriptions(
  dialect: OpenAiFacts,
  { shortest = 0, isUnstreamed }: TranscriptionFacts,
): TranscriptionCapability {
  return {
    model: () => HEARING_MODEL,
    sound: (model): SoundFacts => ({
      tokensPerSecond: /whisper/i.test(model) ? 0 : TOKENS_PER_SECOND,
      longest: /(?:^|\/)gpt-[\w.-]*-transcribe/.test(model) ? LONGEST : null,
      shortest,
    }),
    takes: () => NOTHING_MORE,
    refuses: ({ stream }, model) => (isOn(stream) && isUnstreamed(model) ? [unstreamed(model)] : []),
    prepare: (call, isTranslation) =>
      prepareFlat(dialect, call, { path: isTranslation ? '/audio/translations' : '/audio/transcriptions' }),
    readResponse: (body, context) => readTranscription(dialect, body, context),
    readStream: (context) => readTranscriptionStream(dialect, context),
  }
}

const isOn = (stream: unknown): boolean => stream === true || stream === 'true'

function unstreamed(model: string): Refusal {
  const message = `'${model.slice(0, 100)}' sends its transcription whole. Leave 'stream' out.`
  return { param: 'stream', message, droppable: false }
}
