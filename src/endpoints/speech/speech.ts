/** POST /v1/audio/speech, in OpenAI's dialect, whichever provider serves it. The sound passes as it comes. */
import { inputTokens, outputTokens } from '../../../providers/usage.ts'
import type { Endpoint, StreamForm } from '../../call/endpoint.ts'
import { errorBody } from '../../http/errors.ts'
import { EVENTS, flatCall } from '../flat/flat-call.ts'
import { askedOf, readSpeech } from './read-request.ts'
import { speechTerms } from './speech-terms.ts'

/** Nothing but sound may stand in it: an error after its first byte cuts it off. */
const soundForm = (contentType: string): StreamForm => ({
  contentType,
  keepAlive: null,
  pending: Buffer.alloc(0),
  end: Buffer.alloc(0),
  error: () => null,
})

export const speech: Endpoint = {
  name: 'audio.speech',
  serviceType: 'audio_speech',
  read(body) {
    const request = readSpeech(body)
    const { flat } = request
    const { isEvents, contentType } = askedOf(flat.json)
    const streamForm = isEvents ? EVENTS : soundForm(contentType)
    const call = flatCall(flat, (deployment) => speechTerms(request, deployment))
    return { ...call, text: flat.text, stream: true, streamForm }
  },
  errorBody,
  usageShape(usage) {
    const [input, output] = [inputTokens(usage), outputTokens(usage)]
    return { input_tokens: input, output_tokens: output, total_tokens: input + output }
  },
  stream: EVENTS,
}
