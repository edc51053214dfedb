/** Stands between a client and the product and writes down what the client asked and was answered. */
import { once } from 'node:events'
import { request as ask, createServer } from 'node:http'
import type { AddressInfo } from 'node:net'

export interface Exchange {
  method: string
  path: string
  status: number
  /** When it was asked, by performance.now(). */
  at: number
}

export interface Relay {
  url: string
  exchanges: Exchange[]
  close(): Promise<void>
}

export async function startRelay(target: string): Promise<Relay> {
  const exchanges: Exchange[] = []
  const { hostname, port } = new URL(target)
  const server = createServer((incoming, outgoing) => {
    const { method = '', url: path = '', headers } = incoming
    const at = performance.now()
    const forward = ask({ hostname, port, method, path, headers }, (answer) => {
      exchanges.push({ method, path, status: answer.statusCode ?? 0, at })
      outgoing.writeHead(answer.statusCode ?? 502, answer.rawHeaders)
      answer.pipe(outgoing)
      answer.once('error', () => outgoing.destroy())
    })
    forward.once('error', () => outgoing.destroy())
    outgoing.once('close', () => forward.destroy())
    incoming.pipe(forward)
  })
  // A client that speaks WebSocket first hears what the product says of it, as any other request.
  server.on('upgrade', ({ method = '', url: path = '', headers }, socket) => {
    const forward = ask({ hostname, port, method, path, headers }, (answer) => {
      exchanges.push({ method, path: `${path} (upgrade)`, status: answer.statusCode ?? 0, at: performance.now() })
      socket.end(
        `HTTP/1.1 ${answer.statusCode} ${answer.statusMessage}\r\nconnection: close\r\ncontent-length: 0\r\n\r\n`,
      )
      answer.resume()
    })
    forward.once('error', () => socket.destroy())
    forward.end()
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    exchanges,
    async close() {
      const closed = once(server, 'close')
      server.close()
      server.closeAllConnections()
      await closed
    },
  }
}
