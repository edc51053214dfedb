/**
 * Watches what a stream runs up. Every two seconds it notes in the ledger what was delivered, which is where the call is booked if
 * this process dies. Where the caller set no cap and spending nears the hold, the hold is extended in the same batch; where that is
 * refused, the stream is stopped before it costs more than is covered.
 *
 * The number of frames is a cheap sign of how many tokens have passed; the decision itself is made on counted tokens. A checkpoint
 * counts once, and goes by the frames from then on: reading and counting all that passes, every two seconds, was the largest part of
 * what a long stream cost this process.
 */
import type { StreamReader } from '../../providers/provider.ts'
import type { Ledger } from '../ledger/ledger.ts'
import type { Tokenizer } from '../metering/tokenizer.ts'
import { outputTokens } from '../metering/usage.ts'
import type { Call } from './call.ts'
import { countText } from './count-input.ts'
import { deliveredBy } from './delivered.ts'
import { inputOf } from './place-hold.ts'
import type { Flow } from './relay-stream.ts'

const CHECKPOINT_MS = 2_000
/** A look is taken when this many tokens may be left, so that the extension is back before they are used up. */
const MARGIN_TOKENS = 1_024
const LEAST_STEP = 32
const FIRST_LOOK = 8

export interface StreamMeter {
  /** After each piece that was passed on. */
  passed(flow: Flow): void
  /** The stream is over. */
  end(): void
}

export function createStreamMeter(
  deps: { ledger: Ledger; tokenizer: Tokenizer; step: number },
  call: Call,
  reader: StreamReader,
): StreamMeter {
  const { offer, exchange, caller } = call
  const facts = offer.provider.model(offer.deployment.upstreamModel)
  // A cap of ours on a model whose limit nobody knows bounds how far it grows; one below what was wanted is all that was granted.
  const cap = call.appliedCap ?? Number.POSITIVE_INFINITY
  const extendable = offer.extendable && call.appliedCap === offer.cap
  const count = createOutputCounter(reader, (text) => countText(deps.tokenizer, text, facts))
  let looking = false
  let refused = false
  let ended = false
  let covered = coveredTokens()
  // Nobody knows yet how many tokens a frame of this provider holds: the first look tells.
  let nextLook = extendable ? FIRST_LOOK : Number.POSITIVE_INFINITY
  let noted = 0
  /** What was counted last: tokens, after so many frames, under that statement of usage. */
  let sample: { tokens: number; frames: number; usage: unknown } | null = null
  const timer = setInterval(() => void checkpoint(), CHECKPOINT_MS)

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
    const passed = await countAll(seen)
    const counted = Math.ceil(passed / offer.choices)
    if (covered - counted <= margin() && !refused) await extend(seen, passed)
    if (refused && counted >= covered) flow.stop()
    else nextLook = lookAfter(counted, seen)
  }

  async function countAll(seen: number): Promise<number> {
    const usage = reader.reading.usage
    const tokens = await count()
    sample = { tokens, frames: seen, usage }
    return tokens
  }

  /** By the frames since the last count, where there was one and the provider has not stated anything since. */
  function passedBy(seen: number): number | Promise<number> {
    if (sample === null || sample.frames === 0 || sample.usage !== reader.reading.usage) return countAll(seen)
    return Math.round(sample.tokens * (seen / sample.frames))
  }

  async function extend(seen: number, passed: number): Promise<void> {
    const total = inputOf(call, offer) + offer.quote.outputFor(Math.min(covered + deps.step, cap))
    if (total <= call.held) {
      // All that the cap allows is held: a server that does not keep to it is stopped.
      refused = true
      return
    }
    noted = seen
    const granted = await deps.ledger.extend({
      callId: exchange.callId,
      organizationId: caller.organizationId,
      delivered: deliveredBy(call, passed),
      hold: { total, least: call.held + 1n },
    })
    // Less than asked for is all there was: the next one would be refused.
    refused = granted === null || granted < total
    if (granted !== null) call.held = granted
    covered = coveredTokens()
  }

  /** The stream runs on meanwhile. A count that fails is left to the next one. */
  async function checkpoint(): Promise<void> {
    if (looking || reader.frames === noted) return
    looking = true
    try {
      const seen = reader.frames
      const passed = await passedBy(seen)
      if (ended) return
      noted = seen
      deps.ledger.checkpoint(exchange.callId, caller.organizationId, deliveredBy(call, passed))
    } catch {
    } finally {
      looking = false
    }
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
    end() {
      ended = true
      clearInterval(timer)
    },
  }
}

/**
 * Output tokens so far: as stated, plus what was shown since, and never more than the bytes shown: a statement in the middle moves the
 * hold no further than that. Each call counts only the text that is new; where two pieces meet it may count a token too many, never
 * one too few.
 */
function createOutputCounter(reader: StreamReader, count: (text: string) => Promise<number>): () => Promise<number> {
  let usage = reader.reading.usage
  let position = 0
  let counted = 0
  let bytes = 0
  let measured = 0
  return async () => {
    const stated = reader.reading.usage
    if (stated !== usage) {
      usage = stated
      counted = 0
    }
    const news = reader.textSince(position)
    position = news.position
    if (news.text !== '') counted += await count(news.text)
    if (stated === null) return counted
    bytes += Buffer.byteLength(reader.shownText(measured))
    measured = position
    return Math.min(outputTokens(stated) + counted, bytes)
  }
}
