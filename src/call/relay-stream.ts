/**
 * Relays one attempt's stream: bytes pass as they come, the reader meters them on the way. What says nothing (a role, an empty delta)
 * waits for the first content, so that a stream that fails before it can be made again. Ends in exactly one of the ways of RelayEnd;
 * whoever awaits it settles.
 */
import { isPaid, type ProviderError, type StreamPart, type StreamReader } from '../../providers/provider.ts'
import type { Ended } from '../ledger/ledger.ts'
import type { ClientStream } from './client-stream.ts'
import type { Exchange } from './exchange.ts'
import {
  ERROR_BODY_MAX,
  isAnswer,
  type ResponseHeaders,
  type UpstreamControl,
  type UpstreamHandler,
} from './upstream.ts'

export type RelayEnd =
  /** The provider finished its answer. */
  | { kind: 'done' }
  /** The caller left; upstream was told to stop. */
  | { kind: 'client_disconnected' }
  /** We stopped it: what is left to spend is spent, or the process is going down. `frames` end the choices that were open. */
  | { kind: 'stopped'; frames: Buffer }
  /** Its payer may spend no longer. `isUnpaid`: it never went out, or the provider refused it, so nothing was consumed. */
  | { kind: 'ended'; why: Ended; isUnpaid: boolean }
  /** The provider refused, failed or was cut off; `consumed` is set where it delivered nothing and states what that cost. */
  | { kind: 'failed'; error: ProviderError }

/** What a meter may do to a stream. */
export interface Flow {
  /** No more from upstream until `resume`. */
  pause(): void
  resume(): void
  /** The stream is over, for what we can cover. */
  stop(): void
  /** The stream is over, since its payer may spend no longer. One that is read on already, which nobody sees, runs to its end. */
  end(why: Ended): void
}

export interface RelayOptions {
  exchange: Exchange
  client: ClientStream
  reader: StreamReader
  /** Starts the call upstream. */
  start: (handler: UpstreamHandler) => UpstreamControl
  /** A stream that was none may be a whole answer, or an error: what it says of its failure. Null where it is neither. */
  readWhole?: (body: Buffer) => ProviderError | null
  readError: (status: number, headers: ResponseHeaders, body: Buffer) => ProviderError
  readFailure: (error: Error) => ProviderError
  /** Aborted when the process goes down. */
  shutdown: AbortSignal
  /** For how long a stream that was given up is read on before upstream is told to stop, asked at that moment; 0 stops it at once. */
  drainMs: () => number
  /** The same where it was the caller who left. */
  goneDrainMs: () => number
  /** Its payer may spend no longer, and it is read on: the caller does not have to wait for that. */
  onEnded: (why: Ended) => void
  /** The call went out. */
  onStart?: (flow: Flow) => void
  /** After each piece that was read, also of what nobody reads any more. */
  onPassed: (flow: Flow) => void
  /** Bytes of the answer that may be read before `onPassed` wants to look; left out where it is never in a hurry. */
  room?: () => number
  /** Runs at the first byte from upstream. */
  onFirstByte: () => void
}

/** What was shown is kept until usage is stated: as large as a whole answer may be. */
const STREAM_BYTES_MAX = 256 * 1024 * 1024
/** A piece from the network is read in no smaller parts than this, about a frame. */
const PART_BYTES_MIN = 256
/** So much of a stream that says nothing is kept, to be read as a whole answer. */
const WHOLE_BYTES_MAX = 32 * 1024 * 1024

