/**
 * A stream of the Messages API as OpenAI's chunks. Nothing goes out before the first content, so that a call that fails until then
 * can be made again. Text and thoughts pass as they come; a tool call waits until it is whole or a kilobyte long: one that breaks
 * off at its beginning (a gateway that starts a second message in the same stream) was never shown. What has to come in one piece,
 * because clients that add up deltas can't add up lists, comes right before the end: annotations and the blocks of the next turn.
 */

import type { AnswerContext, StreamPart, StreamReader } from '../provider.ts'
import { emptyReading } from '../reading.ts'
import { createShown } from '../shown.ts'
import { createSseFrames } from '../sse-frames.ts'
import { usageRecord } from '../usage.ts'
import { brokenOff } from './errors.ts'
import { createClaudeChunks } from './stream-chunks.ts'
import { type ClaudeProgress, createClaudeEvents } from './stream-events.ts'

export function readClaudeStream(context: AnswerContext): StreamReader {
  const reading = emptyReading()
  const finishReasons: string[] = []
  const shown = createShown<string>((pieces) => pieces.join(''))
  const { outputText, shownText, textSince } = shown
  const progress: ClaudeProgress = {
    reading,
    finishReasons,
    shown,
    frames: 0,
    isFinal: false,
    done: false,
    error: null,
  }
  const chunks = createClaudeChunks(context)
  const readFrame = createClaudeEvents(progress, chunks)
  const scanner = createSseFrames((frame) => {
    if (progress.done || progress.error !== null) return null
    const out = readFrame(frame)
    return out === '' ? null : Buffer.from(out)
  })
  const part = (bytes: Buffer | null): StreamPart => ({ bytes, done: progress.done, error: progress.error })

  return {
    push: (chunk) => part(scanner.push(chunk)),
    end() {
      const bytes = scanner.end()
      if (finishReasons.length > 0) progress.done = true
      else if (progress.error === null) {
        // Nothing more will come, not even an error: what it began with is what it states.
        if (progress.frames === 0) progress.isFinal = reading.usage !== null
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
      return progress.frames > 0
    },
    outputText,
    shownText,
    textSince,
    usageFrame(cost, usage, replaces = false) {
      const stated = progress.isFinal && reading.usage !== null && !replaces ? usageRecord(reading.usage) : usage
      return chunks.usage(stated, cost)
    },
    stopFrames() {
      if (finishReasons.length > 0) return Buffer.alloc(0)
      finishReasons.push('length')
      return Buffer.from(chunks.finish('length', null))
    },
  }
}
