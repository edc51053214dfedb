/**
 * A stream of images: drafts pass as they come. The event that brings an image states the usage; the last one is kept back until the call
 * is on the books, and shows its cost.
 */
import { type Ending, endingFrame, eventReader, type StreamEvent } from '../event-reader.ts'
import { beginFrames } from '../frame-progress.ts'
import { frameReader } from '../frame-reader.ts'
import type { ImagesContext } from '../images.ts'
import { readOpenAiErrorFrame } from '../openai-errors.ts'
import type { OpenAiFacts } from '../openai-facts.ts'
import type { StreamReader } from '../provider.ts'
import { createShown } from '../shown.ts'
import { withUsage } from '../shown-usage.ts'
import type { Verdict } from '../sse-frames.ts'
import type { Usage } from '../usage.ts'
import { addUsage, readImageUsage, usageOf } from './usage.ts'

export function readImageStream(
  dialect: Pick<OpenAiFacts, 'label' | 'errorKind'>,
  context: ImagesContext,
): StreamReader {
  const progress = beginFrames<never>(createShown<never>(() => ''))
  let images = 0
  let ending: Ending | null = null
  let usage: Usage | null = null
  let isStated = true

  function finish({ type, ending: own, json }: StreamEvent): Verdict {
    const before = ending
    // Named by its type, whatever its event was called.
    ending = { ...own, named: `event: ${type}\n` }
    images += 1
    const stated = readImageUsage(json.usage)
    isStated &&= stated !== null
    if (stated !== null) usage = usage === null ? stated : addUsage(usage, stated)
    Object.assign(progress.reading, usageOf(images, isStated ? usage : null, context))
    progress.isFinal = true
    progress.frames += 1
    progress.finishReasons.push('stop')
    progress.done = images >= context.n
    return before === null ? null : endingFrame(before, before.payload)
  }

  return frameReader(progress, {
    readFrame: eventReader({
      dialect,
      progress,
      marker: null,
      read(event) {
        if (event.type.endsWith('.completed')) return finish(event)
        progress.frames += 1
        return true
      },
    }),
    atEnd() {
      if (images === 0 && progress.error === null) progress.error = readOpenAiErrorFrame(dialect, null)
    },
    usageFrame(cost, shape, replaces = false) {
      if (ending === null) return Buffer.alloc(0)
      const shown = { usage: shape, cost, isStated: !replaces && isStated && images === 1 }
      return endingFrame(ending, withUsage(ending.payload, shown))
    },
    stopFrames: () => Buffer.alloc(0),
  })
}
