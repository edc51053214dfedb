/**
 * Sends bytes to providers and receives them, over undici's raw dispatch: one agent, connections kept open, every wait limited, and
 * back-pressure by pausing the socket. Nothing is retried here; the call decides about that.
 */
import { Readable } from 'node:stream'
import { Agent, type Dispatcher } from 'undici'
import { createUnpacker, type Unpacker } from './create-unpacker.ts'
import type { OutgoingRequest } from './endpoint.ts'

export type ResponseHeaders = Readonly<Record<string, string | string[] | undefined>>

export interface UpstreamHandler {
  onHead(status: number, headers: ResponseHeaders): void
  onData(chunk: Buffer): void
  onEnd(): void
  /** The connection failed or timed out, before or after the head. Nothing follows. */
  onError(error: Error): void
}

export interface UpstreamControl {
  /** The request was handed to a connection: the provider may have begun. */
  readonly sent: boolean
  pause(): void
  resume(): void
  /** Ends the call; the handler hears nothing more. */
  abort(): void
}

export interface UpstreamTimeouts {
  /** From the request's last byte to the response's head. */
  headMs: number
  /** Between two pieces of the response. */
  idleMs: number
  /** Until a whole response is here, or the first byte of a stream. */
  endMs: number
}

export interface Upstream {
  call(request: OutgoingRequest, timeouts: UpstreamTimeouts, handler: UpstreamHandler): UpstreamControl
  close(): Promise<void>
}

export function createUpstream(connectTimeoutMs: number): Upstream {
  // admission/provider-connections.ts limits the number of connections.
  const agent = new Agent({ connect: { timeout: connectTimeoutMs }, keepAliveTimeout: 30_000 })
  return {
    call: (request, timeouts, handler) => dispatch(agent, request, timeouts, handler),
    close: () => agent.destroy(),
  }
}

function dispatch(
  agent: Agent,
  request: OutgoingRequest,
  timeouts: UpstreamTimeouts,
  handler: UpstreamHandler,
): UpstreamControl {
  let controller: Dispatcher.DispatchController | null = null
  let over = false
  const control: UpstreamControl = {
    get sent() {
      return controller !== null
    },
    pause: () => controller?.pause(),
    resume: () => controller?.resume(),
    abort() {
      over = true
      controller?.abort(new Error('given up'))
    },
  }
  const options: Dispatcher.DispatchOptions = {
    origin: request.origin,
    path: request.path,
    method: 'POST',
    ...bodyOf(request),
    headersTimeout: timeouts.headMs,
    bodyTimeout: timeouts.idleMs,
  }
  let unpack: Unpacker | null = null
  const onData = (chunk: Buffer) => {
    if (!over) handler.onData(chunk)
  }
  const onEnd = () => {
    if (over) return
    over = true
    handler.onEnd()
  }
  const onError = (error: Error) => {
    if (over) return
    over = true
    handler.onError(error)
  }
  agent.dispatch(options, {
    onRequestStart(started) {
      controller = started
      if (over) started.abort(new Error('given up'))
    },
    onResponseStart(_, status, headers) {
      if (over || status < 200) return
      unpack = createUnpacker(headers['content-encoding'], { onData, onEnd, onError })
      handler.onHead(status, headers)
    },
    onResponseData(_, chunk) {
      if (over) return
      if (unpack === null) handler.onData(chunk)
      else unpack.write(chunk)
    },
    onResponseEnd() {
      if (unpack === null) onEnd()
      else if (!over) unpack.end()
    },
    onResponseError: (_, error) => onError(error),
  })
  return control
}

/** A single piece is sent as it is. Several are a stream, whose size has to be stated. */
function bodyOf({ headers, body }: OutgoingRequest): Pick<Dispatcher.DispatchOptions, 'headers' | 'body'> {
  const [only, ...more] = body
  if (more.length === 0) return { headers, body: only ?? null }
  const size = body.reduce((sum, piece) => sum + piece.length, 0)
  return { headers: { ...headers, 'content-length': `${size}` }, body: Readable.from(body) }
}

/** Success is any 2xx: some servers respond with 201 or 202. */
export function isSuccess(status: number): boolean {
  return status >= 200 && status < 300
}

/** A whole response in memory. */
export interface WholeResponse {
  status: number
  headers: ResponseHeaders
  body: Buffer
}

const ANSWER_BYTES_MAX = 256 * 1024 * 1024
/** A larger error body is not worth reading, and it may have no end. */
export const ERROR_BODY_MAX = 64 * 1024

/** A stream that is given up where its first byte does not come in time. */
export function callUntil(
  upstream: Upstream,
  request: OutgoingRequest,
  timeouts: UpstreamTimeouts,
  handler: UpstreamHandler,
): UpstreamControl {
  const late = setTimeout(() => {
    control.abort()
    handler.onError(tooLate())
  }, timeouts.endMs)
  const inTime =
    <T extends unknown[]>(work: (...args: T) => void) =>
    (...args: T) => {
      clearTimeout(late)
      work(...args)
    }
  const control = upstream.call(request, timeouts, {
    onHead: (status, headers) => handler.onHead(status, headers),
    onData: inTime((chunk) => handler.onData(chunk)),
    onEnd: inTime(() => handler.onEnd()),
    onError: inTime((error) => handler.onError(error)),
  })
  return {
    get sent() {
      return control.sent
    },
    pause: () => control.pause(),
    resume: () => control.resume(),
    abort: inTime(() => control.abort()),
  }
}

/** As undici says it. */
function tooLate(): Error {
  return Object.assign(new Error('the time of the call is over'), { code: 'UND_ERR_HEADERS_TIMEOUT' })
}

/** @throws {Error} as undici names it, when the connection fails, times out, is given up, or the response is too large. */
export function callWhole(
  upstream: Upstream,
  request: OutgoingRequest,
  timeouts: UpstreamTimeouts,
  giveUp: AbortSignal,
): Promise<WholeResponse> {
  return new Promise((resolve, fail) => {
    const abort = () => {
      control.abort()
      reject(new Error('this instance is shutting down'))
    }
    const late = setTimeout(() => {
      control.abort()
      reject(tooLate())
    }, timeouts.endMs)
    const reject = (error: Error) => {
      clearTimeout(late)
      giveUp.removeEventListener('abort', abort)
      fail(error)
    }
    const finish = (begun: Omit<WholeResponse, 'body'>) => {
      clearTimeout(late)
      giveUp.removeEventListener('abort', abort)
      resolve({ ...begun, body: Buffer.concat(chunks, size) })
    }
    const chunks: Buffer[] = []
    let size = 0
    let head: { status: number; headers: ResponseHeaders } | null = null
    const control = upstream.call(request, timeouts, {
      onHead(status, headers) {
        head = { status, headers }
      },
      onData(chunk) {
        chunks.push(chunk)
        size += chunk.length
        if (head !== null && !isSuccess(head.status) && size >= ERROR_BODY_MAX) {
          control.abort()
          finish(head)
        } else if (size > ANSWER_BYTES_MAX) {
          control.abort()
          reject(new Error('the answer is too large'))
        }
      },
      onEnd() {
        if (head === null) reject(new Error('the answer has no head'))
        else finish(head)
      },
      onError: reject,
    })
    giveUp.addEventListener('abort', abort)
    if (giveUp.aborted) abort()
  })
}
