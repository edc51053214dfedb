/**
 * A stream of messages, metered while it passes: events are forwarded as received, but for the model's name in the first one. The
 * event that states why it ended and what it used is kept back until the call is on the books, and shows its cost.
 */
import type { StreamPart, StreamReader } from '../../provider.ts'
import { emptyReading } from '../../reading.ts'
import { createShown } from '../../shown.ts'
import { createSseFrames } from '../../sse-frames.ts'
import { brokenOff } from '../errors.ts'
import { endFrame } from './end-frame.ts'
import { eventText } from './event-text.ts'
import { createNativeEvents, type NativeProgress } from './native-events.ts'

export function readNativeStream(asked: string): StreamReader {
  const reading = emptyReading()
  const finishReasons: string[] = []
  const shown = createShown<Buffer>((frames) => frames.map(eventText).join(''))
  const { outputText, shownText, textSince } = shown
  const progress: NativeProgress = {
    reading,
    finishReasons,
    shown,
    openBlocks: new Set(),
    frames: 0,
    hasContent: false,
    isFinal: false,
    done: false,
    error: null,
    ending: null,
  }
  const readFrame = createNativeEvents(progress, asked)
  const scanner = createSseFrames((frame) => (progress.done || progress.error !== null ? null : readFrame(frame)))
  const part = (bytes: Buffer | null): StreamPart => ({ bytes, done: progress.done, error: progress.error })

  return {
    push: (chunk) => part(scanner.push(chunk)),
    end() {
      const bytes = scanner.end()
      if (finishReasons.length > 0) progress.done = true
      else if (progress.error === null) {
        // Nothing more will come, not even an error: what it began with is what it states.
        if (!progress.hasContent) progress.isFinal = reading.usage !== null
        progress.error = brokenOff()
      }
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
      return progress.hasContent
    },
    outputText,
    shownText,
    textSince,
    usageFrame: (cost, usage, replaces = false) =>
      endFrame(progress.ending, { cost, usage, replaces: replaces || !progress.isFinal }),
    stopFrames() {
      if (finishReasons.length > 0) return Buffer.alloc(0)
      finishReasons.push('max_tokens')
      return Buffer.from([...progress.openBlocks].map(closedBlock).join(''))
    },
  }
}

function closedBlock(index: number): string {
  return `event: content_block_stop\ndata: {"type":"content_block_stop","index":${index}}\n\n`
}
