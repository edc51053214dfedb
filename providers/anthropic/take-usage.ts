/** What a stream of Claude's states of its usage, whether it is translated or passes as it is. */
import type { FrameProgress } from '../frame-progress.ts'
import { readClaudeUsage } from './usage.ts'

/** What a stream begins with tells the input; the output is counted until it is stated at the end. */
export function takeUsage(progress: FrameProgress<unknown>, raw: unknown, atEnd: boolean): void {
  const stated = readClaudeUsage(raw, progress.reading.model)
  if (stated === null) return
  progress.isFinal = atEnd
  const { usage, consistent, serviceTier, byModel } = stated
  const counted = atEnd ? usage : { ...usage, output: 0, reasoning: 0 }
  Object.assign(progress.reading, { usage: counted, consistent, serviceTier, byModel })
}
