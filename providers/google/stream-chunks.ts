/** Chunks in OpenAI's dialect for a stream of Gemini's: what every one of them repeats, and the usage. */
import { asObject } from '../json.ts'
import type { ResponseContext } from '../provider.ts'
import type { Reading } from '../reading.ts'
import { dataFrame } from '../sse-frames.ts'
import type { Delta } from './choice.ts'
import { bareModel } from './models.ts'
import { withUsage } from './response.ts'

type Json = Record<string, unknown>

export interface GoogleChunks {
  /** Why the prompt was blocked, where it was. */
  readonly blocked: string | null
  /** Takes the id, the served model and the block reason from what the server sent. */
  learn(chunk: Json): void
  text(index: number, delta: Delta): string
  usage(usage: unknown, cost: string | null): Buffer
}

/** The served model goes into `reading`. */
export function createGoogleChunks(context: ResponseContext, reading: Reading): GoogleChunks {
  let blocked: string | null = null
  let id: string | null = null
  let head = ''

  function learn(chunk: Json): void {
    const { modelVersion: served, responseId, promptFeedback } = chunk
    const reason = asObject(promptFeedback)?.blockReason
    if (typeof reason === 'string') blocked = reason
    const isNews = typeof served === 'string' && served !== '' && bareModel(served) !== reading.model
    if (isNews) reading.model = bareModel(served)
    if (id === null && typeof responseId === 'string' && responseId !== '') id = responseId
    else if (head !== '' && !isNews) return
    head = `"object":"chat.completion.chunk","created":${context.created},"model":${JSON.stringify(context.request.model)}`
    head = `data: {"id":${JSON.stringify(id ?? `chatcmpl-${context.callId}`)},${head}`
  }

  /** A stream that is stopped before its first frame has taught nothing. */
  function knownHead(): string {
    if (head === '') learn({})
    return head
  }

  return {
    get blocked() {
      return blocked
    },
    learn,
    text(index, { delta, logprobs, finishReason, native }) {
      const reason = finishReason === null ? 'null' : `"${finishReason}"`
      return `${knownHead()},"choices":[{"index":${index},"delta":${delta},"logprobs":${logprobs},"finish_reason":${reason}${native}}]}\n\n`
    },
    usage: (usage, cost) => dataFrame(withUsage(`${knownHead().slice('data: '.length)},"choices":[]}`, usage, cost)),
  }
}
