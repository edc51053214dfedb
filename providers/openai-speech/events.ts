/** Sound in events: its pieces pass as they come; the event that ends them waits for the books, and shows the cost. */
import { type Ending, endingFrame, eventReader, type StreamEvent } from '../event-reader.ts'
import { beginFrames } from '../frame-progress.ts'
import { frameReader } from '../frame-reader.ts'
import { asObject } from '../json.ts'
import { readOpenAiErrorFrame } from '../openai-errors.ts'
import type { OpenAiFacts } from '../openai-facts.ts'
import { count } from '../openai-usage.ts'
import type { StreamReader } from '../provider.ts'
import { createShown } from '../shown.ts'
import { withUsage } from '../shown-usage.ts'
import type { SpeechContext } from '../speech.ts'
import type { Verdict } from '../sse-frames.ts'
import { NO_USAGE, type Usage } from '../usage.ts'
import { collectSpoken } from './spoken.ts'

type Json = Readonly<Record<string, unknown>>

export function readSpeechEvents(
  dialect: Pick<OpenAiFacts, 'label' | 'errorKind'>,
  context: SpeechContext,
): StreamReader {
  const spoken = collectSpoken(context)
  const progress = beginFrames<never>(createShown<never>(() => ''))
  Object.defineProperty(progress.reading, 'seen', {
    enumerable: true,
    get: () => (context.isByCharacter ? {} : { audioOutput: spoken.tokens() }),
  })
  let last: { ending: Ending; json: Json } | null = null

  function finish({ ending, json }: StreamEvent): Verdict {
    last = { ending, json }
    if (!context.isByCharacter) Object.assign(progress.reading, { usage: readUsage(json.usage) })
    progress.isFinal = true
    progress.finishReasons.push('stop')
    progress.done = true
    return null
  }

  return frameReader(progress, {
    readFrame: eventReader({
      dialect,
      progress,
      marker: true,
      read(event) {
        progress.frames += 1
        if (event.type === 'speech.audio.done') return finish(event)
        const { audio } = event.json
        if (typeof audio === 'string') spoken.add(Buffer.from(audio, 'base64'))
        return true
      },
    }),
    atEnd() {
      if (progress.frames === 0 && progress.error === null) progress.error = readOpenAiErrorFrame(dialect, null)
    },
    usageFrame(cost, usage, replaces = false) {
      if (last === null) return Buffer.alloc(0)
      const { ending, json } = last
      const isStated = !replaces && asObject(json.usage) !== null
      return endingFrame(ending, withUsage(ending.payload, { usage, cost, isStated }))
    },
    stopFrames: () => Buffer.alloc(0),
  })
}

function readUsage(raw: unknown): Usage | null {
  const stated = asObject(raw)
  const input = count(stated?.input_tokens)
  const output = count(stated?.output_tokens)
  return input === null || output === null ? null : { ...NO_USAGE, input, audioOutput: output }
}
