/**
 * A stream of a response, metered while it passes: events are forwarded as received, but for the model's name where the response is
 * announced. The event that ends it states the usage: it is kept back until the call is on the books, and shows its cost.
 */
import { frameReader } from '../frame-reader.ts'
import type { OpenAiFacts } from '../openai-facts.ts'
import type { StreamReader } from '../provider.ts'
import { brokenOff } from './errors.ts'
import { createResponseEvents } from './events.ts'
import { endEvent, stopEvents } from './last-events.ts'
import { beginResponse } from './progress.ts'

export function readResponseStream(dialect: OpenAiFacts, asked: string): StreamReader {
  const progress = beginResponse()
  const { finishReasons } = progress
  return frameReader(progress, {
    readFrame: createResponseEvents(dialect, progress, asked),
    atEnd() {
      if (!progress.done && progress.error === null) progress.error = brokenOff(dialect)
    },
    usageFrame: (cost, usage, replaces = false) =>
      endEvent(progress, asked, { cost, usage, replaces: replaces || !progress.isFinal }),
    stopFrames() {
      if (finishReasons.length > 0) return Buffer.alloc(0)
      finishReasons.push('max_output_tokens')
      return stopEvents(progress)
    },
  })
}
