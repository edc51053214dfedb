/**
 * The provider, as a process: answers at once, always the same, and counts what it would bill. Each frame of a stream goes out
 * by itself, a turn of the event loop after the one before, as frames of a real provider do. GET /tally tells the counts.
 */
import { once } from 'node:events'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { answerAsks } from './answer-asks.ts'
import { type Kind, streamFrames, USAGE, wholeAnswer } from './provider-answers.ts'

export interface Tally {
  calls: number
  prompt_tokens: number
  completion_tokens: number
}

export interface UpstreamWorker {
  /** Answers the origin: http://127.0.0.1:PORT */
  listen(value: null): Promise<string>
}

const WHOLE = wholeAnswer()
const FRAMES = { withUsage: streamFrames(true), withoutUsage: streamFrames(false) }
const STREAM = Buffer.from('"stream":true')
const INCLUDE_USAGE = Buffer.from('"include_usage":true')
const tally: Tally = { calls: 0, prompt_tokens: 0, completion_tokens: 0 }

function bill(kind: Kind): void {
  tally.calls += 1
  tally.prompt_tokens += USAGE[kind].prompt_tokens
  tally.completion_tokens += USAGE[kind].completion_tokens
}

function serve(request: IncomingMessage, response: ServerResponse): void {
  const chunks: Buffer[] = []
  request.on('data', (chunk: Buffer) => chunks.push(chunk))
  request.on('end', () => {
    if (request.method === 'GET') return sendJson(response, Buffer.from(JSON.stringify(tally)))
    const body = chunks.length === 1 && chunks[0] !== undefined ? chunks[0] : Buffer.concat(chunks)
    if (!body.includes(STREAM)) {
      bill('whole')
      return sendJson(response, WHOLE)
    }
    bill('stream')
    response.writeHead(200, { 'content-type': 'text/event-stream', 'cache-control': 'no-cache' })
    sendFrames(response, body.includes(INCLUDE_USAGE) ? FRAMES.withUsage : FRAMES.withoutUsage, 0)
  })
}

function sendJson(response: ServerResponse, body: Buffer): void {
  response.writeHead(200, { 'content-type': 'application/json', 'content-length': body.length })
  response.end(body)
}

function sendFrames(response: ServerResponse, frames: readonly Buffer[], i: number): void {
  const frame = frames[i]
  if (response.destroyed) return
  if (frame === undefined) response.end()
  else if (response.write(frame)) setImmediate(sendFrames, response, frames, i + 1)
  else response.once('drain', () => sendFrames(response, frames, i + 1))
}

answerAsks<UpstreamWorker>({
  async listen() {
    const server = createServer({ keepAliveTimeout: 600_000, noDelay: true }, serve)
    server.listen(0, '127.0.0.1', 4_096)
    await once(server, 'listening')
    return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  },
})
