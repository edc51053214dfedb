/** Speech of a provider that has it in OpenAI's dialect: the request passes but for the model's name, and so does the sound. */
import { prepareFlat } from '../flat-request.ts'
import { NOTHING_MORE, SAMPLE_RATE } from '../known-members/media-members.ts'
import { PLAIN_MODEL } from '../openai-dialect.ts'
import type { OpenAiFacts } from '../openai-facts.ts'
import type { SpeechCapability } from '../speech.ts'
import { readSpeechEvents } from './events.ts'
import { readSound } from './sound.ts'

/** What is billed does not show as text. */
const SPEAKING_MODEL = { ...PLAIN_MODEL, hiddenReasoning: true }
/**
 * A second of OpenAI's models takes 21 tokens, and holds fifteen characters as a rule. Of digits, and slowly, it holds two; a text is
 * spoken in no less than a moment.
 */
const USUAL_TOKENS = 1.5
const MOST_TOKENS = 12
const LEAST = 1_000

export function openAiSpeech(dialect: OpenAiFacts): SpeechCapability {
  return {
    model: () => SPEAKING_MODEL,
    takes: () => (dialect.name === 'groq' ? SAMPLE_RATE : NOTHING_MORE),
    refuses: () => [],
    tokensMade: (characters, speed, model) => {
      if (!/(?:^|\/)gpt-[\w.-]*-tts/.test(model)) return null
      const slowness = Math.max(1, 1 / speed)
      const most = Math.ceil(characters * MOST_TOKENS * slowness) + LEAST
      return { most, expected: Math.ceil(characters * USUAL_TOKENS * slowness) }
    },
    prepare: (call) => prepareFlat(dialect, call, { path: '/audio/speech', accept: '*/*' }),
    readStream: (context) => (context.isEvents ? readSpeechEvents(dialect, context) : readSound(context)),
  }
}
