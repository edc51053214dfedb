/**
 * Relays one attempt's stream: bytes pass as they come, the reader meters them on the way. What says nothing (a role, an empty delta)
 * waits for the first content, so that a stream that fails before it can be made again. Ends in exactly one of the ways of RelayEnd;
 * whoever awaits it settles.
 */
import type { ProviderError, StreamPart, StreamReader } from '../../providers/provider.ts'
import { isPaid } from '../../providers/reading.ts'
import type { Exchange } from '../http/exchange.ts'
import type { Ended } from '../ledger/ledger.ts'
import { type Backpressure, createBackpressure } from './backpressure.ts'
import type { ClientStream } from './client-stream.ts'
import { keepRefusal, type RefusalBody } from './refusal-body.ts'
import type { StreamControl } from './stream-control.ts'
import { isSuccess, type ResponseHeaders, type UpstreamControl, type UpstreamHandler } from './upstream.ts'

export type RelayEnd =
  /** The provider finished its response. */
  | { kind: 'done' }
  /** The caller left; upstream was told to stop. */
  | { kind: 'client_disconnected' }
  /** We stopped it: what is left to spend is spent, or the process is going down. `frames` end the choices that were open. */
  | { kind: 'stopped'; frames: Buffer }
  /** Its payer may spend no longer. `isUnpaid`: it never went out, or the provider refused it, so nothing was consumed. */
  | { kind: 'ended'; why: Ended; isUnpaid: boolean }
  /** The provider refused, failed or was cut off; `consumed` is set where it delivered nothing and states what that cost. */
  | { kind: 'failed'; error: ProviderError }

export interface RelayOptions {
  exchange: Exchange
  client: ClientStream
  reader: StreamReader
  /** Starts the call upstream. */
  start: (handler: UpstreamHandler) => UpstreamControl
  /** A stream that was none may be a whole response, or an error: what it says of its failure. Null where it is neither. */
  readWhole?: (body: Buffer) => ProviderError | null
  readError: (status: number, headers: ResponseHeaders, body: Buffer) => ProviderError
  readFailure: (error: Error) => ProviderError
  /** Aborted when the process goes down. */
  shutdown: AbortSignal
  /** For how long a stream that was given up is read on before upstream is told to stop, asked at that moment; 0 stops it at once. */
  drainMs: () => number
  /** The same for a stream whose caller left. */
  disconnectedDrainMs: () => number
  /** Its payer may spend no longer, and it is read on: the caller does not have to wait for that. */
  onEnded: (why: Ended) => void
  /** The call went out. */
  onStart?: (control: StreamControl) => void
  /** After each piece that was read, also of what nobody reads any more. */
  onPassed: (control: StreamControl) => void
  /** Bytes of the response that may be read before `onPassed` wants to look; left out where it is never in a hurry. */
  room?: () => number
  /** Runs at the first byte from upstream. */
  onFirstByte: () => void
}

/** What was shown is kept until usage is stated: as large as a whole response may be. */
const STREAM_BYTES_MAX = 256 * 1024 * 1024
/** A piece from the network is read in no smaller parts than this, about a frame. */
const PART_BYTES_MIN = 256
/** So much of a stream that says nothing is kept, to be read as a whole response. */
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
  /** Given up, and read on to learn what it costs. */
  #abandoned: RelayEnd | null = null
  #drain: NodeJS.Timeout | undefined
  #size = 0
  /** Read, and not to be passed on before there is content. */
  #waiting: Buffer[] = []
  /** As received, until something could be read of it. */
  #unread: Buffer[] = []
  /** What came while the meter looks, in its order: a piece of the network may hold more than is covered. */
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

  /** In the order of arrival. */
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

  /** As far as the meter has room; the rest waits until it has looked. */
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

  /** The provider has finished. What it said decides whether that was a response. */
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

  /** Ends the stream from our side. A call that was refused or never went out consumed nothing, whoever ended it. */
  #giveUp(result: RelayEnd, drainMs: number): void {
    if (this.#ended) return
    const refusal = this.#refusal
    const isUnpaid = refusal !== null || this.#upstream?.sent !== true
    if (isUnpaid && result.kind === 'ended') this.#conclude({ ...result, isUnpaid }, true)
    else if (refusal !== null) this.#conclude({ kind: 'failed', error: this.#errorOf(refusal) }, true)
    else if (isUnpaid) {
      const error = this.#options.readFailure(new Error('not sent'))
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
    // What still comes is ignored, but a connection left paused would never be free again.
    else this.#upstream?.resume()
  }

  /** A stream that was given up ends as such. One that failed before it said anything consumed nothing, whoever gave it up. */
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

  /** A failure; where nothing was delivered and the end states what it used, that is charged, and not paid for again. */
  #failed(error: ProviderError): RelayEnd {
    const { hasContent, isFinal, reading } = this.#reader
    const isPaidNothing = !hasContent && error.consumed === undefined && isFinal && isPaid(reading)
    return { kind: 'failed', error: isPaidNothing ? { ...error, consumed: reading } : error }
  }

  /** Whatever throws in an event or a timer of this stream ends this stream. */
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
