/**
 * A stream of the Messages API as OpenAI's chunks. Nothing goes out before the first content, so that a call that fails until then
 * can be made again. Text and thoughts pass as they come; a tool call waits until it is whole or a kilobyte long: one that breaks
 * off at its beginning (a gateway that starts a second message in the same stream) was never shown. What has to come in one piece,
 * because clients that add up deltas can't add up lists, comes right before the end: annotations and the blocks of the next turn.
 */

import { beginFrames } from '../frame-progress.ts'
import type { ResponseContext, StreamReader } from '../provider.ts'
import { createShown } from '../shown.ts'
import { usageRecord } from '../usage.ts'
import { claudeReader } from './claude-reader.ts'
import { createClaudeChunks } from './stream-chunks.ts'
import { createClaudeEvents } from './stream-events.ts'

export function readClaudeStream(context: ResponseContext): StreamReader {
  const progress = beginFrames(createShown<string>((pieces) => pieces.join('')))
  const { reading, finishReasons } = progress
  const chunks = createClaudeChunks(context)
  const readFrame = createClaudeEvents(progress, chunks)
  const translated = (frame: Buffer) => {
    const out = readFrame(frame)
    return out === '' ? null : Buffer.from(out)
  }
  return claudeReader(progress, translated, {
    usageFrame(cost, usage, replaces = false) {
      const stated = progress.isFinal && reading.usage !== null && !replaces ? usageRecord(reading.usage) : usage
      return chunks.usage(stated, cost)
    },
    stopFrames() {
      if (finishReasons.length > 0) return Buffer.alloc(0)
      finishReasons.push('length')
      return Buffer.from(chunks.finish('length', null))
    },
  })
}
