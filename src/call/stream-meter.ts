/**
 * Meters a running stream. Every two seconds it notes in the ledger what was delivered (a checkpoint): if this process dies, the call is
 * booked at that. The ledger answers whether the payer may still spend: a stream of a revoked key or a suspended organization ends there.
 * A hold that is smaller than what the call may cost grows: when the cost nears it, it is extended, up to the cap. Where that is refused,
 * the stream is stopped before it costs more than is covered.
 *
 * Bytes decide when the meter looks; counted tokens decide what it does. No vocabulary makes more tokens than bytes, so the last count
 * plus the bytes since is never too little. A token usually has four bytes, so looks become dense only towards the end of a hold. A
 * checkpoint counts once and goes by bytes from then on: counting all text every two seconds was the largest cost of a long stream here.
 *
 * Where hidden tokens are billed, the meter looks at the clock too: the model may have written as fast as it can.
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
  /** Starts the checkpoints: the call goes out. */
  begin(control: StreamControl): void
  /** How many bytes may be read before the meter must look. */
  room(): number
  /** Looks if it is time. Call it after each piece that was read. */
  passed(control: StreamControl): void
  /** Stops the timers: the stream is over. */
  end(): void
}

export interface MeterDependencies {
  ledger: Pick<Ledger, 'checkpoint'>
  tokenizer: Tokenizer
  /** Monotonic, in milliseconds. */
  now: () => number
}

/** The last count: tokens, the bytes shown by then, and the usage stated by then. */
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
  /** The meter looks when this many bytes were shown. */
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

  /** How many bytes are shown at the next look, after `counted` tokens per choice in `seen` bytes. */
  #bytesUntil(counted: number, seen: number): number {
    const { covered, margin, state } = this.#growth
    if (state === 'whole') return NEVER
    const least = margin === 0 ? 1 : Math.max(LEAST_STEP, Math.floor(margin / STEPS_IN_MARGIN))
    return seen + Math.max(least, (covered - counted - margin) * this.#choices)
  }

  get #choices(): number {
    return this.#attempt.candidate.terms.choices
  }

  /** Tokens per choice that the model may have written by now without showing them. */
  #hidden(): number {
    const { topSpeed } = this.#attempt.candidate
    return topSpeed === null ? 0 : Math.ceil(((this.#deps.now() - this.#startedAt) * topSpeed) / 1_000)
  }

  /** Pauses the stream and looks: neither a slow database nor a long count may let it run on uncovered. */
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

  /** Estimates by the bytes since the last count, if there was one and the provider has stated nothing since. */
  #estimateOf(seen: number): number | Promise<number> {
    const sample = this.#sample
    if (sample === null || sample.bytes === 0 || sample.usage !== this.#reader.reading.usage)
      return this.#countAll(seen)
    return Math.round(sample.tokens * (seen / sample.bytes))
  }

  /** Looks at the time at which the model can have written what is covered, whatever was shown. */
  #watchClock(control: StreamControl): void {
    clearTimeout(this.#clock)
    const { call, candidate } = this.#attempt
    const { covered, margin, state } = this.#growth
    if (candidate.topSpeed === null || this.#isOver || state === 'whole') return
    const wait = Math.ceil(this.#startedAt + ((covered - margin) * 1_000) / candidate.topSpeed - this.#deps.now())
    const due = () => (this.#isLooking ? this.#watchClock(control) : this.#lookNow(control))
    this.#clock = setTimeout(call.exchange.guard(due), Math.min(LONGEST_MS, Math.max(1, wait)))
  }

  /** The stream runs on meanwhile. If a count fails, the next checkpoint counts. */
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
