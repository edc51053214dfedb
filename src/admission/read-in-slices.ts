/**
 * Hands what a connection sends to Node's parser in small slices. Node hands over whole packets: one of 64 kB holds two thousand
 * requests or ten thousand chunks, and it parses them all, even after the first of them had the connection closed (measured: a
 * hundred such connections made a call wait for seven seconds). Nothing is parsed while a whole request is unanswered.
 */
import type { Socket } from 'node:net'
import type { LoopTurns } from './loop-turns.ts'

/** Of heads: a few dozen of the smallest requests. */
const HEAD_BYTES = 1_024
/** Of bodies, as long as they are quick to parse. */
const BODY_BYTES = 16_384
const QUICK_MS = 0.1
/** Sent ahead of a response, this much is kept while we listen for its caller to leave; with more, we listen no longer. */
const AHEAD_BYTES = 16_384

export interface Reading {
  /** Where the connection is: before or in a head, in a body, or after a request that is not answered yet. */
  state(socket: Socket): 'head' | 'body' | 'answering'
  /** Waits for nobody: its last call was served. */
  isKnown(socket: Socket): boolean
  network(socket: Socket): string
  now(): number
}

export interface SlicedReading {
  /** Reads on, after a response. */
  next(): void
}

/** `socket` is one that Node's HTTP server has just taken over. */
export function readInSlices(socket: Socket, turns: LoopTurns, reading: Reading): SlicedReading {
  // Node's own. With another listener than it, data comes through here in place of going from the kernel to the parser.
  const [parse] = socket.listeners('data') as [(piece: Buffer) => void]
  const network = reading.network(socket)
  let left: Buffer | null = null
  let bodyBytes = HEAD_BYTES
  let isWaiting = false
  let isParsing = false
  const flow = controlFlow(socket, next)

  function take(piece: Buffer): void {
    left = left === null ? piece : Buffer.concat([left, piece])
    next()
  }

  function next(): void {
    // The parser takes no more while it is at work, and asks for more in the middle of it.
    if (isParsing) return
    while (left !== null && !isWaiting) {
      if (socket.destroyed) left = null
      else if (mustWait()) break
      else if (reading.isKnown(socket)) feed()
      else isWaiting = !turns.run(network, feed)
    }
    flow.hold(left !== null && (isWaiting || left.length > AHEAD_BYTES))
  }

  const mustWait = () => flow.isStopped || reading.state(socket) === 'answering'

  function feed(): void {
    const hasWaited = isWaiting
    isWaiting = false
    if (left === null || socket.destroyed) return
    // It became so while this waited for its turn.
    if (mustWait()) {
      next()
      return
    }
    const isBody = reading.state(socket) === 'body'
    const size = isBody ? bodyBytes : HEAD_BYTES
    const slice: Buffer = left.length > size ? left.subarray(0, size) : left
    left = slice === left ? null : left.subarray(size)
    const start = reading.now()
    isParsing = true
    try {
      parse.call(socket, slice)
    } finally {
      isParsing = false
    }
    bodyBytes = isBody && reading.now() - start < QUICK_MS ? Math.min(BODY_BYTES, size * 2) : HEAD_BYTES
    if (hasWaited) next()
  }

  socket.off('data', parse)
  socket.on('data', take)
  return { next }
}

interface Flow {
  /** By Node: nobody takes the body, or the caller does not read its responses. */
  readonly isStopped: boolean
  /** Reads nothing while it is held, whatever Node says. */
  hold(isHeld: boolean): void
}

/** Two say when the socket is read: Node, by the methods it calls, and we. @param onStart Node lets it flow again. */
function controlFlow(socket: Socket, onStart: () => void): Flow {
  const { pause, resume } = socket
  let isStopped = false
  let isHeld = false
  socket.pause = () => {
    isStopped = true
    return pause.call(socket)
  }
  socket.resume = () => {
    const wasStopped = isStopped
    isStopped = false
    if (!isHeld) resume.call(socket)
    if (wasStopped) process.nextTick(onStart)
    return socket
  }
  return {
    get isStopped() {
      return isStopped
    },
    hold(shouldHold) {
      if (isHeld === shouldHold) return
      isHeld = shouldHold
      if (isHeld) pause.call(socket)
      else if (!isStopped) resume.call(socket)
    },
  }
}
