/**
 * How many tokens of a model are usually billed for each one that shows, learned from calls that were settled at what their provider
 * stated. It stands in where a call ends before its usage does. Kept in this process only and for the models asked for last: after a
 * restart, and of a model nobody has called to its end, it is one to one.
 */
import type { Usage } from '../../providers/usage.ts'

const MODELS_MAX = 1_000
/** The weight of a call shrinks by this factor with each later one, so about the last twenty count. */
const DECAY = 0.95
/** What a token of text is, where the response does not tell the hidden ones apart. */
const BYTES_PER_TOKEN = 4

interface Sums {
  hidden: number
  shown: number
}

export interface HiddenShares {
  /** @param shownBytes text that was shown, in bytes. */
  learn(model: string, usage: Usage, shownBytes: number): void
  /** Hidden tokens that go with so many shown ones. */
  hiddenFor(model: string, shown: number): number
}

export function createHiddenShares(): HiddenShares {
  const models = new Map<string, Sums>()
  return {
    learn(model, usage, shownBytes) {
      const { output, reasoning } = usage
      const shown = reasoning > 0 ? output - reasoning : Math.min(output, Math.ceil(shownBytes / BYTES_PER_TOKEN))
      // A response that shows nothing has no share to learn from.
      if (shown <= 0) return
      const { hidden: earlier, shown: before } = models.get(model) ?? { hidden: 0, shown: 0 }
      models.delete(model)
      models.set(model, { hidden: earlier * DECAY + output - shown, shown: before * DECAY + shown })
      const [oldest] = models.keys()
      if (models.size > MODELS_MAX && oldest !== undefined) models.delete(oldest)
    },
    hiddenFor(model, shown) {
      const sums = models.get(model)
      return sums === undefined ? shown : Math.ceil((shown * sums.hidden) / sums.shown)
    },
  }
}
