/**
 * Which connections are open. Beyond the limit a new connection replaces the stranger's that was silent for longest, since clients that
 * connect and send nothing must not keep others out; where all are at work, the new one is refused.
 */
import type { Socket } from 'node:net'

export interface ConnectionTable {
  readonly size: number
  has(socket: Socket): boolean
  /** False: there was no place. */
  enter(socket: Socket): boolean
  /** A request is handled on it. */
  work(socket: Socket): void
  /** It is silent again. @param isStranger nothing it asked could be answered. */
  rest(socket: Socket, isStranger: boolean): void
}

export function createConnectionTable(most: number, onFull: () => void): ConnectionTable {
  const all = new Set<Socket>()
  // In the order in which they became silent. Those that asked nothing yet, or nothing that could be answered, go before the others.
  const strangers = new Set<Socket>()
  const idle = new Set<Socket>()

  function leave(socket: Socket): void {
    all.delete(socket)
    strangers.delete(socket)
    idle.delete(socket)
  }

  function makeRoom(): boolean {
    if (all.size < most) return true
    onFull()
    const [oldest] = strangers.size > 0 ? strangers : idle
    if (oldest === undefined) return false
    leave(oldest)
    oldest.destroy()
    return true
  }

  return {
    get size() {
      return all.size
    },
    has: (socket) => all.has(socket),
    enter(socket) {
      if (!makeRoom()) return false
      all.add(socket)
      strangers.add(socket)
      socket.once('close', () => leave(socket))
      return true
    },
    work(socket) {
      strangers.delete(socket)
      idle.delete(socket)
    },
    rest(socket, isStranger) {
      if (all.has(socket)) (isStranger ? strangers : idle).add(socket)
    },
  }
}
