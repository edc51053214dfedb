/** A stream of chat completion chunks in another dialect: bytes of the chat's reader in, events out, all else the reader's. */
import { asObject, parseJson } from '../../providers/json.ts'
import type { StreamPart, StreamReader } from '../../providers/provider.ts'
import { createSseFrames, parseFrame } from '../../providers/sse-frames.ts'

export interface ChunkEvents {
  /** The events that a chunk becomes, which may be none. */
  read(chunk: Readonly<Record<string, unknown>>): string
  /** What ends the response, with its usage as it is shown. */
  end(cost: string | null, usage: unknown): string
}

export function translateChunks(chat: StreamReader, events: ChunkEvents): StreamReader {
  const scanner = createSseFrames((frame) => {
    const { data } = parseFrame(frame)
    const chunk = asObject(parseJson(data))
    const out = chunk === null ? '' : events.read(chunk)
    return out === '' ? null : Buffer.from(out)
  })
  const translated = (bytes: Buffer | null) => (bytes === null ? null : scanner.push(bytes))
  const part = ({ bytes, ...rest }: StreamPart): StreamPart => ({ bytes: translated(bytes), ...rest })

  return {
    push: (chunk) => part(chat.push(chunk)),
    end: () => part(chat.end()),
    get reading() {
      return chat.reading
    },
    get isFinal() {
      return chat.isFinal
    },
    get finishReasons() {
      return chat.finishReasons
    },
    get hasContent() {
      return chat.hasContent
    },
    get frames() {
      return chat.frames
    },
    get shownBytes() {
      return chat.shownBytes
    },
    outputText: () => chat.outputText(),
    shownText: (position) => chat.shownText(position),
    textSince: (position) => chat.textSince(position),
    usageFrame: (cost, usage) => Buffer.from(events.end(cost, usage)),
    stopFrames: () => translated(chat.stopFrames()) ?? Buffer.alloc(0),
  }
}
