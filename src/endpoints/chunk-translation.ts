/** Translates a stream of chat completion chunks into another dialect: it takes the chat reader's bytes and returns events. */
import { asObject, parseJson } from '../../providers/json.ts'
import type { StreamPart, StreamReader } from '../../providers/provider.ts'
import { createSseFrames, parseFrame } from '../../providers/sse-frames.ts'

export interface ChunkEvents {
  /** The events that a chunk becomes; there may be none. */
  read(chunk: Readonly<Record<string, unknown>>): string
  /** The end of the response, with the usage that callers see. */
  end(cost: string | null, usage: unknown): string
}

export function translateChunks(chat: StreamReader, events: ChunkEvents): StreamReader {
  const scanner = createSseFrames((frame) => {
    const { data } = parseFrame(frame)
    const chunk = asObject(parseJson(data))
    const out = chunk === null ? '' : events.read(chunk)
    return out === '' ? null : Buffer.from(out)
  })

  return readerThrough(chat, scanner.push, (cost, usage) => Buffer.from(events.end(cost, usage)))
}

/** A reader that translates the bytes of another one and its end. All other members are that reader's. */
export function readerThrough(
  reader: StreamReader,
  translate: (bytes: Buffer) => Buffer | null,
  usageFrame: StreamReader['usageFrame'],
): StreamReader {
  const translated = (bytes: Buffer | null) => (bytes === null ? null : translate(bytes))
  const part = ({ bytes, ...rest }: StreamPart): StreamPart => ({ bytes: translated(bytes), ...rest })

  return {
    push: (chunk) => part(reader.push(chunk)),
    end: () => part(reader.end()),
    get reading() {
      return reader.reading
    },
    get isFinal() {
      return reader.isFinal
    },
    get finishReasons() {
      return reader.finishReasons
    },
    get hasContent() {
      return reader.hasContent
    },
    get frames() {
      return reader.frames
    },
    get shownBytes() {
      return reader.shownBytes
    },
    outputText: () => reader.outputText(),
    shownText: (position) => reader.shownText(position),
    textSince: (position) => reader.textSince(position),
    usageFrame,
    stopFrames: () => translated(reader.stopFrames()) ?? Buffer.alloc(0),
  }
}
