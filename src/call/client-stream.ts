/**
 * The caller's side of a stream. Headers leave with the first byte of content; after five seconds without one they leave anyway,
 * followed by comments that keep the connection open. A caller that stops reading is cut off after a while.
 */
import type { Exchange } from '../http/exchange.ts'
import type { StreamForm } from './endpoint.ts'

const KEEP_ALIVE_MS = 5_000

export interface ClientStream {
  /** True once the headers are out: an error is a frame from then on. */
  readonly opened: boolean
  /** True once content was passed on: nothing is retried from then on. */
  readonly delivered: boolean
  /** False when the caller's socket is full: wait for `onDrain`. */
  write(bytes: Buffer): boolean
  /** Calls the listener once; while one waits, a second one is ignored. */
  onDrain(listener: () => void): void
  /** Ends the stream after these last bytes. Null cuts it off, where no bytes can say how it ended. A second call does nothing. */
  end(bytes: Buffer | null): void
  /** Stops the timers of a stream that never opened. */
  dispose(): void
}

/** `headers` is called once, when headers leave. `isDecided` is false where they leave before any content: another deployment may still serve. */
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
  const { keepAlive: comment } = form
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
    if (comment === null) return
    open(false)
    if (!outgoing.writableNeedDrain) outgoing.write(comment)
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
      if (bytes === null) {
        outgoing.destroy()
        return
      }
      open(true)
      outgoing.end(bytes)
      stall = setTimeout(() => outgoing.destroy(), stallMs)
      outgoing.once('close', () => clearTimeout(stall))
    },
    dispose,
  }
}
