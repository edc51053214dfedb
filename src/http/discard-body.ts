/**
 * What is left of a body whose request is answered already. It is read and thrown away for a moment, since a client that is still
 * sending when its connection is reset may never read the response; then the connection is closed.
 */
import type { IncomingMessage } from 'node:http'
import { isMinced } from './read-body.ts'

const PATIENCE_MS = 1_000
/** As much as the largest body that some provider takes. */
const BYTES_MAX = 64 * 1024 * 1024

export function discardBody(incoming: IncomingMessage): void {
  const { socket } = incoming
  let pieces = 0
  let size = 0
  const patience = setTimeout(() => socket.destroy(), PATIENCE_MS)
  incoming.removeAllListeners('data')
  incoming.on('data', (piece: Buffer) => {
    pieces += 1
    size += piece.length
    if (size > BYTES_MAX || isMinced(pieces, size)) socket.destroy()
  })
  incoming.once('close', () => clearTimeout(patience))
  incoming.resume()
}
