/** A stream of a transcription: its pieces pass as they come; the event that ends it waits for the books, and shows its cost. */
import { type Ending, endingFrame, eventReader, type StreamEvent } from '../event-reader.ts'
import { beginFrames } from '../frame-progress.ts'
import { frameReader } from '../frame-reader.ts'
import { asObject } from '../json.ts'
import { readOpenAiErrorFrame } from '../openai-errors.ts'
import type { OpenAiFacts } from '../openai-facts.ts'
import type { StreamReader } from '../provider.ts'
import { createShown } from '../shown.ts'
import { withUsage } from '../shown-usage.ts'
import type { Verdict } from '../sse-frames.ts'
import type { TranscriptionContext } from '../transcriptions.ts'
import { readingOf } from './usage.ts'

type Json = Readonly<Record<string, unknown>>

export function readTranscriptionStream(
  dialect: Pick<OpenAiFacts, 'label' | 'errorKind'>,
  context: TranscriptionContext,
): StreamReader {
  const shown = createShown<string>((pieces) => pieces.join(''))
  const progress = beginFrames<string>(shown)
  let last: { ending: Ending; json: Json } | null = null

  const show = (text: unknown) => {
    if (typeof text === 'string') shown.add(text, Buffer.byteLength(text))
  }

  function finish({ ending, json }: StreamEvent): Verdict {
    last = { ending, json }
    if (shown.bytes === 0) show(json.text)
    Object.assign(progress.reading, readingOf(json, context))
    if (progress.reading.usage !== null) shown.cover()
    progress.isFinal = true
    progress.frames += 1
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
        if (event.type === 'transcript.text.done') return finish(event)
        // A segment repeats what its deltas said.
        if (event.type === 'transcript.text.delta') show(event.json.delta)
        progress.frames += 1
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
