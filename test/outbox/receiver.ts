/** A receiver of events on loopback that does as it is told: takes them, refuses them, is silent, or hangs up. */
import { once } from 'node:events'
import { createServer, type IncomingHttpHeaders, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'

export interface Received {
  method: string
  path: string
  headers: IncomingHttpHeaders
  body: string
}

export interface Receiver {
  url: string
  /** host:port, as the operator allows it. */
  place: string
  /** Everything that came, in order, refused or not. */
  received: Received[]
  /** Decides on each: a status, or what it does itself. 204 unless it is told otherwise. */
  answer: (request: Received, response: ServerResponse) => number | { status: number; body: unknown } | null
  /** Resolves once there is one that matches. */
  until(matches: (request: Received) => boolean): Promise<Received>
  close(): Promise<void>
}

export async function startReceiver(): Promise<Receiver> {
  const waiting: (() => void)[] = []
  const server = createServer((request, response) => {
    const chunks: Buffer[] = []
    request.on('data', (chunk: Buffer) => chunks.push(chunk))
    request.on('error', () => {})
    request.on('end', () => {
      const body = Buffer.concat(chunks).toString('utf8')
      const one = { method: request.method ?? '', path: request.url ?? '', headers: request.headers, body }
      receiver.received.push(one)
      const answer = receiver.answer(one, response)
      for (const look of waiting.splice(0)) look()
      if (answer === null) return
      const { status, body: reply = null } = typeof answer === 'number' ? { status: answer } : answer
      response.writeHead(status, { 'content-type': 'application/json' })
      response.end(reply === null ? undefined : JSON.stringify(reply))
    })
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  const receiver: Receiver = {
    url: `http://127.0.0.1:${port}`,
    place: `127.0.0.1:${port}`,
    received: [],
    answer: () => 204,
    async until(matches) {
      for (;;) {
        const found = receiver.received.find(matches)
        if (found !== undefined) return found
        await new Promise<void>((resolve) => waiting.push(resolve))
      }
    },
    async close() {
      server.closeAllConnections()
      server.close()
      await once(server, 'close')
    },
  }
  return receiver
}
