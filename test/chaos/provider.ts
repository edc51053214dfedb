/**
 * The provider of a run: speaks OpenAI's dialect on loopback, does with each call what its plan says, and keeps the tally that
 * is the truth. It knows a call by the `user` of its request.
 */
import { once } from 'node:events'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { seeded, whole } from '../support/splits.ts'
import type { Attempt, Calls } from './calls.ts'
import { type Behaviour, type CallPlan, wordAt } from './plan.ts'

export interface Provider {
  /** What an `api_base` points at. */
  url: string
  /** Requests that name no call of this run: there must be none. */
  strangers: () => number
  close(): Promise<void>
}

/** A piece of an answer, and what the tally says once it has been begun. */
interface Frame {
  bytes: Buffer
  words: number
  finish?: 'stop' | 'length'
  stated?: { input: number; output: number }
}

interface Asked {
  user?: unknown
  stream?: unknown
  max_tokens?: unknown
  max_completion_tokens?: unknown
  stream_options?: { include_usage?: unknown } | null
}

export async function startProvider(calls: Calls): Promise<Provider> {
  let strangers = 0
  const server = createServer((incoming, outgoing) => {
    serve(incoming, outgoing).catch(() => outgoing.destroy())
  })

  async function serve(incoming: IncomingMessage, outgoing: ServerResponse): Promise<void> {
    outgoing.on('error', () => {})
    const pieces: Buffer[] = []
    for await (const piece of incoming) pieces.push(piece as Buffer)
    const asked: Asked = JSON.parse(Buffer.concat(pieces).toString())
    const call = typeof asked.user === 'string' ? calls.find(asked.user) : undefined
    if (call === undefined) {
      strangers += 1
      return void incoming.socket.destroy()
    }
    const { plan, attempts } = call
    const attempt: Attempt = {
      at: performance.now(),
      words: 0,
      finish: null,
      stated: null,
      complete: false,
      over: false,
      history: [],
    }
    attempts.push(attempt)
    outgoing.once('close', () => {
      attempt.over = true
    })
    const behaviour = plan.attempts[Math.min(attempts.length, plan.attempts.length) - 1] as Behaviour
    await perform(behaviour, plan, asked, attempt, outgoing)
  }

  server.on('connection', (socket) => socket.setNoDelay(true))
  server.keepAliveTimeout = 60_000
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/v1`,
    strangers: () => strangers,
    async close() {
      const closed = once(server, 'close')
      server.close()
      server.closeAllConnections()
      await closed
    },
  }
}

async function perform(
  behaviour: Behaviour,
  plan: CallPlan,
  asked: Asked,
  attempt: Attempt,
  outgoing: ServerResponse,
): Promise<void> {
  if (behaviour.kind === 'hangsUp') return void outgoing.socket?.destroy()
  if (behaviour.kind === 'refuses') {
    outgoing.writeHead(behaviour.status, { 'content-type': 'application/json' })
    outgoing.end(JSON.stringify({ error: { message: 'not now', type: 'server_error', param: null, code: null } }))
    return
  }
  const frames = asked.stream === true ? streamFrames(behaviour, plan, asked) : jsonFrames(behaviour, plan, asked)
  const length = frames.reduce((sum, { bytes }) => sum + bytes.length, 0)
  const limit = behaviour.kind === 'answers' ? Number.POSITIVE_INFINITY : Math.floor(behaviour.at * length)
  const sent = await send(frames, limit, plan, attempt, outgoing, asked.stream === true)
  if (!sent || behaviour.kind === 'hangs') return
  if (behaviour.kind === 'cut') {
    // What was written goes out first; the chunk that ends a body does not.
    const { socket } = outgoing
    if (socket !== null && !socket.destroyed) socket.write('', () => socket.destroy())
    return
  }
  outgoing.end()
  await once(outgoing, 'finish')
  attempt.complete = true
}

/** False where the other side went away. */
async function send(
  frames: readonly Frame[],
  limit: number,
  plan: CallPlan,
  attempt: Attempt,
  outgoing: ServerResponse,
  stream: boolean,
): Promise<boolean> {
  const split = plan.number % 8 === 0 ? seeded(plan.number, 40) : whole
  let left = limit
  if (!stream && plan.paceMs > 0) await pause(plan.paceMs * 10, outgoing)
  outgoing.writeHead(200, { 'content-type': stream ? 'text/event-stream' : 'application/json' })
  outgoing.flushHeaders()
  for (const { bytes, words, finish, stated } of frames) {
    if (left <= 0) return true
    if (plan.paceMs > 0 && stream) await pause(plan.paceMs, outgoing)
    if (outgoing.destroyed) return false
    attempt.words += words
    attempt.finish = finish ?? attempt.finish
    attempt.stated = stated ?? attempt.stated
    for (const piece of split(bytes)) {
      if (outgoing.destroyed) return false
      if (left > 0) outgoing.write(piece.subarray(0, left))
      left -= piece.length
      if (split !== whole) await nextTurn()
    }
  }
  return !outgoing.destroyed
}

function pause(ms: number, outgoing: ServerResponse): Promise<void> {
  return new Promise((resolve) => {
    const go = () => {
      clearTimeout(timer)
      outgoing.off('close', go)
      resolve()
    }
    const timer = setTimeout(go, ms)
    outgoing.once('close', go)
  })
}

/** As many tokens as the plan and the cap in the request allow, and what the provider bills for them. */
function measure(
  plan: CallPlan,
  asked: Asked,
): { words: number; finish: 'stop' | 'length'; stated: { input: number; output: number } } {
  const caps = [asked.max_tokens, asked.max_completion_tokens].filter((cap) => typeof cap === 'number')
  const cap = Math.min(...caps, Number.POSITIVE_INFINITY)
  const words = Math.min(plan.words, cap)
  const stated = { input: plan.promptTokens + plan.framing, output: Math.min(words + plan.hidden, cap) }
  return { words, finish: words < plan.words ? 'length' : 'stop', stated }
}

function usageOf({ input, output }: { input: number; output: number }): Record<string, number> {
  return { prompt_tokens: input, completion_tokens: output, total_tokens: input + output }
}

function jsonFrames(behaviour: Behaviour, plan: CallPlan, asked: Asked): Frame[] {
  const { words, finish, stated } = measure(plan, asked)
  const states = 'statesUsage' in behaviour && behaviour.statesUsage
  const message = { role: 'assistant', content: textOf(plan, 0, words), refusal: null }
  const body = {
    id: 'chatcmpl-chaos',
    object: 'chat.completion',
    created: 1_700_000_000,
    model: plan.model,
    choices: [{ index: 0, message, logprobs: null, finish_reason: finish }],
    ...(states ? { usage: usageOf(stated) } : {}),
  }
  return [{ bytes: Buffer.from(JSON.stringify(body)), words, finish, ...(states ? { stated } : {}) }]
}

function streamFrames(behaviour: Behaviour, plan: CallPlan, asked: Asked): Frame[] {
  const { words, finish, stated } = measure(plan, asked)
  const frames: Frame[] = [
    chunk(plan, [{ index: 0, delta: { role: 'assistant', content: '' }, finish_reason: null }], 0),
  ]
  for (let at = 0; at < words; at += plan.wordsPerFrame) {
    const count = Math.min(plan.wordsPerFrame, words - at)
    frames.push(chunk(plan, [{ index: 0, delta: { content: textOf(plan, at, count) }, finish_reason: null }], count))
  }
  frames.push({ ...chunk(plan, [{ index: 0, delta: {}, finish_reason: finish }], 0), finish })
  const states = 'statesUsage' in behaviour && behaviour.statesUsage
  if (states && asked.stream_options?.include_usage === true)
    frames.push({ ...chunk(plan, [], 0, { usage: usageOf(stated) }), stated })
  frames.push({ bytes: Buffer.from('data: [DONE]\n\n'), words: 0 })
  return frames
}

function chunk(plan: CallPlan, choices: unknown[], words: number, more: Record<string, unknown> = {}): Frame {
  const head = { id: 'chatcmpl-chaos', object: 'chat.completion.chunk', created: 1_700_000_000, model: plan.model }
  return { bytes: Buffer.from(`data: ${JSON.stringify({ ...head, choices, ...more })}\n\n`), words }
}

function textOf(plan: CallPlan, from: number, count: number): string {
  return Array.from({ length: count }, (_, index) => wordAt(plan, from + index)).join('')
}
