/** What is known of a stream of a response so far. */
import { beginFrames, type FrameProgress } from '../frame-progress.ts'
import { createShown } from '../shown.ts'
import { createItems, type Items } from './items.ts'

/** Its pieces are output text, by the events it came with. */
export interface ResponseProgress extends FrameProgress<string> {
  readonly items: Items
  /** The response as it was announced. */
  begun: Readonly<Record<string, unknown>> | null
  /** The payload of the event that ends it, kept back. */
  ending: Buffer | null
  /** Of the last event that had a number; -1 before it. */
  sequence: number
}

export function beginResponse(): ResponseProgress {
  const shown = createShown<string>((pieces) => pieces.join(''))
  return { ...beginFrames(shown), items: createItems(), begun: null, ending: null, sequence: -1 }
}
