/** The limits of the server's connections: how many, how long they may be silent, and what they may send and leave unread. */
import type { RequestListener, Server } from 'node:http'
import type { Socket } from 'node:net'
import type { Limit } from '../http/limit.ts'
import { createConnectionTable } from './connection-table.ts'
import { createLoopTurns } from './loop-turns.ts'
import { type Reading, readInSlices, type SlicedReading } from './read-in-slices.ts'
import { createRequestTurns } from './request-turns.ts'
import { networkOf } from './unknown-keys.ts'

/** How often connections are looked at whose time is over. */
export const CHECK_MS = 1_000

export interface ConnectionLimits {
  connections: number
  requestsPerConnection: number
  /** For the head of a request. */
  silentMs: number
  /** For a whole request. */
  uploadMs: number
  /** Between two bytes that a caller reads of its response, whatever it asked for. */
  stallMs: number
  /** Between a response and the next request. */
  keepAliveMs: number
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
  const table = createConnectionTable(limits.connections, () => onRefused('connections'))
  const now = () => performance.now()
  const loopTurns = createLoopTurns(now)
  const readings = new WeakMap<Socket, SlicedReading>()
  /** Connections whose last request was a call that was served: its caller has paid for more than parsing. */
  const known = new WeakSet<Socket>()
  const turns = createRequestTurns(listener, {
    onWork: table.work,
    onAnswered(socket, { method }, { statusCode }) {
      if (method === 'POST' && statusCode < 400) known.add(socket)
      else known.delete(socket)
    },
    onRest(socket, { statusCode }) {
      table.rest(socket, statusCode >= 400)
      readings.get(socket)?.next()
    },
    inTurn: (socket, work) => (known.has(socket) ? work() : loopTurns.run(networkOf(socket.remoteAddress ?? ''), work)),
  })
  const reading: Reading = {
    state(socket) {
      const current = turns.current(socket)
      if (current === undefined || current === null) return 'head'
      return current[0].complete ? 'answering' : 'body'
    },
    isKnown: (socket) => known.has(socket),
    network: ({ remoteAddress = '' }) => networkOf(remoteAddress),
    now,
  }

  function sentTooMuch(socket: Socket): void {
    if (socket.destroyed) return
    onRefused('requests_ahead')
    socket.destroy()
  }

  server.on('connection', (socket) => {
    if (table.enter(socket)) readings.set(socket, readInSlices(socket, loopTurns, reading))
    else socket.destroy()
  })
  // Of one that could not be accepted: descriptors ran out elsewhere. Without a listener it would end the process.
  server.on('error', () => onRefused('connections'))
  server.on('request', (incoming, outgoing) => {
    const { socket } = incoming
    // What else was in the packet of a connection that was closed.
    if (socket.destroyed || !table.has(socket)) return
    if (!turns.take(socket, [incoming, outgoing])) sentTooMuch(socket)
  })
  // Sent after the last one that a connection is good for.
  server.on('dropRequest', (_request, socket) => sentTooMuch(socket as Socket))
  server.on('clientError', (error: NodeJS.ErrnoException, stream) => {
    const socket = stream as Socket
    if (error.code === 'ERR_HTTP_REQUEST_TIMEOUT') onRefused('silent')
    refuse(socket, error.code, turns.current(socket)?.[1].headersSent ?? false)
  })
  server.maxRequestsPerSocket = limits.requestsPerConnection
  server.headersTimeout = limits.silentMs
  server.requestTimeout = limits.uploadMs
  server.keepAliveTimeout = limits.keepAliveMs
  // Node's clock of a socket starts again with every byte either side moves, those included that are on their way in one large write.
  server.setTimeout(limits.stallMs, (socket) => {
    const current = turns.current(socket)
    // Nothing was asked yet, and heads have a clock of their own; or its caller waits for us, and bodies have theirs.
    if (current === undefined || (current !== null && socket.writableLength === 0)) return
    if (current !== null) onRefused('stalled_reader')
    socket.destroy()
  })
  return {
    get open() {
      return table.size
    },
  }
}

/** What is not HTTP, or not whole in time: said in one line, without a word of what was sent. */
function refuse(socket: Socket, code: string | undefined, isAnswered: boolean): void {
  if (!socket.writable || isAnswered) {
    socket.destroy()
    return
  }
  socket.end(`HTTP/1.1 ${statusLine(code)}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n`)
  socket.destroySoon()
}

function statusLine(code: string | undefined): string {
  if (code === 'ERR_HTTP_REQUEST_TIMEOUT') return '408 Request Timeout\r\nRetry-After: 1'
  return code === 'HPE_HEADER_OVERFLOW' ? '431 Request Header Fields Too Large' : '400 Bad Request'
}
