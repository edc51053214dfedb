/** What is known of a stream of Claude's so far, whether it is translated or passes as it is. */
import type { ProviderError } from '../provider.ts'
import { emptyReading, type Reading } from '../reading.ts'
import type { Shown } from '../shown.ts'
import { readClaudeUsage } from './usage.ts'

export interface ClaudeProgress<Piece> {
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

export function beginProgress<Piece>(shown: Shown<Piece>): ClaudeProgress<Piece> {
  return { reading: emptyReading(), finishReasons: [], shown, frames: 0, isFinal: false, done: false, error: null }
}

/** What a stream begins with tells the input; the output is counted until it is stated at the end. */
export function takeUsage(progress: ClaudeProgress<unknown>, raw: unknown, atEnd: boolean): void {
  const stated = readClaudeUsage(raw, progress.reading.model)
  if (stated === null) return
  progress.isFinal = atEnd
  const { usage, consistent, serviceTier, byModel } = stated
  const counted = atEnd ? usage : { ...usage, output: 0, reasoning: 0 }
  Object.assign(progress.reading, { usage: counted, consistent, serviceTier, byModel })
}
