/**
 * Watches what a stream runs up. Every two seconds it notes in the ledger what was delivered, which is where the call is booked if
 * this process dies, and learns whether the payer may still spend: a stream of a key that was revoked, or of an organization that was
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
import type { ModelFacts, StreamReader } from '../../providers/provider.ts'
import type { Delivered, Ledger } from '../ledger/ledger.ts'
import { countText } from '../metering/count-text.ts'
import type { Tokenizer } from '../metering/tokenizer.ts'
import { accruedCost } from './accrued-cost.ts'
import type { Attempt } from './admitted.ts'
import { createOutputCounter } from './output-counter.ts'
import type { StreamControl } from './stream-control.ts'
import { createStreamGrowth, type StreamGrowth } from './stream-growth.ts'

const CHECKPOINT_MS = 2_000
/** Outside the margin, two looks are at least this many bytes apart: a part of the margin, so that no step passes over it. */
const LEAST_STEP = 32
const STEPS_IN_MARGIN = 8
/** The longest a timer waits. */
const LONGEST_MS = 2 ** 31 - 1
const NEVER = Number.POSITIVE_INFINITY

export interface StreamMeter {
  /** The call goes out. */
  begin(control: StreamControl): void
  /** Bytes that may be read before it is time to look. */
  room(): number
  /** After each piece that was read. */
  passed(control: StreamControl): void
  /** The stream is over. */
  end(): void
}

export interface MeterDependencies {
  ledger: Pick<Ledger, 'checkpoint'>
  tokenizer: Tokenizer
  /** Monotonic, in milliseconds. */
  now: () => number
}

/** What was counted last: tokens, after so many bytes, under that statement of usage. */
interface Sample {
  tokens: number
  bytes: number
  usage: unknown
}

export function createStreamMeter(deps: MeterDependencies, attempt: Attempt, reader: StreamReader): StreamMeter {
  return new Meter(deps, attempt, reader)
}

class Meter implements StreamMeter {
  readonly #deps: MeterDependencies
  readonly #attempt: Attempt
  readonly #reader: StreamReader
  readonly #growth: StreamGrowth
  readonly #count: () => Promise<number>
  readonly #startedAt: number
  #isLooking: boolean = false
  #isOver: boolean = false
  /** Bytes shown by the time of the next look. */
  #nextLook: number
  /** Bytes shown at the last checkpoint. */
  #noted = 0
  #sample: Sample | null = null
  #checkpoints: NodeJS.Timeout | undefined
  #clock: NodeJS.Timeout | undefined

  constructor(deps: MeterDependencies, attempt: Attempt, reader: StreamReader) {
    this.#deps = deps
    this.#attempt = attempt
    this.#reader = reader
    this.#growth = createStreamGrowth(attempt)
    const facts: ModelFacts = attempt.candidate.terms.facts
    const { organizationId } = attempt.call.caller
    this.#count = createOutputCounter(reader, (text) => countText(deps.tokenizer, text, facts, organizationId))
    this.#startedAt = deps.now()
    this.#nextLook = this.#bytesUntil(0, 0)
  }

