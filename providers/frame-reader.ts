/** The reader of a stream, by its progress and by what becomes of each of its frames. */
import type { FrameProgress } from './frame-progress.ts'
import type { StreamPart, StreamReader } from './provider.ts'
import { createSseFrames, type Verdict } from './sse-frames.ts'

export interface FrameReaderParts extends Pick<StreamReader, 'usageFrame' | 'stopFrames'> {
  readFrame: (frame: Buffer) => Verdict
  /** Nothing more comes: says whether it is done, or how it broke off. */
  atEnd(): void
}

export function frameReader(
  progress: FrameProgress<unknown>,
  { readFrame, atEnd, ...ends }: FrameReaderParts,
): StreamReader {
  const { finishReasons, shown } = progress
  const { outputText, shownText, textSince } = shown
  const scanner = createSseFrames((frame) => (progress.done || progress.error !== null ? null : readFrame(frame)))
  const part = (bytes: Buffer | null): StreamPart => ({ bytes, done: progress.done, error: progress.error })

  return {
    push: (chunk) => part(scanner.push(chunk)),
    end() {
      const bytes = scanner.end()
      atEnd()
      return part(bytes)
    },
    get reading() {
      return progress.reading
    },
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
