/** A connection on which a test writes what no client library would, byte by byte, and sees what comes back. */
import { once } from 'node:events'
import { connect } from 'node:net'
import type { Tollgate } from './tollgate.ts'

export interface RawConnection {
  write(bytes: string | Buffer): void
  /** What came so far. */
  text(): string
  /** Resolves once what came matches; rejects when the connection closes before. */
  matches(pattern: RegExp): Promise<RegExpExecArray>
  /** Resolves once so many answers have begun. */
  answers(count: number): Promise<void>
  /** Resolves to all that came once the connection is closed. */
  closed: Promise<string>
  readonly isOpen: boolean
  stopReading(): void
  leave(): void
}

export async function openRaw({ url }: Pick<Tollgate, 'url'>): Promise<RawConnection> {
  const socket = connect(Number(new URL(url).port), '127.0.0.1')
  let text = ''
  let isOpen = true
  const closed = new Promise<string>((resolve) => {
    socket.once('close', () => {
      isOpen = false
      resolve(text)
    })
  })
  // A connection that is cut is part of the tests; `closed` tells of it.
  socket.on('error', () => {})
  socket.setEncoding('latin1').on('data', (piece: string) => {
    text += piece
  })
  await once(socket, 'connect')

  function seen<T>(look: () => T | null): Promise<T> {
    return new Promise((resolve, reject) => {
      const again = () => {
        const found = look()
        if (found === null && isOpen) return
        socket.off('data', again)
        socket.off('close', again)
        if (found !== null) resolve(found)
        else reject(new Error(`closed after ${text.slice(0, 500)}`))
      }
      socket.on('data', again)
      socket.on('close', again)
      again()
    })
  }

  return {
    write: (bytes) => void socket.write(bytes),
    text: () => text,
    matches: (pattern) => seen(() => pattern.exec(text)),
    async answers(count) {
      await seen(() => (text.split(/HTTP\/1\.1 \d/).length > count ? true : null))
    },
    closed,
    get isOpen() {
      return isOpen
    },
    stopReading: () => void socket.pause(),
    leave: () => void socket.destroy(),
  }
}

/** The head of a POST, ended. */
export function postHead(key: string | null, headers: Record<string, string | number>): string {
  const own = { Host: 'tollgate', 'Content-Type': 'application/json', ...headers }
  const lines = Object.entries(key === null ? own : { ...own, Authorization: `Bearer ${key}` })
  return `POST /v1/chat/completions HTTP/1.1\r\n${lines.map(([name, value]) => `${name}: ${value}\r\n`).join('')}\r\n`
}
