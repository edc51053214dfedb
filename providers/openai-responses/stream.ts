/**
 * A stream of a response, metered while it passes: events are forwarded as received, but for the model's name where the response is
 * announced. The event that ends it states the usage: it is kept back until the call is on the books, and shows its cost.
 */
import type { OpenAiFacts } from '../openai-facts.ts'
import type { StreamPart, StreamReader } from '../provider.ts'
import { createSseFrames } from '../sse-frames.ts'
import { brokenOff } from './errors.ts'
import { createResponseEvents } from './events.ts'
import { endEvent, stopEvents } from './last-events.ts'
import { beginResponse } from './progress.ts'

export function readResponseStream(dialect: OpenAiFacts, asked: string): StreamReader {
  const progress = beginResponse()
  const { reading, finishReasons, shown } = progress
  const { outputText, shownText, textSince } = shown
  const readFrame = createResponseEvents(dialect, progress, asked)
  const scanner = createSseFrames((frame) => (progress.done || progress.error !== null ? null : readFrame(frame)))
  const part = (bytes: Buffer | null): StreamPart => ({ bytes, done: progress.done, error: progress.error })

  return {
    push: (chunk) => part(scanner.push(chunk)),
    end() {
      const bytes = scanner.end()
      if (!progress.done && progress.error === null) progress.error = brokenOff(dialect)
      return part(bytes)
    },
    reading,
    finishReasons,
    get frames() {
      return progress.frames
    },
    get shownBytes() {
      return shown.bytes
    },
    get isFinal() {
      return progress.isFinal
    },
    get hasContent() {
      return progress.frames > 0
    },
    outputText,
    shownText,
    textSince,
    usageFrame: (cost, usage, replaces = false) =>
      endEvent(progress, asked, { cost, usage, replaces: replaces || !progress.isFinal }),
    stopFrames() {
      if (finishReasons.length > 0) return Buffer.alloc(0)
      finishReasons.push('max_output_tokens')
      return stopEvents(progress)
    },
  }
}
