/**
 * Relays one attempt's stream: bytes pass as they arrive, and the reader meters them on the way. Frames without content (a role, an empty
 * delta) wait for the first content, so that a stream that fails before it can be tried again. A relay ends in exactly one of the ways of
 * RelayEnd; its caller settles.
 */
import type { ProviderError, StreamPart, StreamReader } from '../../providers/provider.ts'
import { isPaid } from '../../providers/reading.ts'
import type { Exchange } from '../http/exchange.ts'
import type { Ended } from '../ledger/ledger.ts'
import { type Backpressure, createBackpressure } from './backpressure.ts'
import type { ClientStream } from './client-stream.ts'
import { notSent } from './provider-failure.ts'
import { keepRefusal, type RefusalBody } from './refusal-body.ts'
import type { StreamControl } from './stream-control.ts'
import { isSuccess, type ResponseHeaders, type UpstreamControl, type UpstreamHandler } from './upstream.ts'

export type RelayEnd =
  /** The provider finished its response. */
  | { kind: 'done' }
  /** The caller left; upstream was told to stop. */
  | { kind: 'client_disconnected' }
  /** We stopped it: the credits are spent, or the process is going down. `frames` end the open choices. */
  | { kind: 'stopped'; frames: Buffer }
  /** Its payer may no longer spend. `isUnpaid`: it never went out, or the provider refused it, so nothing was consumed. */
  | { kind: 'ended'; why: Ended; isUnpaid: boolean }
  /** The provider refused, failed or was cut off. `error.consumed` is set where it delivered nothing and still states a usage. */
  | { kind: 'failed'; error: ProviderError }

export interface RelayOptions {
  exchange: Exchange
  client: ClientStream
  reader: StreamReader
  /** Starts the call upstream. */
  start: (handler: UpstreamHandler) => UpstreamControl
  /** Reads a body that was not a stream: the error in it, or that of a whole response. Null where it is neither. */
  readWhole?: (body: Buffer) => ProviderError | null
  readError: (status: number, headers: ResponseHeaders, body: Buffer) => ProviderError
  readFailure: (error: Error) => ProviderError
  /** Aborted when the process goes down. */
  shutdown: AbortSignal
  /** How many milliseconds a stream is read on after we gave it up; 0 stops it at once. Asked at that moment. */
  drainMs: () => number
  /** The same for a stream whose caller left. */
  disconnectedDrainMs: () => number
  /** Its payer may no longer spend, and the stream is read on: tells the caller, who need not wait for that. */
  onEnded: (why: Ended) => void
  /** The call went out. */
  onStart?: (control: StreamControl) => void
  /** Called after each piece that was read, even after the caller left. */
  onPassed: (control: StreamControl) => void
  /** How many bytes may be read before `onPassed` must be called; left out for no limit. */
  room?: () => number
  /** Called at the first byte from upstream. */
  onFirstByte: () => void
}

/** Shown text is kept until the usage is stated, so a stream may be as large as a whole response. */
const STREAM_BYTES_MAX = 256 * 1024 * 1024
/** The smallest part in which a piece from the network is read: about a frame. */
const PART_BYTES_MIN = 256
/** How much of a stream without content is kept, to be read as a whole response. */
const WHOLE_BYTES_MAX = 32 * 1024 * 1024

const BROKEN_OFF = 'the stream ended before the response did'
const EMPTY = Buffer.alloc(0)

export function relayStream(options: RelayOptions): Promise<RelayEnd> {
  return new Promise((resolve) => {
    new Relay(options, resolve).start()
  })
}

class Relay implements StreamControl {
  readonly #options: RelayOptions
  readonly #reader: StreamReader
  readonly #resolve: (end: RelayEnd) => void
  readonly #backpressure: Backpressure = createBackpressure(() => this.#upstream)
  readonly #onShutdown = () => this.#guarded(() => this.#giveUp(this.#stopped(), 0))()
  #upstream: UpstreamControl | null = null
  #ended: boolean = false
  #refusal: RefusalBody | null = null
  /** Set once the stream was given up and is read on to learn its cost. */
  #abandoned: RelayEnd | null = null
  #drain: NodeJS.Timeout | undefined
  #size = 0
  /** Bytes that were read and wait for the first content. */
  #waiting: Buffer[] = []
  /** Bytes as received, until the reader finds something in them. */
  #unread: Buffer[] = []
  /** What arrived while the meter looks, in order: a piece from the network may hold more than the hold covers. */
  readonly #queue: (Buffer | (() => void))[] = []
  #isMeterLooking: boolean = false

