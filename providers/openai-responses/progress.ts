/** What is known of a stream of a response so far. */

import type { ProviderError } from '../provider.ts'
import { emptyReading, type Reading } from '../reading.ts'
import { createShown, type Shown } from '../shown.ts'
import { createItems, type Items } from './items.ts'

export interface ResponseProgress {
  readonly reading: Reading
  readonly finishReasons: string[]
  /** Output text, by the events it came with. */
  readonly shown: Shown<string>
  readonly items: Items
  /** With content. */
  frames: number
  isFinal: boolean
  done: boolean
  error: ProviderError | null
  /** The response as it was announced. */
  begun: Readonly<Record<string, unknown>> | null
  /** The payload of the event that ends it, kept back. */
  ending: Buffer | null
  /** Of the last event that had a number; -1 before it. */
  sequence: number
}

export function beginResponse(): ResponseProgress {
  return {
    reading: emptyReading(),
    finishReasons: [],
    shown: createShown<string>((pieces) => pieces.join('')),
    items: createItems(),
    frames: 0,
    isFinal: false,
    done: false,
    error: null,
    begun: null,
    ending: null,
    sequence: -1,
  }
}
