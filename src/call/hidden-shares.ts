/**
 * How many hidden tokens a model usually bills for each one it shows, learned from calls that were settled at their provider's
 * statement. It is used where a call ends before its usage is stated. It is kept in this process only, for the models called last. After
 * a restart, and for a model without such calls, it is one to one.
 */
import type { Usage } from '../../providers/usage.ts'

const MODELS_MAX = 1_000
/** The weight of a call shrinks by this factor with each later one, so about the last twenty count. */
const DECAY = 0.95
/** Bytes of a token of text, where the response does not state hidden tokens separately. */
const BYTES_PER_TOKEN = 4

interface Sums {
  hidden: number
  shown: number
}

export interface HiddenShares {
  /** @param shownBytes the bytes of the text that was shown. */
  learn(model: string, usage: Usage, shownBytes: number): void
  /** How many hidden tokens go with a number of shown ones. */
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
