/**
 * Watches what a stream runs up. Every two seconds it notes in the ledger what was delivered, which is where the call is booked if
 * this process dies, and hears whether the payer may still spend: a stream of a key that was revoked, or of an organization that was
 * suspended, ends there. A hold that is smaller than what the call may become grows: when spending nears it, it is extended in the same
 * batch, up to the cap; where that is refused, the stream is stopped before it costs more than is covered.
 *
 * When to look is decided by bytes, the decision itself is made on counted tokens. No vocabulary makes more tokens than bytes, so
 * what was counted plus the bytes that came since is never too little, however small the frames before were; and as a token is four
 * bytes as a rule, looks grow dense only towards the end of a hold. A checkpoint counts once, and goes by the bytes from then on:
 * reading and counting all that passes, every two seconds, was the largest part of what a long stream cost this process.
 *
 * Where tokens are billed that do not show, the clock is looked at too: the model may have written as fast as it can.
 */
import type { StreamReader } from '../../providers/provider.ts'
import { outputTokens } from '../../providers/usage.ts'
import type { Delivered, Ledger } from '../ledger/ledger.ts'
import type { Tokenizer } from '../metering/tokenizer.ts'
import type { Call } from './call.ts'
import { countText } from './count-input.ts'
import { deliveredBy } from './delivered.ts'
import { inputOf } from './place-hold.ts'
import type { Flow } from './relay-stream.ts'

const CHECKPOINT_MS = 2_000
/** A look is taken when this many tokens may be left, so that the extension is back before they are used up. */
const MARGIN_TOKENS = 1_024
/** Outside the margin, looks are at least so many bytes apart: a part of the margin, so that they end inside it. */
const LEAST_STEP = 32
const STEPS_IN_MARGIN = 8
/** The longest a timer waits. */
const LONGEST_MS = 2 ** 31 - 1
/** By how much our count may be above a server's own: Claude's newer models, of which little is known, are taken at the most. */
const CAP_TOLERANCE = 0.25
const CAP_TOLERANCE_TOKENS = 16
const NEVER = Number.POSITIVE_INFINITY

export interface StreamMeter {
  /** The call goes out. */
  begin(flow: Flow): void
  /** Bytes that may be read before it is time to look. */
  room(): number
  /** After each piece that was read. */
  passed(flow: Flow): void
  /** The stream is over. */
  end(): void
}

export interface MeterDependencies {
  ledger: Ledger
  tokenizer: Tokenizer
  /** Monotonic, in milliseconds. */
  now: () => number
}

interface Growth {
  /** Tokens a choice that the hold covers. */
  readonly covered: number
  /** How many of them may be left when the hold is to grow; 0 once it can't. */
  readonly margin: number
  /** `refused`: the stream ends with what is covered. `whole`: all that the cap allows is covered, and the server is left to keep it. */
  readonly state: 'growing' | 'refused' | 'whole'
  /** @param passed output tokens of all choices. @param reached tokens a choice that may be written by now. */
  extend(passed: number, reached: number, flow: Flow): Promise<void>
}

/** The hold of a stream while it grows. */
function createGrowth({ ledger }: MeterDependencies, call: Call): Growth {
  const { candidate, exchange, caller } = call
  const most = candidate.most ?? NEVER
  const coveredTokens = () => candidate.quote.outputTokensIn(call.held - inputOf(call, candidate))
  let covered = coveredTokens()
  let state: Growth['state'] = 'growing'
  // A cap below what was wanted is all that was granted.
  if (!candidate.extendable || call.appliedCap !== candidate.cap) atCap()

  /**
   * All that the cap allows is held, and the server keeps the cap by its own count, which ours may be above: one that passes it by
   * more than that is stopped. What can't be seen, or costs the same when it is stopped, is left to its provider.
   */
  function atCap(): void {
    if (candidate.topSpeed !== null || candidate.provider.billsAbandoned) {
      state = 'whole'
      return
    }
    state = 'refused'
    covered += Math.ceil(covered * CAP_TOLERANCE) + CAP_TOLERANCE_TOKENS
  }

  return {
    get covered() {
      return covered
    },
    get margin() {
      return state === 'growing' ? Math.min(MARGIN_TOKENS, Math.ceil(covered / 2)) : 0
    },
    get state() {
      return state
    },
    async extend(passed, reached, flow) {
      const next = Math.min(Math.max(covered, reached) + candidate.step, most)
      const total = inputOf(call, candidate) + candidate.quote.outputFor(next)
      if (total <= call.held) {
        atCap()
        return
      }
      const granted = await ledger.extend({
        callId: exchange.callId,
        organizationId: caller.organizationId,
        delivered: deliveredBy(call, passed),
        hold: { total, least: call.held + 1n },
        onEnded: (why) => flow.end(why),
      })
      // Less than asked for is all there was: the next one would be refused.
      if (granted === null || granted < total) state = 'refused'
      if (granted !== null) call.held = granted
      covered = coveredTokens()
    },
  }
}

