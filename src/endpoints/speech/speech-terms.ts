/** What speech may cost on a deployment, and how it is asked of the provider and read back. */
import { KNOWN_SPEECH } from '../../../providers/known-members/media-members.ts'
import type { SpeechRequest } from '../../../providers/speech.ts'
import { NO_UNITS } from '../../../providers/usage.ts'
import type { Terms } from '../../call/endpoint.ts'
import type { Deployment } from '../../config/config.ts'
import { flatTerms } from '../flat/flat-terms.ts'
import { judgeFlat } from '../flat/judge-flat.ts'
import { capabilityOf } from '../model-kinds.ts'
import { mockSpeech } from './mock-speech.ts'
import { askedOf } from './read-request.ts'

/** @throws {TollgateError} 400 for what can't be honoured. */
export function speechTerms({ flat, input, instructions }: SpeechRequest, deployment: Deployment): Terms {
  const { provider, capability: speech } = capabilityOf(deployment, 'speech')
  const { upstreamModel: model, mockResponse, price } = deployment
  const known = KNOWN_SPEECH.members
  const judged = judgeFlat(flat, deployment, { capability: speech, label: provider.label, known })
  const { format, isEvents, speed } = askedOf(judged.asked)
  const facts = speech.model(model)
  const texts = [input, instructions]
  const common = flatTerms({ provider, facts, request: flat, texts, judged }, deployment, speech.prepare)
  const characters = charactersOf(input)
  const isByCharacter = price?.units?.characters !== undefined
  const made = speech.tokensMade(characters, speed, model)
  const spoken = isByCharacter ? 0 : (made?.expected ?? 0)
  const output = isByCharacter ? 0 : (made?.most ?? 0)
  return {
    ...common,
    estimate: {
      ...common.estimate,
      units: { most: { ...NO_UNITS, characters }, expected: { characters, audioOutput: spoken } },
    },
    outputCap: output,
    leastOutput: output,
    units: ['characters'],
    ...(made === null
      ? { unboundedOutput: `How many tokens '${model.slice(0, 100)}' takes to speak is not known` }
      : {}),
    // Whatever came in the place of sound says of itself what it is.
    readWhole: () => null,
    readStream: () => speech.readStream({ isEvents, isByCharacter, format }),
    mock: mockResponse === null ? null : () => mockSpeech(isEvents),
  }
}

/** As servers count them: an emoji of two halves is one, what is put together of several is several. */
function charactersOf(text: string): number {
  let count = 0
  for (let at = 0; at < text.length; at++) {
    const isFirstHalf = (text.charCodeAt(at) & 0xfc00) === 0xd800 && (text.charCodeAt(at + 1) & 0xfc00) === 0xdc00
    if (isFirstHalf) at++
    count++
  }
  return count
}
