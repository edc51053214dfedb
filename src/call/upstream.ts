/**
 * Bytes to and from providers, over undici's raw dispatch: one agent, connections kept open, every wait limited, back-pressure
 * by pausing the socket. A response is never retried here; who may retry what is decided by the call.
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
}

export interface Upstream {
  call(request: OutgoingRequest, timeouts: UpstreamTimeouts, handler: UpstreamHandler): UpstreamControl
  close(): Promise<void>
}

export function createUpstream(connectTimeoutMs: number): Upstream {
  // How many there are of them is decided before: admission/provider-connections.ts.
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

/** One piece is sent as it is; of several the size has to be said. */
function bodyOf({ headers, body }: OutgoingRequest): Pick<Dispatcher.DispatchOptions, 'headers' | 'body'> {
  const [only, ...more] = body
  if (more.length === 0) return { headers, body: only ?? null }
  const size = body.reduce((sum, piece) => sum + piece.length, 0)
  return { headers: { ...headers, 'content-length': `${size}` }, body: Readable.from(body) }
}

/** Some servers respond with 201 or 202. */
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
    const reject = (error: Error) => {
      giveUp.removeEventListener('abort', abort)
      fail(error)
    }
    const finish = (begun: Omit<WholeResponse, 'body'>) => {
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