export function createStreamMeter(deps: MeterDependencies, call: Call, reader: StreamReader): StreamMeter {
  const { candidate, exchange, caller } = call
  const facts = candidate.provider.model(candidate.deployment.upstreamModel)
  const count = createOutputCounter(reader, (text) => countText(deps.tokenizer, text, facts, caller.organizationId))
  const growth = createGrowth(deps, call)
  const startedAt = deps.now()
  let looking = false
  let ended = false
  let nextLook = bytesUntil(0, 0)
  let noted = 0
  /** What was counted last: tokens, after so many bytes, under that statement of usage. */
  let sample: { tokens: number; bytes: number; usage: unknown } | null = null
  let timer: NodeJS.Timeout | undefined
  let clock: NodeJS.Timeout | undefined

  /** Bytes shown by the time of the next look, after `counted` tokens (a choice) in `seen` bytes. */
  function bytesUntil(counted: number, seen: number): number {
    if (growth.state === 'whole') return NEVER
    const { covered, margin } = growth
    const least = margin === 0 ? 1 : Math.max(LEAST_STEP, Math.floor(margin / STEPS_IN_MARGIN))
    return seen + Math.max(least, (covered - counted - margin) * candidate.choices)
  }

  /** Tokens a choice that the model may have written by now without showing them. */
  function unseen(): number {
    return candidate.topSpeed === null ? 0 : Math.ceil(((deps.now() - startedAt) * candidate.topSpeed) / 1_000)
  }

  async function look(flow: Flow): Promise<void> {
    // Before anything is awaited: what passes meanwhile is in neither number.
    const seen = reader.shownBytes
    const passed = await countAll(seen)
    const shown = Math.ceil(passed / candidate.choices)
    const reached = Math.max(shown, unseen())
    if (growth.state === 'growing' && growth.covered - reached <= growth.margin) {
      noted = seen
      await growth.extend(passed, reached, flow)
    }
    if (growth.state === 'refused' && Math.max(shown, unseen()) >= growth.covered) flow.stop()
    else nextLook = bytesUntil(shown, seen)
  }

  async function countAll(seen: number): Promise<number> {
    const usage = reader.reading.usage
    const tokens = await count()
    sample = { tokens, bytes: seen, usage }
    return tokens
  }

  /** By the bytes since the last count, where there was one and the provider has not stated anything since. */
  function passedBy(seen: number): number | Promise<number> {
    if (sample === null || sample.bytes === 0 || sample.usage !== reader.reading.usage) return countAll(seen)
    return Math.round(sample.tokens * (seen / sample.bytes))
  }

  /** Neither a slow database nor a large text to count may let the stream run on uncovered. */
  function lookNow(flow: Flow): void {
    looking = true
    flow.pause()
    look(flow)
      .catch(() => flow.stop())
      .finally(() => {
        looking = false
        exchange.guard(() => {
          flow.resume()
          watchClock(flow)
        })()
      })
  }

  /** Looks by the time the model can have written what is covered, whatever is seen of it. */
  function watchClock(flow: Flow): void {
    clearTimeout(clock)
    if (candidate.topSpeed === null || ended || growth.state === 'whole') return
    const { covered, margin } = growth
    const wait = Math.ceil(startedAt + ((covered - margin) * 1_000) / candidate.topSpeed - deps.now())
    const due = () => (looking ? watchClock(flow) : lookNow(flow))
    clock = setTimeout(exchange.guard(due), Math.min(LONGEST_MS, Math.max(1, wait)))
  }

  function note(delivered: Delivered | null, flow: Flow): void {
    deps.ledger.checkpoint(exchange.callId, caller.organizationId, delivered, (why) => flow.end(why))
  }

  /** The stream runs on meanwhile. A count that fails is left to the next one. */
  async function checkpoint(flow: Flow): Promise<void> {
    if (looking) return note(null, flow)
    looking = true
    try {
      if (reader.shownBytes === noted) return note(null, flow)
      const seen = reader.shownBytes
      const passed = await passedBy(seen)
      if (ended) return
      noted = seen
      note(deliveredBy(call, passed), flow)
    } catch {
    } finally {
      looking = false
    }
  }

  return {
    begin(flow) {
      timer = setInterval(
        exchange.guard(() => void checkpoint(flow)),
        CHECKPOINT_MS,
      )
      watchClock(flow)
    },
    room: () => nextLook - reader.shownBytes,
    passed(flow) {
      if (!looking && reader.shownBytes >= nextLook) lookNow(flow)
    },
    end() {
      ended = true
      clearInterval(timer)
      clearTimeout(clock)
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
