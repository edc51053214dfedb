/**
 * A stream of Claude's as Bedrock sends it: each event is a message of AWS's event stream and stands there in base64. It becomes the event
 * that Anthropic sends, and Anthropic's reader reads it. What Bedrock measured besides (`amazon-bedrock-invocationMetrics`, in the last
 * event) is no statement of the model's and is left where it is.
 */
import { asObject, parseJson } from '../json.ts'
import type { ProviderError, StreamPart, StreamReader } from '../provider.ts'
import { readerAround } from '../reader-around.ts'
import { readBedrockException, unreadableStream } from './errors.ts'
import { createEventMessages, type EventMessage } from './event-messages.ts'

/** The frame of a message for the inner reader; null for one that says nothing to it. */
export type FrameOf = (message: EventMessage) => Buffer | null

export function readEventStream(inner: StreamReader, frameOf: FrameOf): StreamReader {
  const messages = createEventMessages()
  let failed: ProviderError | null = null
  let isText: boolean | null = null

  function part(bytes: Buffer | null, { done, error }: Pick<StreamPart, 'done' | 'error'>): StreamPart {
    // An error after the end of the response changes nothing about it.
    return { bytes, done, error: error ?? (inner.finishReasons.length > 0 ? null : failed) }
  }

  function take(chunk: Buffer): StreamPart {
    const frames: Buffer[] = []
    try {
      for (const message of messages.push(chunk)) {
        const frame = message.kind === 'event' ? frameOf(message) : null
        if (frame !== null) frames.push(frame)
        if (message.kind !== 'event') failed ??= readBedrockException(message.name, message.body)
        if (failed !== null) break
      }
    } catch (error) {
      failed ??= unreadableStream(error)
    }
    const read = frames.length === 0 ? { bytes: null, done: false, error: null } : inner.push(Buffer.concat(frames))
    return part(read.bytes, read)
  }

  return readerAround(inner, {
    push(chunk) {
      if (failed !== null) return part(null, { done: false, error: null })
      // A gateway in its place may send events as text, and an error may come as JSON.
      isText ??= chunk.length === 0 ? null : chunk[0] !== 0
      return isText === true ? inner.push(chunk) : take(chunk)
    },
    end() {
      const last = inner.end()
      return { ...last, error: inner.finishReasons.length > 0 ? last.error : (failed ?? last.error) }
    },
  })
}

/** `{"bytes":"<the event in base64>"}` */
export function claudeFrame({ name, body }: EventMessage): Buffer | null {
  const bytes = name === 'chunk' ? asObject(parseJson(body))?.bytes : undefined
  if (typeof bytes !== 'string') return null
  const event = Buffer.from(bytes, 'base64')
  const type = TYPE.exec(event.toString('latin1', 0, 128))?.[1] ?? typeOf(event)
  if (type === null) return null
  const isLine = !event.includes(0x0a) && !event.includes(0x0d)
  const line = isLine ? event : Buffer.from(JSON.stringify(parseJson(event)))
  return Buffer.concat([Buffer.from(`event: ${type}\ndata: `), line, END])
}

/** Where it stands in nearly every event. */
const TYPE = /^\{"type":"([a-z_]{1,64})"/
const END = Buffer.from('\n\n')

function typeOf(event: Buffer): string | null {
  const type = asObject(parseJson(event))?.type
  return typeof type === 'string' && /^[a-z_]{1,64}$/.test(type) ? type : null
}