export function relayStream(options: RelayOptions): Promise<RelayEnd> {
  const { exchange, client, reader } = options
  return new Promise((resolve) => {
    let ended = false
    let control: UpstreamControl | null = null
    let refused: Refusal | null = null
    /** Given up, and read on to learn what it costs. */
    let abandoned: RelayEnd | null = null
    let drain: NodeJS.Timeout | undefined
    let size = 0
    /** Read, and not to be passed on before there is content. */
    let waiting: Buffer[] = []
    /** As received, until something could be read of it. */
    let unread: Buffer[] = []
    /** What came while the meter looks, in its order: a piece of the network may hold more than is covered. */
    const queue: (Buffer | (() => void))[] = []
    let looking = false
    const brake = createBrake(() => control)
    const flow: Flow = {
      pause() {
        looking = true
        brake.press('meter')
      },
      resume: guarded(() => {
        looking = false
        readQueue()
        if (!looking) brake.release('meter')
      }),
      stop: guarded(() => giveUp(stopped(), options.drainMs())),
      end: guarded((why) => {
        if (ended || abandoned !== null) return
        giveUp({ kind: 'ended', why, isUnpaid: false }, options.drainMs())
        if (!ended) options.onEnded(why)
      }),
    }

    function stopped(): RelayEnd {
      return { kind: 'stopped', frames: Buffer.concat([...waiting, reader.stopFrames()]) }
    }

    function end(result: RelayEnd, abort: boolean): void {
      if (ended) return
      ended = true
      options.shutdown.removeEventListener('abort', onShutdown)
      clearTimeout(drain)
      // What failed before it said anything consumed nothing, whoever gave it up before.
      const failedUnsaid = result.kind === 'failed' && !reader.hasContent && result.error.consumed === undefined
      if (abandoned === null) resolve(result)
      else if (!failedUnsaid) resolve(abandoned)
      else resolve(abandoned.kind === 'ended' ? { ...abandoned, isUnpaid: true } : result)
      if (abort) control?.abort()
      // What still comes is ignored, but a connection left paused would never be free again.
      else control?.resume()
    }

    /** We end it. A call that was refused, or never went out, consumed nothing whoever ended it. */
    function giveUp(result: RelayEnd, drainMs: number): void {
      if (ended) return
      const isUnpaid = refused !== null || control?.sent !== true
      if (isUnpaid && result.kind === 'ended') end({ ...result, isUnpaid }, true)
      else if (refused !== null) end({ kind: 'failed', error: errorOf(refused) }, true)
      else if (isUnpaid) end({ kind: 'failed', error: options.readFailure(new Error('not sent')) }, true)
      else if (drainMs === 0) end(result, true)
      else if (abandoned === null) {
        abandoned = result
        drain = setTimeout(
          guarded(() => end(result, true)),
          drainMs,
        )
        brake.releaseAll()
      }
    }

    function onShutdown(): void {
      guarded(() => giveUp(stopped(), 0))()
    }

    function errorOf({ status, headers, body }: Refusal): ProviderError {
      return options.readError(status, headers, Buffer.concat(body))
    }

    /** A failure; where nothing was delivered and the end states what it used, that is charged, and not paid for again. */
    function failed(error: ProviderError): RelayEnd {
      const isPaidNothing =
        !reader.hasContent && error.consumed === undefined && reader.isFinal && isPaid(reader.reading)
      return { kind: 'failed', error: isPaidNothing ? { ...error, consumed: reader.reading } : error }
    }

    function forward(bytes: Buffer, isEnd: boolean): void {
      if (abandoned !== null) return
      waiting.push(bytes)
      if (!reader.hasContent && !isEnd) return
      const out = waiting.length === 1 ? bytes : Buffer.concat(waiting)
      waiting = []
      if (client.write(out)) return
      brake.press('client')
      client.onDrain(() => brake.release('client'))
    }

    /** The provider is through. Whether that was an answer is for what it said to tell. */
    function conclude(isComplete: boolean, error = options.readFailure(new Error(BROKEN_OFF))): void {
      if (isComplete) {
        if (waiting.length > 0) forward(EMPTY, true)
        end({ kind: 'done' }, false)
        return
      }
      const whole =
        reader.hasContent || reader.reading.usage !== null ? null : options.readWhole?.(Buffer.concat(unread))
      end(failed(whole ?? error), false)
    }

    function pass(part: StreamPart): void {
      if (part.bytes !== null) forward(part.bytes, false)
      if (reader.hasContent || reader.reading.usage !== null) unread = []
      if (part.error !== null) end(failed(part.error), true)
      else if (part.done) conclude(reader.hasContent || reader.finishReasons.length > 0)
      else if (size > STREAM_BYTES_MAX) giveUp(stopped(), 0)
      else if (part.bytes !== null) options.onPassed(flow)
    }

    function readQueue(): void {
      while (!ended && !looking) {
        const next = queue.shift()
        if (next === undefined) return
        if (typeof next === 'function') next()
        else readPiece(next)
      }
    }

    /** As far as the meter has room; the rest waits until it has looked. */
    function readPiece(piece: Buffer): void {
      const length = Math.min(piece.length, Math.max(PART_BYTES_MIN, options.room?.() ?? piece.length))
      if (length < piece.length) queue.unshift(piece.subarray(length))
      pass(reader.push(length < piece.length ? piece.subarray(0, length) : piece))
    }

    /** In the order of arrival. */
    function arrive(next: Buffer | (() => void)): void {
      queue.push(next)
      readQueue()
    }

    /** Whatever throws in an event or a timer of this stream ends this stream. */
    function guarded<T extends unknown[]>(work: (...args: T) => void): (...args: T) => void {
      return (...args) => {
        if (ended) return
        try {
          work(...args)
        } catch (error) {
          end({ kind: 'failed', error: options.readFailure(error as Error) }, true)
        }
      }
    }

    function finish(): void {
      const last = reader.end()
      if (last.error !== null && last.bytes === null) conclude(false, last.error)
      else pass(last)
      if (!ended) conclude(reader.finishReasons.length > 0 || (reader.hasContent && reader.reading.usage !== null))
    }

    options.shutdown.addEventListener('abort', onShutdown)
    if (options.shutdown.aborted) onShutdown()
    if (ended) return
    control = options.start({
      onHead: guarded((status, headers) => {
        options.onFirstByte()
        if (!isAnswer(status)) refused = { status, headers, body: [], size: 0 }
      }),
      onData: guarded((chunk) => {
        size += chunk.length
        if (!reader.hasContent && size <= WHOLE_BYTES_MAX) unread.push(chunk)
        if (refused === null) arrive(chunk)
        else if (!keep(refused, chunk)) end({ kind: 'failed', error: errorOf(refused) }, true)
      }),
      onEnd: guarded(() => {
        if (refused === null) arrive(finish)
        else end({ kind: 'failed', error: errorOf(refused) }, false)
      }),
      onError: guarded((error) => arrive(() => end({ kind: 'failed', error: options.readFailure(error) }, false))),
    })
    if (!ended) options.onStart?.(flow)
    exchange.onDisconnect(guarded(() => giveUp({ kind: 'client_disconnected' }, options.goneDrainMs())))
  })
}

const BROKEN_OFF = 'the stream ended before the answer did'
const EMPTY = Buffer.alloc(0)

interface Refusal {
  status: number
  headers: ResponseHeaders
  body: Buffer[]
  size: number
}

/** An error's body, as far as it is worth reading: false where that is reached, for it may have no end. */
function keep(refusal: Refusal, chunk: Buffer): boolean {
  refusal.body.push(chunk.subarray(0, ERROR_BODY_MAX - refusal.size))
  refusal.size += chunk.length
  return refusal.size < ERROR_BODY_MAX
}

type Reason = 'client' | 'meter'

/** Upstream flows only while nobody holds it: neither the caller's full socket nor the meter. */
function createBrake(control: () => UpstreamControl | null): {
  press(reason: Reason): void
  release(reason: Reason): void
  /** Nobody waits for it any more. */
  releaseAll(): void
} {
  const reasons = new Set<Reason>()
  return {
    press(reason) {
      reasons.add(reason)
      control()?.pause()
    },
    release(reason) {
      if (reasons.delete(reason) && reasons.size === 0) control()?.resume()
    },
    releaseAll() {
      reasons.clear()
      control()?.resume()
    },
  }
}
