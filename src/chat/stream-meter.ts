/**
 * Watches what a stream without a cap runs up. When spending nears the hold, the hold is extended; where that is refused, the
 * stream is stopped before it costs more than is covered.
 *
 * The number of frames is a cheap sign of how many tokens have passed; the decision itself is made on counted tokens.
 */
import type { StreamReader } from '../../providers/provider.ts'
import type { Ledger } from '../ledger/ledger.ts'
import type { Tokenizer } from '../metering/tokenizer.ts'
import { NO_USAGE, outputTokens } from '../metering/usage.ts'
import type { Call } from './call.ts'
import { inputOf } from './place-hold.ts'
import type { Flow } from './relay-stream.ts'

/** A look is taken when this many tokens may be left, so that the extension is back before they are used up. */
const MARGIN_TOKENS = 1_024
const LEAST_STEP = 32
const FIRST_LOOK = 8

export interface StreamMeter {
  /** After each piece that was passed on. */
  passed(flow: Flow): void
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
  // Nobody knows yet how many tokens a frame of this provider holds: the first look tells.
  let nextLook = FIRST_LOOK

  function coveredTokens(): number {
    return offer.quote.outputTokensIn(call.held - inputOf(call, offer))
  }

  function margin(): number {
    return Math.min(MARGIN_TOKENS, Math.ceil(covered / 2))
  }

  /** The frame to look at next, after `counted` tokens (a choice) in `seen` frames: a frame may hold many tokens. */
  function lookAfter(counted: number, seen: number): number {
    const left = covered - counted - (refused ? 0 : margin())
    const tokensPerFrame = Math.max(1, counted / seen)
    return seen + Math.max(1, Math.floor((refused ? left : Math.max(LEAST_STEP, left)) / tokensPerFrame))
  }

  async function look(flow: Flow): Promise<void> {
    // Before anything is awaited: what passes meanwhile is in neither number.
    const seen = reader.frames
    const stated = outputTokens(reader.reading.usage ?? NO_USAGE)
    const passed = stated + (await deps.tokenizer.count(reader.outputText(), encoding))
    const counted = Math.ceil(passed / offer.choices)
    if (covered - counted <= margin() && !refused) {
      const total = inputOf(call, offer) + offer.quote.outputFor(covered + deps.step)
      const granted = await deps.ledger.extend(call.exchange.callId, total, call.held + 1n)
      // Less than asked for is all there was: the next one would be refused.
      refused = granted === null || granted < total
      if (granted !== null) call.held = granted
      covered = coveredTokens()
    }
    if (refused && counted >= covered) flow.stop()
    else nextLook = lookAfter(counted, seen)
  }

  return {
    passed(flow) {
      if (looking || reader.frames < nextLook) return
      looking = true
      // Neither a slow database nor a large text to count may let the stream run on uncovered.
      flow.pause()
      look(flow)
        .catch(() => flow.stop())
        .finally(() => {
          looking = false
          flow.resume()
        })
    },
  }
}
