/**
 * Cuts AWS's event stream into its messages. A message states its length first; the codec checks its sums. Bytes that are no such stream
 * are told by their first one: a message of less than 16 MB begins with a zero, and no text does.
 */
import { EventStreamCodec } from '@smithy/core/event-streams'

export interface EventMessage {
  /** `event`, `exception` or `error`. */
  kind: string
  /** What it is called: `chunk`, `throttlingException`. */
  name: string
  body: Buffer
}

export interface EventMessages {
  /** The messages that are whole now. @throws {RangeError} for what is no such stream. */
  push(chunk: Buffer): EventMessage[]
  /** Bytes wait for the rest of their message. */
  readonly isOpen: boolean
}

/** Length, length of the headers, their sum; and the sum of all at the end. */
const LEAST_BYTES = 16

export function createEventMessages(): EventMessages {
  const codec = new EventStreamCodec(
    (bytes) => (typeof bytes === 'string' ? bytes : Buffer.from(bytes).toString('utf8')),
    (text) => Buffer.from(text, 'utf8'),
  )
  /** What came of a message so far, in order. */
  let pieces: Buffer[] = []
  let size = 0

  function next(): EventMessage | null {
    const length = lengthOf(pieces, size)
    if (length === null || size < length) return null
    const all = pieces.length === 1 ? pieces[0]! : Buffer.concat(pieces, size)
    pieces = size === length ? [] : [all.subarray(length)]
    size -= length
    return read(codec, all.subarray(0, length))
  }

  return {
    push(chunk) {
      if (chunk.length > 0) pieces.push(chunk)
      size += chunk.length
      const messages: EventMessage[] = []
      for (let message = next(); message !== null; message = next()) messages.push(message)
      return messages
    },
    get isOpen() {
      return size > 0
    },
  }
}

/** Null where it is not there yet. */
function lengthOf(pieces: readonly Buffer[], size: number): number | null {
  if (size < 4) return null
  const head = pieces[0]!.length >= 4 ? pieces[0]! : Buffer.concat(pieces.slice(0, 4))
  const length = head.readUInt32BE(0)
  if (length < LEAST_BYTES || length >= 1 << 24) throw new RangeError('this is no event stream')
  return length
}

function read(codec: EventStreamCodec, bytes: Buffer): EventMessage {
  const { headers, body } = codec.decode(bytes)
  const text = (name: string) => {
    const value = headers[name]?.value
    return typeof value === 'string' ? value : ''
  }
  const kind = text(':message-type')
  const name = { event: ':event-type', exception: ':exception-type', error: ':error-code' }[kind] ?? ':event-type'
  return { kind, name: text(name), body: Buffer.from(body.buffer, body.byteOffset, body.byteLength) }
}
