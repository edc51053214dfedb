/** One request at a time is handled on a connection. What a caller sends ahead waits in order, up to a handful. */
import type { IncomingMessage, RequestListener, ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import { discardBody } from '../http/discard-body.ts'

/** Node hands over every request of a packet at once; clients that send ahead at all send a few. */
const AHEAD_MAX = 16
/** Reading what is thrown away costs as much as reading: in a flood the others are cut. */
const DISCARDING_MAX = 16

export type Exchange = [incoming: IncomingMessage, outgoing: ServerResponse]

export interface RequestTurns {
  /** False: too many wait. */
  take(socket: Socket, exchange: Exchange): boolean
  /** What is handled now; null: nothing, undefined: nothing was ever asked. */
  current(socket: Socket): Exchange | null | undefined
}

interface Turns {
  current: Exchange | null
  ahead: Exchange[]
}

export interface TurnEvents {
  /** Before a request is handled. */
  onWork(socket: Socket): void
  onAnswered(socket: Socket, ...exchange: Exchange): void
  /** After the last one that waited. */
  onRest(socket: Socket, outgoing: ServerResponse): void
  /** Runs what a connection sent ahead, when its turn comes. */
  inTurn(socket: Socket, work: () => void): void
}

export function createRequestTurns(listener: RequestListener, events: TurnEvents): RequestTurns {
  const all = new WeakMap<Socket, Turns>()
  let discarding = 0

  function begin(socket: Socket, turns: Turns, exchange: Exchange): void {
    const [incoming, outgoing] = exchange
    events.onWork(socket)
    turns.current = exchange
    outgoing.once('prefinish', () => {
      if (!incoming.complete && !incoming.destroyed) discard(socket, exchange)
    })
    outgoing.once('close', () => {
      turns.current = null
      if (socket.destroyed) return
      events.onAnswered(socket, ...exchange)
      const next = turns.ahead.shift()
      if (next === undefined) {
        events.onRest(socket, outgoing)
        return
      }
      turns.current = next
      events.inTurn(socket, () => {
        if (!socket.destroyed) begin(socket, turns, next)
      })
    })
    listener(incoming, outgoing)
  }

  /** It was answered before all of its body came. */
  function discard(socket: Socket, [incoming, outgoing]: Exchange): void {
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

  return {
    take(socket, exchange) {
      const turns = all.get(socket) ?? { current: null, ahead: [] }
      all.set(socket, turns)
      if (turns.current === null) begin(socket, turns, exchange)
      else if (turns.ahead.length < AHEAD_MAX) turns.ahead.push(exchange)
      else return false
      return true
    },
    current: (socket) => all.get(socket)?.current,
  }
}
