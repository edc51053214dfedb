/** The reader of a stream of Claude's, by its progress and by what becomes of each of its frames. */
import type { StreamPart, StreamReader } from '../provider.ts'
import { createSseFrames, type Verdict } from '../sse-frames.ts'
import type { ClaudeProgress } from './claude-progress.ts'
import { brokenOff } from './errors.ts'

export function claudeReader(
  progress: ClaudeProgress<unknown>,
  readFrame: (frame: Buffer) => Verdict,
  ends: Pick<StreamReader, 'usageFrame' | 'stopFrames'>,
): StreamReader {
  const { reading, finishReasons, shown } = progress
  const { outputText, shownText, textSince } = shown
  const scanner = createSseFrames((frame) => (progress.done || progress.error !== null ? null : readFrame(frame)))
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
    ...ends,
  }
}
