/**
 * Reads a stream of Gemini's into chunks as OpenAI's, by the reader of its own dialect. Frames of Google's OpenAI-compatible endpoint
 * are known by their `choices`; from the first of them on another reader has the stream.
 */
import type { ProviderError, ResponseContext, StreamReader } from '../provider.ts'
import { createSseFrames, type Verdict } from '../sse-frames.ts'
import { createNativeStream } from './native-stream.ts'
import { readGoogleFrame } from './read-frame.ts'

/** `readCompatible` starts a reader for the other endpoint's frames. */
export function readGoogleStream(context: ResponseContext, readCompatible: () => StreamReader): StreamReader {
  const native = createNativeStream(context)
  let compatible: StreamReader | null = null
  let done = false
  let error: ProviderError | null = null

  const scanner = createSseFrames((frame) => {
    if (done || error !== null) return null
    if (compatible !== null) return passOn(compatible, frame)
    const read = readGoogleFrame(frame)
    if (read === null) return null
    if (read === 'compatible') {
      compatible = readCompatible()
      return passOn(compatible, frame)
    }
    if ('plain' in read) return native.takePlain(read.plain)
    const pieces = read.chunks.flatMap((chunk) => (native.error === null ? (native.take(chunk) ?? []) : []))
    error = native.error
    return pieces.length === 0 ? null : pieces.length === 1 ? pieces[0]! : Buffer.concat(pieces)
  })

  function passOn(reader: StreamReader, frame: Buffer): Verdict {
    const part = reader.push(frame)
    done = part.done
    error = part.error
    return part.bytes
  }

  return followFacts(() => compatible ?? native.facts, {
    push(chunk) {
      const bytes = scanner.push(chunk)
      return { bytes, done, error }
    },
    end() {
      const bytes = scanner.end()
      if (done || error !== null) return { bytes, done, error }
      const last = compatible === null ? native.finish() : compatible.end()
      error = last.error
      done = last.done
      return { ...last, bytes: join(bytes, last.bytes) }
    },
  })
}

/** A reader whose facts are those of the reader that has the stream at the moment. */
function followFacts(
  reader: () => Omit<StreamReader, 'push' | 'end'>,
  steps: Pick<StreamReader, 'push' | 'end'>,
): StreamReader {
  return {
    push: steps.push,
    end: steps.end,
    get reading() {
      return reader().reading
    },
    get finishReasons() {
      return reader().finishReasons
    },
    get frames() {
      return reader().frames
    },
    get shownBytes() {
      return reader().shownBytes
    },
    get isFinal() {
      return reader().isFinal
    },
    get hasContent() {
      return reader().hasContent
    },
    outputText: () => reader().outputText(),
    shownText: (position) => reader().shownText(position),
    textSince: (position) => reader().textSince(position),
    usageFrame: (cost, usage, replaces) => reader().usageFrame(cost, usage, replaces),
    stopFrames: () => reader().stopFrames(),
  }
}

function join(first: Buffer | null, second: Buffer | null): Buffer | null {
  return first === null ? second : second === null ? first : Buffer.concat([first, second])
}
