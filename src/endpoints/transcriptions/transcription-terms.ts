/** What a transcription may cost on a deployment, and how it is asked of the provider and read back. */
import { KNOWN_TRANSCRIPTION } from '../../../providers/known-members/media-members.ts'
import type { TranscriptionRequest } from '../../../providers/transcriptions.ts'
import { NO_UNITS } from '../../../providers/usage.ts'
import type { Terms } from '../../call/endpoint.ts'
import type { Deployment } from '../../config/config.ts'
import type { InputEstimate } from '../../metering/estimate.ts'
import { flatTerms } from '../flat/flat-terms.ts'
import { judgeFlat } from '../flat/judge-flat.ts'
import { capabilityOf } from '../model-kinds.ts'
import { mockTranscription } from './mock-transcription.ts'
import { isJsonAsked } from './read-request.ts'
import { type Recording, recordingOn } from './recording.ts'

/** Tokens that are written of silence, and of a second of the fastest speech. */
const LEAST_OUTPUT = 2_000
const OUTPUT_PER_SECOND = 10

/** @throws {TollgateError} 400 for what can't be honoured or bounded. */
export function transcriptionTerms(
  request: TranscriptionRequest,
  lengthOf: () => Parameters<typeof recordingOn>[0],
  deployment: Deployment,
): Terms {
  const { flat, prompt, voices, isTranslation } = request
  const { provider, capability: hearing } = capabilityOf(deployment, 'transcriptions')
  const { upstreamModel: model, mockResponse } = deployment
  const known = KNOWN_TRANSCRIPTION.members
  const judged = judgeFlat(flat, deployment, { capability: hearing, label: provider.label, known })
  const facts = hearing.model(model)
  const common = flatTerms({ provider, facts, request: flat, texts: [prompt], judged }, deployment, (call) =>
    hearing.prepare(call, isTranslation),
  )
  const isJson = isJsonAsked(judged.asked)
  const sound = hearing.sound(model)
  const recording = recordingOn(lengthOf(), voices, sound, deployment)
  const isByTime = recording.tokensPerSecond === 0
  const output = isByTime ? 0 : LEAST_OUTPUT + Math.ceil(recording.most * OUTPUT_PER_SECOND)
  const context = { isJson: isJson || flat.stream, isByTime, shortest: sound.shortest }
  return {
    ...common,
    estimate: withSound(common.estimate, recording),
    outputCap: output,
    leastOutput: output,
    units: ['milliseconds'],
    readWhole: (body) => hearing.readResponse(body, context),
    readStream: () => hearing.readStream(context),
    mock: mockResponse === null ? null : () => mockTranscription(mockResponse, isJson),
  }
}

/** The hold covers the longest that the recording can be. */
function withSound(estimate: InputEstimate, { most, expected, tokensPerSecond }: Recording): InputEstimate {
  const tokens = (seconds: number) => Math.ceil(seconds * tokensPerSecond)
  const milliseconds = (seconds: number) => Math.ceil(seconds * 1_000)
  return {
    ...estimate,
    audioInput: tokens(most),
    expected: { media: 0, audioInput: tokens(expected) },
    least: { media: 0, audioInput: tokens(most), window: false },
    units: {
      most: { ...NO_UNITS, milliseconds: milliseconds(most) },
      expected: { milliseconds: milliseconds(expected) },
    },
  }
}
