/**
 * A stream of Gemini's, metered while it passes: frames are forwarded as received, but for a model's name that is not the one that was
 * asked for. The last one, which states why it ended and what it used, is kept back until the call is on the books, and shows its cost.
 */
import { beginFrames } from '../../frame-progress.ts'
import { frameReader } from '../../frame-reader.ts'
import type { StreamReader } from '../../provider.ts'
import { noteImages } from '../../seen-images.ts'
import { createShown } from '../../shown.ts'
import { dataFrame } from '../../sse-frames.ts'
import { readGoogleErrorFrame } from '../errors.ts'
import { toolUses } from '../grounding.ts'
import { imageTokens } from '../images/shape.ts'
import { createStreamUsage } from '../stream-usage.ts'
import { coversResponse } from '../usage.ts'
import { createPassedFrames, isEnded, type PassedProgress } from './passed-frames.ts'
import { shownAs } from './passed-response.ts'

export function readPassedStream(asked: string, model: string): StreamReader {
  const begun = beginFrames(createShown<string>((pieces) => pieces.join('')))
  const usage = createStreamUsage(begun.reading)
  const progress: PassedProgress = Object.defineProperty(
    { ...begun, usage, stated: begun.reading, candidates: new Map(), blocked: null, ending: null },
    'reading',
    // Every frame states the usage so far; it is read when somebody asks.
    { get: () => usage.read() },
  )
  let stopped: readonly number[] = []

  return frameReader(progress, {
    readFrame: createPassedFrames(progress, asked, (images) => noteImages(begun.reading, images, imageTokens(model))),
    atEnd() {
      conclude(progress, model)
      const isBare = progress.candidates.size === 0 && usage.isStated
      if (isEnded(progress) || isBare) progress.done = true
      else if (progress.error === null) progress.error = brokenOff()
      if (progress.done && progress.finishReasons.length === 0)
        progress.finishReasons.push(progress.blocked === null ? 'stop' : 'content_filter')
    },
    usageFrame: (cost, charged, replaces = false) => {
      const isStated = progress.ending !== null && progress.isFinal && !replaces
      const payload = progress.ending ?? stoppedFrame(stopped, asked)
      return dataFrame(shownAs(payload, asked, { cost, usage: charged, replaces: !isStated }))
    },
    stopFrames() {
      if (isEnded(progress)) return Buffer.alloc(0)
      const open = [...progress.candidates].filter(([, { finishReason }]) => finishReason === null)
      stopped = open.length === 0 ? [0] : open.map(([index]) => index)
      for (const _ of stopped) progress.finishReasons.push('length')
      return Buffer.alloc(0)
    },
  })
}

/** What only the end can tell: what the searches cost, and whether text went without a token for it. */
function conclude(progress: PassedProgress, model: string): void {
  const { usage: stream, shown, candidates } = progress
  const reading = stream.read()
  const last = stream.stated()
  if (reading.usage === null || last === null) return
  progress.isFinal = isEnded(progress) || progress.frames === 0
  const sources = [...candidates.values()].map((one) => one.sources)
  reading.usage = { ...reading.usage, toolFees: toolUses(sources, reading.model ?? model) }
  reading.consistent = reading.consistent && (coversResponse(last) || shown.bytes === 0)
}

/** Of a stream that we stopped. */
function stoppedFrame(indexes: readonly number[], asked: string): Buffer {
  const candidates = indexes.map((index) => ({
    content: { parts: [{ text: '' }], role: 'model' },
    finishReason: 'MAX_TOKENS',
    index,
  }))
  return Buffer.from(JSON.stringify({ candidates, usageMetadata: {}, modelVersion: asked }))
}

function brokenOff() {
  return { ...readGoogleErrorFrame(null), internal: 'the stream ended without a finish reason' }
}
