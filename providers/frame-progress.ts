/** What is known so far of a stream that is read frame by frame. */
import type { ProviderError } from './provider.ts'
import { emptyReading, type Reading } from './reading.ts'
import type { Shown } from './shown.ts'

export interface FrameProgress<Piece> {
  readonly reading: Reading
  readonly finishReasons: string[]
  /** Output text. */
  readonly shown: Shown<Piece>
  /** With content. */
  frames: number
  isFinal: boolean
  done: boolean
  error: ProviderError | null
}

export function beginFrames<Piece>(shown: Shown<Piece>): FrameProgress<Piece> {
  return { reading: emptyReading(), finishReasons: [], shown, frames: 0, isFinal: false, done: false, error: null }
}
