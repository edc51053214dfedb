/**
 * A provider on loopback that does what a test tells it: real HTTP, real sockets, bytes cut anywhere. What it answers is
 * described in upstream-answers.ts, where its body is cut in splits.ts.
 */
import { once } from 'node:events'
import { createServer, type IncomingHttpHeaders, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { whole } from './splits.ts'
import { type Answer, chat, type Handler, type Script } from './upstream-answers.ts'

export interface ReceivedRequest {
  method: string
  path: string
  headers: IncomingHttpHeaders
  body: Buffer
  /** The body where it is a JSON object. */
  json: Record<string, unknown> | null
  /** Resolves when the peer goes away before the answer is out in whole; stays open otherwise. */
  aborted: Promise<void>
  /** Resolves when the answer is out in whole; stays open otherwise. */
  answered: Promise<void>
}

export interface Tally {
  /** Requests received, whatever became of them. */
  calls: number
  /** Answers that went out in whole, and the usage they stated: what the provider will bill. */
  completed: number
  promptTokens: number
  completionTokens: number
}

export interface ScriptedUpstream {
  /** What an `api_base` points at: http://127.0.0.1:PORT/v1 */
  url: string
  requests: ReceivedRequest[]
  tally: Tally
  /** What it answers from now on. At the start: a plain chat completion, streamed or not as asked. */
  respond(behaviour: Script | Handler): void
  /** The n-th request since the start (from 1), as soon as it has come in. */
  received(n: number): Promise<ReceivedRequest>
  close(): Promise<void>
}

export async function startUpstream(behaviour: Script | Handler = chat()): Promise<ScriptedUpstream> {
  const requests: ReceivedRequest[] = []
  const tally: Tally = { calls: 0, completed: 0, promptTokens: 0, completionTokens: 0 }
  const waiting: { n: number; resolve: (request: ReceivedRequest) => void }[] = []
  let current = behaviour

  async function serve(incoming: IncomingMessage, outgoing: ServerResponse): Promise<void> {
    const request = await receive(incoming, outgoing)
    requests.push(request)
    tally.calls += 1
    for (const waiter of waiting) if (waiter.n === requests.length) waiter.resolve(request)
    const script = typeof current === 'function' ? await current(request) : current
    if (script === 'silence') return
    if (script === 'hangUp') return void incoming.socket.destroy()
    if (!(await send(script, outgoing))) return
    tally.completed += 1
    tally.promptTokens += script.usage?.prompt_tokens ?? 0
    tally.completionTokens += script.usage?.completion_tokens ?? 0
  }

  const server = createServer((incoming, outgoing) => {
    // A peer that goes away in the middle is part of the tests; what happened shows in `aborted`.
    serve(incoming, outgoing).catch(() => outgoing.destroy())
  })
  server.on('connection', (socket) => socket.setNoDelay(true))
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/v1`,
    requests,
    tally,
    respond(next) {
      current = next
    },
    received(n) {
      const present = requests[n - 1]
      return present === undefined ? new Promise((resolve) => waiting.push({ n, resolve })) : Promise.resolve(present)
    },
    async close() {
      const closed = once(server, 'close')
      server.close()
      server.closeAllConnections()
      await closed
    },
  }
}

async function receive(incoming: IncomingMessage, outgoing: ServerResponse): Promise<ReceivedRequest> {
  const aborted = new Promise<void>((resolve) => outgoing.once('close', () => outgoing.writableFinished || resolve()))
  const answered = new Promise<void>((resolve) => outgoing.once('finish', () => resolve()))
  const chunks: Buffer[] = []
  for await (const chunk of incoming) chunks.push(chunk as Buffer)
  const body = Buffer.concat(chunks)
  const { method = '', url = '', headers } = incoming
  return { method, path: url, headers, body, json: asObject(body), aborted, answered }
}

function asObject(body: Buffer): Record<string, unknown> | null {
  try {
    const value: unknown = JSON.parse(body.toString())
    return typeof value === 'object' && value !== null && !Array.isArray(value)
      ? (value as Record<string, unknown>)
      : null
  } catch {
    return null
  }
}

/** Whether the whole answer went out. */
async function send(answer: Answer, outgoing: ServerResponse): Promise<boolean> {
  const { frames, split = whole, cutAfter = Number.POSITIVE_INFINITY } = answer
  await answer.beforeHead
  outgoing.writeHead(answer.status ?? 200, answer.headers ?? {})
  outgoing.flushHeaders()
  let left = cutAfter
  for (const [i, frame] of frames.entries()) {
    await answer.gate?.(i)
    for (const piece of split(Buffer.from(frame))) {
      if (outgoing.destroyed) return false
      await writeOut(outgoing, piece.subarray(0, left))
      left -= piece.length
      if (left <= 0) break
    }
    if (left <= 0) break
  }
  if (left <= 0) return cut(outgoing)
  await answer.gate?.(frames.length)
  if (outgoing.destroyed) return false
  outgoing.end()
  await once(outgoing, 'finish')
  return true
}

/** One piece, by itself: a chunk of its own on the wire, and a turn of the loop before the next one. */
async function writeOut(outgoing: ServerResponse, piece: Buffer): Promise<void> {
  if (piece.length === 0) return
  if (outgoing.write(piece)) return void (await nextTurn())
  await new Promise<void>((resolve) => {
    const go = () => {
      outgoing.off('drain', go)
      outgoing.off('close', go)
      resolve()
    }
    outgoing.on('drain', go)
    outgoing.on('close', go)
  })
}

/** What was written goes out first; then the connection is gone, without the chunk that ends a body. */
async function cut(outgoing: ServerResponse): Promise<false> {
  const { socket } = outgoing
  if (socket !== null && !socket.destroyed) await new Promise<void>((resolve) => socket.write('', () => resolve()))
  socket?.destroy()
  return false
}