  constructor(options: RelayOptions, resolve: (end: RelayEnd) => void) {
    this.#options = options
    this.#reader = options.reader
    this.#resolve = resolve
  }

  start(): void {
    const { shutdown, exchange, start, onStart, disconnectedDrainMs } = this.#options
    shutdown.addEventListener('abort', this.#onShutdown)
    if (shutdown.aborted) this.#onShutdown()
    if (this.#ended) return
    this.#upstream = start(this.#handler())
    if (!this.#ended) onStart?.(this)
    exchange.onDisconnect(this.#guarded(() => this.#giveUp({ kind: 'client_disconnected' }, disconnectedDrainMs())))
  }

  pause(): void {
    this.#isMeterLooking = true
    this.#backpressure.press('meter')
  }

  resume(): void {
    this.#guarded(() => {
      this.#isMeterLooking = false
      this.#readQueue()
      if (!this.#isMeterLooking) this.#backpressure.release('meter')
    })()
  }

  stop(): void {
    this.#guarded(() => this.#giveUp(this.#stopped(), this.#options.drainMs()))()
  }

  end(why: Ended): void {
    this.#guarded(() => {
      if (this.#abandoned !== null) return
      this.#giveUp({ kind: 'ended', why, isUnpaid: false }, this.#options.drainMs())
      if (!this.#ended) this.#options.onEnded(why)
    })()
  }

  #handler(): UpstreamHandler {
    const { readFailure, onFirstByte } = this.#options
    return {
      onHead: this.#guarded((status, headers) => {
        onFirstByte()
        if (!isSuccess(status)) this.#refusal = { status, headers, body: [], size: 0 }
      }),
      onData: this.#guarded((chunk) => this.#receive(chunk)),
      onEnd: this.#guarded(() => {
        if (this.#refusal === null) this.#arrive(() => this.#finish())
        else this.#conclude({ kind: 'failed', error: this.#errorOf(this.#refusal) }, false)
      }),
      onError: this.#guarded((error) =>
        this.#arrive(() => this.#conclude({ kind: 'failed', error: readFailure(error) }, false)),
      ),
    }
  }

  #receive(chunk: Buffer): void {
    this.#size += chunk.length
    if (!this.#reader.hasContent && this.#size <= WHOLE_BYTES_MAX) this.#unread.push(chunk)
    if (this.#refusal === null) this.#arrive(chunk)
    else if (!keepRefusal(this.#refusal, chunk))
      this.#conclude({ kind: 'failed', error: this.#errorOf(this.#refusal) }, true)
  }

  /** Handles pieces and events in the order of arrival. */
  #arrive(next: Buffer | (() => void)): void {
    this.#queue.push(next)
    this.#readQueue()
  }

  #readQueue(): void {
    while (!this.#ended && !this.#isMeterLooking) {
      const next = this.#queue.shift()
      if (next === undefined) return
      if (typeof next === 'function') next()
      else this.#readPiece(next)
    }
  }

  /** Reads as much as the meter has room for; the rest waits until it has looked. */
  #readPiece(piece: Buffer): void {
    const room = this.#options.room?.() ?? piece.length
    const length = Math.min(piece.length, Math.max(PART_BYTES_MIN, room))
    if (length < piece.length) this.#queue.unshift(piece.subarray(length))
    this.#pass(this.#reader.push(length < piece.length ? piece.subarray(0, length) : piece))
  }

  #pass(part: StreamPart): void {
    const reader = this.#reader
    if (part.bytes !== null) this.#forward(part.bytes, false)
    if (reader.hasContent || reader.reading.usage !== null) this.#unread = []
    if (part.error !== null) this.#conclude(this.#failed(part.error), true)
    else if (part.done) this.#complete(reader.hasContent || reader.finishReasons.length > 0)
    else if (this.#size > STREAM_BYTES_MAX) this.#giveUp(this.#stopped(), 0)
    else if (part.bytes !== null) this.#options.onPassed(this)
  }

  #forward(bytes: Buffer, isEnd: boolean): void {
    if (this.#abandoned !== null) return
    this.#waiting.push(bytes)
    if (!this.#reader.hasContent && !isEnd) return
    const out = this.#waiting.length === 1 ? bytes : Buffer.concat(this.#waiting)
    this.#waiting = []
    const { client } = this.#options
    if (client.write(out)) return
    this.#backpressure.press('client')
    client.onDrain(() => this.#backpressure.release('client'))
  }

  /** The connection ended. */
  #finish(): void {
    const reader = this.#reader
    const last = reader.end()
    if (last.error !== null && last.bytes === null) this.#complete(false, last.error)
    else this.#pass(last)
    if (this.#ended) return
    this.#complete(reader.finishReasons.length > 0 || (reader.hasContent && reader.reading.usage !== null))
  }

  /** The provider has finished. Decides whether it sent a response. */
  #complete(isWhole: boolean, error = this.#options.readFailure(new Error(BROKEN_OFF))): void {
    if (isWhole) {
      if (this.#waiting.length > 0) this.#forward(EMPTY, true)
      this.#conclude({ kind: 'done' }, false)
      return
    }
    const { hasContent, reading } = this.#reader
    const said = hasContent || reading.usage !== null ? null : this.#options.readWhole?.(Buffer.concat(this.#unread))
    this.#conclude(this.#failed(said ?? error), false)
  }

  /** Ends the stream from our side. A call that was refused, or that never went out, consumed nothing, whoever ended it. */
  #giveUp(result: RelayEnd, drainMs: number): void {
    if (this.#ended) return
    const refusal = this.#refusal
    const isUnpaid = refusal !== null || this.#upstream?.sent !== true
    if (isUnpaid && result.kind === 'ended') this.#conclude({ ...result, isUnpaid }, true)
    else if (refusal !== null) this.#conclude({ kind: 'failed', error: this.#errorOf(refusal) }, true)
    else if (isUnpaid) {
      const error = this.#options.readFailure(notSent())
      this.#conclude({ kind: 'failed', error }, true)
    } else if (drainMs === 0) this.#conclude(result, true)
    else if (this.#abandoned === null) {
      this.#abandoned = result
      const giveUp = this.#guarded(() => this.#conclude(result, true))
      this.#drain = setTimeout(giveUp, drainMs)
      this.#backpressure.releaseAll()
    }
  }

  #conclude(result: RelayEnd, abort: boolean): void {
    if (this.#ended) return
    this.#ended = true
    this.#options.shutdown.removeEventListener('abort', this.#onShutdown)
    clearTimeout(this.#drain)
    this.#resolve(this.#endOf(result))
    if (abort) this.#upstream?.abort()
    // Later bytes are ignored, but a paused connection would never become free.
    else this.#upstream?.resume()
  }

  /** A stream that was given up ends as given up, unless it failed before any content: then it consumed nothing. */
  #endOf(result: RelayEnd): RelayEnd {
    const abandoned = this.#abandoned
    if (abandoned === null) return result
    const isUnpaid = result.kind === 'failed' && !this.#reader.hasContent && result.error.consumed === undefined
    if (!isUnpaid) return abandoned
    return abandoned.kind === 'ended' ? { ...abandoned, isUnpaid } : result
  }

  #stopped(): RelayEnd {
    return { kind: 'stopped', frames: Buffer.concat([...this.#waiting, this.#reader.stopFrames()]) }
  }

  #errorOf({ status, headers, body }: RefusalBody): ProviderError {
    return this.#options.readError(status, headers, Buffer.concat(body))
  }

  /** A failure. Where nothing was delivered but the end states a usage, that is charged, and the call is not tried again. */
  #failed(error: ProviderError): RelayEnd {
    const { hasContent, isFinal, reading } = this.#reader
    const isPaidNothing = !hasContent && error.consumed === undefined && isFinal && isPaid(reading)
    return { kind: 'failed', error: isPaidNothing ? { ...error, consumed: reading } : error }
  }

  /** An exception in an event or a timer of this stream ends this stream. */
  #guarded<T extends unknown[]>(work: (...args: T) => void): (...args: T) => void {
    return (...args) => {
      if (this.#ended) return
      try {
        work(...args)
      } catch (error) {
        this.#conclude({ kind: 'failed', error: this.#options.readFailure(error as Error) }, true)
      }
    }
  }
}
