/** The reader of a stream of Claude's, translated or as it is. */
import type { FrameProgress } from '../frame-progress.ts'
import { type FrameReaderParts, frameReader } from '../frame-reader.ts'
import type { StreamReader } from '../provider.ts'
import { brokenOff } from './errors.ts'

export function claudeReader(
  progress: FrameProgress<unknown>,
  readFrame: FrameReaderParts['readFrame'],
  ends: Pick<StreamReader, 'usageFrame' | 'stopFrames'>,
): StreamReader {
  return frameReader(progress, {
    readFrame,
    atEnd() {
      if (progress.finishReasons.length > 0) progress.done = true
      else if (progress.error === null) {
        // Nothing more will come, not even an error: what it began with is what it states.
        if (progress.frames === 0) progress.isFinal = progress.reading.usage !== null
        progress.error = brokenOff()
      }
    },
    ...ends,
  })
}
