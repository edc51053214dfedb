/**
 * The provider, as a process: always answers the same, and counts what it would bill. Each frame of a stream goes out by itself, a
 * turn of the event loop after the one before, as frames of a real provider do; those of a paced stream one every ten
 * milliseconds, saying when. GET /tally tells the counts.
 */
import { once } from 'node:events'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { answerAsks } from './answer-asks.ts'
import { stamped } from './chunk-stamps.ts'
import {
  isStream,
  type Kind,
  kindOf,
  LONG_STREAM_CHUNKS,
  PACE_MS,
  type StreamKind,
  streamFrames,
  USAGE,
  wholeAnswer,
} from './provider-answers.ts'

export interface Tally {
  calls: number
  prompt_tokens: number
  completion_tokens: number
}

export interface UpstreamWorker {
  /** Returns the origin: http://127.0.0.1:PORT */
  listen(value: null): Promise<string>
}

const WHOLE = {
  whole: wholeAnswer('whole'),
  'long-message': wholeAnswer('long-message'),
  'long-conversation': wholeAnswer('long-conversation'),
  'long-answer': wholeAnswer('long-answer'),
}
const framesOf = (kind: StreamKind) => ({
  withUsage: streamFrames(kind, true),
  withoutUsage: streamFrames(kind, false),
})
const FRAMES = {
  stream: framesOf('stream'),
  paced: framesOf('paced'),
  'long-stream': framesOf('long-stream'),
  'anthropic-stream': framesOf('anthropic-stream'),
  'gemini-stream': framesOf('gemini-stream'),
}
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
    const kind = kindOf(request.url ?? '', body)
    bill(kind)
    if (!isStream(kind)) return sendJson(response, WHOLE[kind])
    response.writeHead(200, { 'content-type': 'text/event-stream', 'cache-control': 'no-cache' })
    const frames = FRAMES[kind][body.includes(INCLUDE_USAGE) ? 'withUsage' : 'withoutUsage']
    if (kind === 'paced') sendPaced(response, frames, 0, performance.now())
    else sendFrames(response, frames, 0)
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

/** By the clock, not by pauses: one that was late is not late for all that follow. */
function sendPaced(response: ServerResponse, frames: readonly Buffer[], i: number, start: number): void {
  const frame = frames[i]
  if (response.destroyed || frame === undefined) return
  if (i >= LONG_STREAM_CHUNKS) {
    sendFrames(response, frames, i)
    return
  }
  response.write(stamped(frame))
  setTimeout(sendPaced, Math.max(1, start + (i + 1) * PACE_MS - performance.now()), response, frames, i + 1, start)
}

answerAsks<UpstreamWorker>({
  async listen() {
    const server = createServer({ keepAliveTimeout: 600_000, noDelay: true }, serve)
    server.listen(0, '127.0.0.1', 4_096)
    await once(server, 'listening')
    return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  },
})
