/** A caller one frame at a time: opens a call on a connection of its own, sees what came so far, and may leave at any moment. */
import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { type ClientRequest, type IncomingHttpHeaders, type IncomingMessage, request } from 'node:http'
import type { Tollgate } from './tollgate.ts'

export interface OpenCall {
  /** Sent as X-Request-ID; names the call in log and books. */
  requestId: string
  /** Resolves when the answer's head is here; stays open when the caller leaves before. */
  head: Promise<{ status: number; headers: IncomingHttpHeaders }>
  /** The frames received, empty line included, as soon as there are `count` of them. Rejects when the answer ends with fewer. */
  frames(count: number): Promise<readonly string[]>
  /** Resolves when the answer is over: its body, and whether it came to its proper end. */
  closed: Promise<{ body: string; complete: boolean }>
  /** The caller is gone: its socket is reset. */
  leave(): void
  /** Says that nothing more will be sent, and still reads. */
  halfClose(): void
  /** Stops reading: the socket's window fills up. */
  stopReading(): void
}

export function openCall(
  tollgate: Pick<Tollgate, 'url'>,
  key: string,
  body: unknown,
  headers: Record<string, string> = {},
): OpenCall {
  const requestId = randomUUID()
  const outgoing = request(`${tollgate.url}/v1/chat/completions`, {
    method: 'POST',
    agent: false,
    headers: {
      'content-type': 'application/json',
      authorization: `Bearer ${key}`,
      'x-request-id': requestId,
      ...headers,
    },
  })
  // Leaving is part of the tests; what came of it is told by `closed`.
  outgoing.on('error', () => {})
  const answered = once(outgoing, 'response').then(([incoming]) => incoming as IncomingMessage)
  answered.catch(() => {})
  const reading = readFrames(outgoing)
  outgoing.end(JSON.stringify(body))
  return {
    requestId,
    head: reading.response.then(({ statusCode = 0, headers: received }) => ({ status: statusCode, headers: received })),
    frames: reading.frames,
    closed: reading.closed,
    leave: () => outgoing.socket?.resetAndDestroy(),
    halfClose: () => outgoing.socket?.end(),
    stopReading: () => void reading.response.then((incoming) => incoming.pause()),
  }
}

type Reading = Pick<OpenCall, 'frames' | 'closed'> & { response: Promise<IncomingMessage> }

function readFrames(outgoing: ClientRequest): Reading {
  let body = ''
  let over = false
  const waiting: { count: number; resolve(frames: string[]): void; reject(error: Error): void }[] = []
  const received = () => body.split('\n\n').slice(0, -1)

  function look(): void {
    const frames = received()
    for (const waiter of waiting) {
      if (frames.length >= waiter.count) waiter.resolve(frames.map((frame) => `${frame}\n\n`))
      else if (over) waiter.reject(new Error(`the answer ended with ${frames.length} frames: ${body}`))
    }
  }

  const response = new Promise<IncomingMessage>((resolve) => outgoing.once('response', resolve))
  const closed = new Promise<{ body: string; complete: boolean }>((resolve) => {
    const end = (complete: boolean) => {
      over = true
      look()
      resolve({ body, complete })
    }
    let complete = () => false
    outgoing.once('close', () => end(complete()))
    outgoing.once('response', (incoming: IncomingMessage) => {
      complete = () => incoming.complete
      incoming.setEncoding('utf8')
      incoming.on('error', () => {})
      incoming.on('data', (text: string) => {
        body += text
        look()
      })
    })
  })
  return {
    response,
    closed,
    frames: (count) =>
      new Promise((resolve, reject) => {
        waiting.push({ count, resolve, reject })
        look()
      }),
  }
}
