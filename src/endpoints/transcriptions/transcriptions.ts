/** POST /v1/audio/transcriptions and /v1/audio/translations, in OpenAI's dialect, whichever provider serves it. */
import type { TranscriptionRequest } from '../../../providers/transcriptions.ts'
import { inputTokens, outputTokens, type Usage } from '../../../providers/usage.ts'
import type { Endpoint, EndpointRequest } from '../../call/endpoint.ts'
import { errorBody, TollgateError } from '../../http/errors.ts'
import { EVENTS, flatCall } from '../flat/flat-call.ts'
import { readTranscription } from './read-request.ts'
import { lengthOnce } from './recording.ts'
import { transcriptionTerms } from './transcription-terms.ts'

const common: Pick<Endpoint, 'serviceType' | 'read' | 'errorBody' | 'usageShape' | 'stream'> = {
  serviceType: 'audio_transcription',
  read() {
    const message = 'Send the recording in a form (multipart/form-data), as a file in "file".'
    throw new TollgateError(415, 'unsupported_media_type', message)
  },
  errorBody,
  usageShape: heardUsage,
  stream: EVENTS,
}

export const transcriptions: Endpoint = {
  ...common,
  name: 'audio.transcriptions',
  readForm: (form) => heardCall(readTranscription(form, false)),
}

export const translations: Endpoint = {
  ...common,
  name: 'audio.translations',
  readForm: (form) => heardCall(readTranscription(form, true)),
}

function heardCall(request: TranscriptionRequest): EndpointRequest {
  const lengthOf = lengthOnce(request.sound)
  return flatCall(request.flat, (deployment) => transcriptionTerms(request, lengthOf, deployment))
}

/** Usage in OpenAI's two forms: of tokens where sound was billed so, else of seconds. */
function heardUsage(usage: Usage) {
  const { audioInput, milliseconds } = usage
  const [input, output] = [inputTokens(usage), outputTokens(usage)]
  if (audioInput === 0) return { type: 'duration', seconds: milliseconds / 1_000 }
  return {
    type: 'tokens',
    input_tokens: input,
    input_token_details: { text_tokens: input - audioInput, audio_tokens: audioInput },
    output_tokens: output,
    total_tokens: input + output,
  }
}
