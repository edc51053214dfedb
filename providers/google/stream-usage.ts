/** The usage a stream stated last. It is parsed and read only when somebody asks: every frame states it. */
import { asObject, parseJson } from '../json.ts'
import type { Reading } from '../reading.ts'
import { withImages } from '../seen-images.ts'
import { readGoogleUsage } from './usage.ts'

type Json = Record<string, unknown>

export interface StreamUsage {
  /** Something was stated. */
  readonly isStated: boolean
  /** `usage` may be its text, not parsed yet. */
  state(usage: Json | string): void
  stated(): Json | null
  /** `reading`, with what was stated last. */
  read(): Reading
}

export function createStreamUsage(reading: Reading): StreamUsage {
  /** As last stated, parsed or not yet, and whether `reading` has it already. */
  let last: Json | string | null = null
  let isRead = true

  function stated(): Json | null {
    if (typeof last === 'string') last = asObject(parseJson(last))
    return last
  }

  return {
    get isStated() {
      return last !== null
    },
    state(usage) {
      last = usage
      isRead = false
    },
    stated,
    read() {
      const usage = isRead ? null : stated()
      if (usage !== null) {
        isRead = true
        const { usage: read, consistent } = readGoogleUsage(usage)
        Object.assign(reading, { usage: withImages(read, reading), consistent })
        if (typeof usage.serviceTier === 'string') reading.serviceTier = usage.serviceTier
      }
      return reading
    },
  }
}
