/**
 * A stream of messages, metered while it passes: events are forwarded as received, but for the model's name in the first one. The
 * event that states why it ended and what it used is kept back until the call is on the books, and shows its cost.
 */
import { beginFrames } from '../../frame-progress.ts'
import type { StreamReader } from '../../provider.ts'
import { createShown } from '../../shown.ts'
import { claudeReader } from '../claude-reader.ts'
import { endFrame } from './end-frame.ts'
import { eventText } from './event-text.ts'
import { createNativeEvents, type NativeProgress } from './native-events.ts'

export function readNativeStream(asked: string): StreamReader {
  const shown = createShown<Buffer>((frames) => frames.map(eventText).join(''))
  const progress: NativeProgress = { ...beginFrames(shown), openBlocks: new Set(), ending: null }
  const { finishReasons } = progress
  return claudeReader(progress, createNativeEvents(progress, asked), {
    usageFrame: (cost, usage, replaces = false) =>
      endFrame(progress.ending, { cost, usage, replaces: replaces || !progress.isFinal }),
    stopFrames() {
      if (finishReasons.length > 0) return Buffer.alloc(0)
      finishReasons.push('max_tokens')
      return Buffer.from([...progress.openBlocks].map(closedBlock).join(''))
    },
  })
}

function closedBlock(index: number): string {
  return `event: content_block_stop\ndata: {"type":"content_block_stop","index":${index}}\n\n`
}
