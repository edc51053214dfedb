/** One connection of a flood, and what floods write on it. */
import type { Socket } from 'node:net'

export interface Flood {
  name: string
  connections: number
  /** Writes on a connection that has just opened. `head` makes the head of a request, with the attacker's credential if it has one. */
  attack(socket: Socket, head: Head): void
}

/** @param extra header lines, each with its line end. */
export type Head = (method: string, target: string, extra?: string) => string

export const CHAT = '/v1/chat/completions'
const JSON_TYPE = 'Content-Type: application/json\r\n'
export const CHUNKED = `${JSON_TYPE}Transfer-Encoding: chunked\r\n`
export const lengthOf = (bytes: number) => `${JSON_TYPE}Content-Length: ${bytes}\r\n`
export const TRICKLE_MS = 200

/** Writes the same again and again, as fast as it is taken. */
export function pour(socket: Socket, piece: string | Buffer): void {
  const more = () => {
    if (socket.destroyed) return
    if (socket.write(piece)) setImmediate(more)
    else socket.once('drain', more)
  }
  more()
}

/** Writes the same every fifth of a second. */
export function trickle(socket: Socket, piece: string): void {
  const timer = setInterval(() => socket.write(piece), TRICKLE_MS)
  socket.once('close', () => clearInterval(timer))
}

/** Sends the next request when the last one was answered. */
export function takeTurns(socket: Socket, most: number, next: () => string): void {
  let sent = 1
  socket.on('data', () => {
    if (sent >= most) socket.destroy()
    else socket.write(next())
    sent += 1
  })
  socket.write(next())
}

export function post(socket: Socket, head: Head, body: Buffer): void {
  socket.write(head('POST', CHAT, lengthOf(body.length)))
  socket.write(body)
}

export function randomHex(length: number): string {
  return Array.from({ length }, () => Math.floor(Math.random() * 16).toString(16)).join('')
}
