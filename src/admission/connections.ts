/**
 * The connections of callers. Beyond the limit a new one takes the place of the stranger that was silent for longest, since those who
 * connect and say nothing must not keep others out; where all are at work, the new one is closed. One request at a time is handled on
 * a connection: what a caller sends ahead waits in order. A reader that stops is cut, whatever it asked for.
 */
import type { IncomingMessage, RequestListener, Server, ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import { discardBody } from '../http/discard-body.ts'
import type { Limit } from './limit.ts'

/** Node hands over every request of a packet at once; clients that send ahead at all send a handful. */
const AHEAD_MAX = 16
/** Reading what is thrown away costs as much as reading: in a flood the others are cut. */
const DISCARDING_MAX = 16
/** How often connections are looked at whose time is over. */
export const CHECK_MS = 1_000

export interface ConnectionLimits {
  connections: number
  requestsPerConnection: number
  /** For the head of a request. */
  silentMs: number
  /** For a whole request. */
  uploadMs: number
  /** Between two bytes that a caller reads of its answer. */
  stallMs: number
  /** Between an answer and the next request. */
  keepAliveMs: number
}

type Request = [incoming: IncomingMessage, outgoing: ServerResponse]

interface Connection {
  /** Something was asked on it. Until then Node's clock for heads runs. */
  isUsed: boolean
  current: Request | null
  ahead: Request[]
}

export interface Connections {
  readonly open: number
}

/** Sets the limits of a server that listens to nothing yet, and hands its requests to `listener`. */
export function limitConnections(
  server: Server,
  listener: RequestListener,
  limits: ConnectionLimits,
  onRefused: (limit: Limit) => void,
): Connections {
  const all = new Map<Socket, Connection>()
  // In the order in which they became silent. Those that asked nothing yet, or nothing that could be answered, go before the others.
  const strangers = new Set<Socket>()
  const idle = new Set<Socket>()
  let discarding = 0

  function makeRoom(): boolean {
    if (all.size < limits.connections) return true
    onRefused('connections')
    const [oldest] = strangers.size > 0 ? strangers : idle
    if (oldest === undefined) return false
    forget(oldest)
    oldest.destroy()
    return true
  }

  function forget(socket: Socket): void {
    all.delete(socket)
    strangers.delete(socket)
    idle.delete(socket)
  }

  function begin(socket: Socket, connection: Connection, request: Request): void {
    const [incoming, outgoing] = request
    strangers.delete(socket)
    idle.delete(socket)
    connection.isUsed = true
    connection.current = request
    outgoing.once('prefinish', () => {
      if (!incoming.complete) discard(socket, incoming, outgoing)
    })
    outgoing.once('close', () => {
      connection.current = null
      if (!all.has(socket) || socket.destroyed) return
      const next = connection.ahead.shift()
      if (next === undefined) (outgoing.statusCode < 400 ? idle : strangers).add(socket)
      else begin(socket, connection, next)
    })
    listener(incoming, outgoing)
  }

  function discard(socket: Socket, incoming: IncomingMessage, outgoing: ServerResponse): void {
    if (incoming.destroyed) return
    if (discarding >= DISCARDING_MAX) {
      incoming.pause()
      outgoing.once('finish', () => socket.destroySoon())
      return
    }
    discarding += 1
    incoming.once('close', () => {
      discarding -= 1
    })
    discardBody(incoming)
  }

  server.on('connection', (socket) => {
    if (!makeRoom()) {
      socket.destroy()
      return
    }
    all.set(socket, { isUsed: false, current: null, ahead: [] })
    strangers.add(socket)
    socket.once('close', () => forget(socket))
  })
  server.on('request', (incoming, outgoing) => {
    const { socket } = incoming
    const connection = all.get(socket)
    // What else was in the packet of a connection that was closed.
    if (connection === undefined || socket.destroyed) return
    if (connection.current === null) begin(socket, connection, [incoming, outgoing])
    else if (connection.ahead.length < AHEAD_MAX) connection.ahead.push([incoming, outgoing])
    else {
      onRefused('requests_ahead')
      socket.destroy()
    }
  })
  // Sent after the last one that a connection is good for.
  server.on('dropRequest', (_request, socket) => {
    if (socket.destroyed) return
    onRefused('requests_ahead')
    socket.destroy()
  })
  server.maxRequestsPerSocket = limits.requestsPerConnection
  server.headersTimeout = limits.silentMs
  server.requestTimeout = limits.uploadMs
  server.keepAliveTimeout = limits.keepAliveMs
  server.on('clientError', (error: NodeJS.ErrnoException, stream) => {
    const current = all.get(stream as Socket)?.current ?? null
    if (error.code === 'ERR_HTTP_REQUEST_TIMEOUT') onRefused('silent')
    refuse(stream as Socket, error.code, current?.[1].headersSent ?? false)
  })
  // Node's clock of a socket starts again with every byte either side moves, those included that are on their way in one large write.
  server.setTimeout(limits.stallMs, (socket) => {
    const connection = all.get(socket)
    if (connection?.isUsed === false) return
    const current = connection?.current ?? null
    // Its caller waits for us, or its body has a clock of its own.
    if (current !== null && socket.writableLength === 0) return
    if (current !== null) onRefused('stalled_reader')
    socket.destroy()
  })
  return {
    get open() {
      return all.size
    },
  }
}

/** What is not HTTP, or not whole in time: said in one line, without a word of what was sent. */
function refuse(socket: Socket, code: string | undefined, answered: boolean): void {
  if (!socket.writable || answered) {
    socket.destroy()
    return
  }
  const status =
    code === 'ERR_HTTP_REQUEST_TIMEOUT'
      ? '408 Request Timeout'
      : code === 'HPE_HEADER_OVERFLOW'
        ? '431 Request Header Fields Too Large'
        : '400 Bad Request'
  socket.end(`HTTP/1.1 ${status}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n`)
  socket.destroySoon()
}
