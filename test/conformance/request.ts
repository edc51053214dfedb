/** The request a recording is played with: the recorded one, a likely one where none was recorded. */
import { dialectOf, modelOf } from './dialects.ts'
import { fromAnthropic, fromGemini, type Translated } from './native-request.ts'
import type { Recording } from './recording.ts'

/** In OpenAI's words, under the provider's own name of the model. */
export function chatRequest(recording: Recording): Translated {
  const { speaksOpenAi, provider } = dialectOf(recording.provider)
  const model = modelOf(recording)
  const recorded = recording.request === null ? null : inFullLength(recording.request)
  const translated =
    recorded === null || speaksOpenAi
      ? { request: recorded ?? {}, serverTools: [] }
      : provider === 'anthropic'
        ? fromAnthropic(recorded)
        : fromGemini(recorded)
  const { stream: _, stream_options: __, ...request } = translated.request
  const messages = Array.isArray(request.messages) && request.messages.length > 0 ? request.messages : [HELLO]
  return { request: { ...request, model, messages }, serverTools: translated.serverTools }
}

/** What the collector cut out is as long again as it was, so that what it cost is no surprise. */
function inFullLength(request: Record<string, unknown>): Record<string, unknown> {
  const text = JSON.stringify(request)
  const filled = text.replace(/\.\.\.\[TRUNCATED (\d+) chars by collector\]/g, (_, length) =>
    'A'.repeat(Number(length)),
  )
  return filled === text ? request : JSON.parse(filled)
}

const HELLO = { role: 'user', content: 'Hello' }

/** What the caller sends: the model under the name of the folder's deployment. */
export function sentRequest(recording: Recording, includeUsage: boolean): Record<string, unknown> {
  const { request } = chatRequest(recording)
  const streamed = includeUsage ? { stream: true, stream_options: { include_usage: true } } : { stream: true }
  return { ...request, model: `${recording.provider}/${modelOf(recording)}`, ...(recording.stream ? streamed : {}) }
}
