/**
 * The caller's side of a stream. Headers leave with the first byte to show; after five seconds without one they leave anyway,
 * followed by comments that keep the connection open. A caller that stops reading is waited for, but not for ever.
 */
import type { Exchange } from '../http/exchange.ts'
import type { StreamForm } from './endpoint.ts'

const KEEP_ALIVE_MS = 5_000

export interface ClientStream {
  /** Headers are out: from here an error is a frame. */
  readonly opened: boolean
  /** Something of the response was passed on: from here nothing is retried. */
  readonly delivered: boolean
  /** False when the caller's socket is full: wait for `onDrain`. */
  write(bytes: Buffer): boolean
  /** Calls the listener once; while one waits, a second one is ignored. */
  onDrain(listener: () => void): void
  /** Ends the stream after these last bytes. A second call does nothing. */
  end(bytes: Buffer): void
  /** Stops the timers, when the stream never opened. */
  dispose(): void
}

/** `headers` is asked once, when headers leave: before anything of the response (`isDecided` false) it is open who will serve it. */
export function openClientStream(
  exchange: Exchange,
  form: Pick<StreamForm, 'contentType' | 'keepAlive'>,
  headers: (isDecided: boolean) => Record<string, string>,
  stallMs: number,
): ClientStream {
  const { outgoing } = exchange
  let opened = false
  let delivered = false
  let draining = false
  let over = false
  let stall: NodeJS.Timeout | undefined
  const keepOpen = exchange.guard(keepAlive)
  let idle = setTimeout(keepOpen, KEEP_ALIVE_MS)
  exchange.onDisconnect(dispose)

  function open(isDecided: boolean): void {
    if (opened || exchange.clientDisconnected) return
    opened = true
    outgoing.writeHead(200, {
      'content-type': form.contentType,
      'cache-control': 'no-cache, no-store, must-revalidate',
      'x-accel-buffering': 'no',
      ...headers(isDecided),
    })
  }

  function keepAlive(): void {
    open(false)
    if (!outgoing.writableNeedDrain) outgoing.write(form.keepAlive)
    idle = setTimeout(keepOpen, KEEP_ALIVE_MS)
  }

  function dispose(): void {
    clearTimeout(idle)
    clearTimeout(stall)
  }

  return {
    get opened() {
      return opened
    },
    get delivered() {
      return delivered
    },
    write(bytes) {
      open(true)
      idle.refresh()
      delivered = true
      if (exchange.clientDisconnected) return true
      const roomy = outgoing.write(bytes)
      if (!roomy && stall === undefined) stall = setTimeout(() => outgoing.destroy(), stallMs)
      return roomy
    },
    onDrain(listener) {
      if (draining) return
      draining = true
      outgoing.once(
        'drain',
        exchange.guard(() => {
          draining = false
          clearTimeout(stall)
          stall = undefined
          listener()
        }),
      )
    },
    end(bytes) {
      dispose()
      if (exchange.clientDisconnected || over) return
      over = true
      open(true)
      outgoing.end(bytes)
      stall = setTimeout(() => outgoing.destroy(), stallMs)
      outgoing.once('close', () => clearTimeout(stall))
    },
    dispose,
  }
}
