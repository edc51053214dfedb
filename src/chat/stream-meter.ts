/**
 * Watches what a stream without a cap runs up. When spending nears the hold, the hold is extended; where that is refused, the
 * stream is stopped before it costs more than is covered.
 *
 * The number of frames is a cheap sign of how many tokens have passed; the decision itself is made on counted tokens.
 */
import type { StreamReader } from '../../providers/provider.ts'
import type { Ledger } from '../ledger/ledger.ts'
import type { Tokenizer } from '../metering/tokenizer.ts'
import type { Call } from './call.ts'

/** A look is taken when this many tokens may be left, so that the extension is back before they are used up. */
const MARGIN_TOKENS = 1_024
const LEAST_STEP = 32

export interface StreamMeter {
  /** After each piece that was passed on. `stop` ends the stream. */
  passed(stop: () => void): void
}

export function createStreamMeter(
  deps: { ledger: Ledger; tokenizer: Tokenizer; step: number },
  call: Call,
  reader: StreamReader,
): StreamMeter {
  const { offer } = call
  if (!offer.extendable || call.appliedCap !== null) return { passed: () => {} }
  const { encoding } = offer.provider.model(offer.deployment.upstreamModel)
  let looking = false
  let refused = false
  let covered = coveredTokens()
  let nextLook = lookAt(0)

  function coveredTokens(): number {
    return offer.quote.outputTokensIn(call.held - call.hold.input)
  }

  function lookAt(counted: number): number {
    const left = covered - counted
    return reader.frames + Math.max(LEAST_STEP, refused ? left : left - Math.min(MARGIN_TOKENS, Math.ceil(covered / 2)))
  }

  async function look(stop: () => void): Promise<void> {
    const counted = Math.ceil((await deps.tokenizer.count(reader.outputText(), encoding)) / call.request.choices)
    if (covered - counted <= MARGIN_TOKENS && !refused) {
      const total = call.hold.input + offer.quote.outputFor(covered + deps.step)
      const granted = await deps.ledger.extend(call.exchange.callId, total, call.held + 1n)
      if (granted === null) refused = true
      else call.held = granted
      covered = coveredTokens()
    }
    if (refused && counted >= covered) stop()
    else nextLook = lookAt(counted)
  }

  return {
    passed(stop) {
      if (looking || reader.frames < nextLook) return
      looking = true
      look(stop)
        .catch(() => stop())
        .finally(() => {
          looking = false
        })
    },
  }
}
