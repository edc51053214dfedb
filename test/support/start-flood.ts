/** A flood against one address: each of its connections is opened again as soon as it is closed. */
import { connect, type Socket } from 'node:net'
import type { Flood, Head } from './flood-connection.ts'

export interface RunningFlood {
  /** Connections so far. */
  readonly opened: number
  stop(): void
}

/** @param key the attacker's; null for one without. */
export function startFlood({ connections, attack }: Flood, url: string, key: string | null): RunningFlood {
  const { hostname, port } = new URL(url)
  const credential = key === null ? '' : `Authorization: Bearer ${key}\r\n`
  const head: Head = (method, target, extra = '') =>
    `${method} ${target} HTTP/1.1\r\nHost: tollgate\r\n${credential}${extra}\r\n`
  const open = new Set<Socket>()
  let opened = 0
  let isOver = false

  function openOne(): void {
    if (isOver) return
    const socket = connect(Number(port), hostname)
    opened += 1
    open.add(socket)
    // Being cut off is what it is for.
    socket.on('error', () => {})
    socket.once('close', () => {
      open.delete(socket)
      setImmediate(openOne)
    })
    socket.once('connect', () => {
      attack(socket, head)
      // A reader that stops has paused it.
      if (!socket.isPaused()) socket.resume()
    })
  }

  for (let at = 0; at < connections; at += 1) openOne()
  return {
    get opened() {
      return opened
    },
    stop() {
      isOver = true
      for (const socket of open) socket.destroy()
    },
  }
}