  begin(control: StreamControl): void {
    const { exchange } = this.#attempt.call
    const due = exchange.guard(() => void this.#checkpoint(control))
    this.#checkpoints = setInterval(due, CHECKPOINT_MS)
    this.#watchClock(control)
  }

  room(): number {
    return this.#nextLook - this.#reader.shownBytes
  }

  passed(control: StreamControl): void {
    if (!this.#isLooking && this.#reader.shownBytes >= this.#nextLook) this.#lookNow(control)
  }

  end(): void {
    this.#isOver = true
    clearInterval(this.#checkpoints)
    clearTimeout(this.#clock)
  }

  /** Bytes shown by the time of the next look, after `counted` tokens (a choice) in `seen` bytes. */
  #bytesUntil(counted: number, seen: number): number {
    const { covered, margin, state } = this.#growth
    if (state === 'whole') return NEVER
    const least = margin === 0 ? 1 : Math.max(LEAST_STEP, Math.floor(margin / STEPS_IN_MARGIN))
    return seen + Math.max(least, (covered - counted - margin) * this.#choices)
  }

  get #choices(): number {
    return this.#attempt.candidate.terms.choices
  }

  /** Tokens a choice that the model may have written by now without showing them. */
  #hidden(): number {
    const { topSpeed } = this.#attempt.candidate
    return topSpeed === null ? 0 : Math.ceil(((this.#deps.now() - this.#startedAt) * topSpeed) / 1_000)
  }

  /** Neither a slow database nor a large text to count may let the stream run on uncovered. */
  #lookNow(control: StreamControl): void {
    const { exchange } = this.#attempt.call
    this.#isLooking = true
    control.pause()
    this.#look(control)
      .catch(() => control.stop())
      .finally(() => {
        this.#isLooking = false
        exchange.guard(() => {
          control.resume()
          this.#watchClock(control)
        })()
      })
  }

  async #look(control: StreamControl): Promise<void> {
    const growth = this.#growth
    // Read both numbers before anything is awaited: bytes that pass meanwhile belong to neither.
    const seen = this.#reader.shownBytes
    const passed = await this.#countAll(seen)
    const shown = Math.ceil(passed / this.#choices)
    const reached = Math.max(shown, this.#hidden())
    if (growth.state === 'growing' && growth.covered - reached <= growth.margin) {
      this.#noted = seen
      await growth.extend(passed, reached, control)
    }
    if (growth.state === 'refused' && Math.max(shown, this.#hidden()) >= growth.covered) control.stop()
    else this.#nextLook = this.#bytesUntil(shown, seen)
  }

  async #countAll(seen: number): Promise<number> {
    const { usage } = this.#reader.reading
    const tokens = await this.#count()
    this.#sample = { tokens, bytes: seen, usage }
    return tokens
  }

  /** By the bytes since the last count, where there was one and the provider has not stated anything since. */
  #estimateOf(seen: number): number | Promise<number> {
    const sample = this.#sample
    if (sample === null || sample.bytes === 0 || sample.usage !== this.#reader.reading.usage)
      return this.#countAll(seen)
    return Math.round(sample.tokens * (seen / sample.bytes))
  }

  /** Looks by the time the model can have written what is covered, whatever is seen of it. */
  #watchClock(control: StreamControl): void {
    clearTimeout(this.#clock)
    const { call, candidate } = this.#attempt
    const { covered, margin, state } = this.#growth
    if (candidate.topSpeed === null || this.#isOver || state === 'whole') return
    const wait = Math.ceil(this.#startedAt + ((covered - margin) * 1_000) / candidate.topSpeed - this.#deps.now())
    const due = () => (this.#isLooking ? this.#watchClock(control) : this.#lookNow(control))
    this.#clock = setTimeout(call.exchange.guard(due), Math.min(LONGEST_MS, Math.max(1, wait)))
  }

  /** The stream runs on meanwhile. A count that fails is left to the next one. */
  async #checkpoint(control: StreamControl): Promise<void> {
    if (this.#isLooking) return this.#note(null, control)
    this.#isLooking = true
    try {
      const seen = this.#reader.shownBytes
      if (seen === this.#noted) return this.#note(null, control)
      const passed = await this.#estimateOf(seen)
      if (this.#isOver) return
      this.#noted = seen
      this.#note(accruedCost(this.#attempt.candidate, passed), control)
    } catch {
    } finally {
      this.#isLooking = false
    }
  }

  #note(delivered: Delivered | null, control: StreamControl): void {
    const { exchange, caller } = this.#attempt.call
    this.#deps.ledger.checkpoint(exchange.callId, caller.organizationId, delivered, (why) => control.end(why))
  }
}
