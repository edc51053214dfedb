/**
 * Reads a stream in OpenAI's dialect. A frame is forwarded as received unless it carries usage (kept back: the caller gets one
 * usage frame, last, if it asked), a second finish reason, or an error. Frames that need no look inside are told by the
 * absence of three byte patterns, which can't stand inside a JSON string, where every quote is escaped.
 */
import { changeMembers, objectMembers } from '../src/http/json-members.ts'
import { parseJson } from './json.ts'
import { readOpenAiUsage } from './openai-usage.ts'
import type { ProviderError, Reading, StreamPart, StreamReader } from './provider.ts'
import { createSseFrames, dataFrame, dataLine, isCanonical, parseFrame, type Verdict } from './sse-frames.ts'

const USAGE = Buffer.from('"usage"')
const FINISH = Buffer.from('"finish_reason"')
const ERROR = Buffer.from('"error"')
const COLON = 0x3a
const LETTER_N = 0x6e

interface Chunk {
  id?: unknown
  created?: unknown
  model?: unknown
  service_tier?: unknown
  system_fingerprint?: unknown
  usage?: unknown
  error?: unknown
  choices?: unknown
}

interface Choice {
  index?: unknown
  finish_reason?: unknown
  delta?: Record<string, unknown>
}

/** `choices` is the request's `n`; `readError` reads the body of an error frame. */
export function readOpenAiStream(choices: number, readError: (body: unknown) => ProviderError): StreamReader {
  const reading: Reading = { usage: null, consistent: true, model: null, serviceTier: null }
  const finished = new Map<number, string>()
  /** Frames forwarded since usage was last stated, kept by reference, so that what no usage covers can be counted. */
  let shown: Buffer[] = []
  /** Frames forwarded before those. */
  let covered = 0
  let usagePayload: Buffer | null = null
  let lastChunk: Chunk | null = null
  let sampled = false
  let frames = 0
  let done = false
  let error: ProviderError | null = null

  const scanner = createSseFrames(judge)

  function judge(frame: Buffer): Verdict {
    const before = usagePayload
    const verdict = judgeFrame(frame)
    // What came along with usage is covered by it.
    if (verdict !== null && usagePayload === before) shown.push(verdict === true ? frame : verdict)
    return verdict
  }

  function judgeFrame(frame: Buffer): Verdict {
    if (done || error !== null) return null
    const payload = dataLine(frame)
    if (payload === null) return judgeUnusual(frame)
    if (payload[0] !== 0x7b) return judgeOther(payload.toString('utf8').trim())
    if (!sampled || isStated(payload, USAGE) || isStated(payload, FINISH) || payload.includes(ERROR))
      return judgeChunk(frame, payload)
    frames += 1
    return isCanonical(frame) ? true : dataFrame(payload)
  }

  /** Data that is not a plain JSON line: it leaves in the canonical form, in which it can also be counted. */
  function judgeOther(data: string): Verdict {
    if (data === '[DONE]') done = true
    if (!data.startsWith('{')) return null
    const payload = Buffer.from(data.replaceAll('\n', ' '))
    const frame = dataFrame(payload)
    const verdict = judgeChunk(frame, payload)
    return verdict === true ? frame : verdict
  }

  /** Comments, named events, data over several lines. */
  function judgeUnusual(frame: Buffer): Verdict {
    const { event, data } = parseFrame(frame)
    if (data === '') return null
    if (event === 'error') {
      error = readError(parseJson(data))
      return null
    }
    return judgeOther(data.trim())
  }

  function judgeChunk(frame: Buffer, payload: Buffer): Verdict {
    const chunk = parseJson(payload) as Chunk | null
    if (chunk === null || typeof chunk !== 'object') return null
    if (chunk.error !== undefined && chunk.error !== null) {
      takeUsage(chunk, payload)
      error = readError(chunk)
      return null
    }
    frames += 1
    learn(chunk)
    const carriesUsage = takeUsage(chunk, payload)
    const parts = choicesOf(chunk)
    if (carriesUsage && parts.length === 0) return null
    const repeats = parts.length > 0 && parts.map(finishesAgain).every((again) => again)
    if (repeats) return null
    if (!carriesUsage) return isCanonical(frame) ? true : dataFrame(payload)
    return dataFrame(changeMembers(payload, objectMembers(payload), [{ key: 'usage', remove: true }]))
  }

  function learn(chunk: Chunk): void {
    if (typeof chunk.model === 'string' && chunk.model !== '') {
      reading.model = chunk.model
      sampled = true
      lastChunk = chunk
    }
    if (typeof chunk.service_tier === 'string') reading.serviceTier = chunk.service_tier
  }

  /** Usage may come in any frame and more than once: the last counts. */
  function takeUsage(chunk: Chunk, payload: Buffer): boolean {
    if (chunk.usage === undefined || chunk.usage === null) return false
    const stated = readOpenAiUsage(chunk.usage)
    if (stated !== null) {
      reading.usage = stated.usage
      reading.consistent = stated.consistent
      usagePayload = payload
      covered += shown.length
      shown = []
    }
    return true
  }

  /** True for a second finish reason that says nothing new. */
  function finishesAgain(choice: Choice): boolean {
    const index = typeof choice.index === 'number' ? choice.index : 0
    if (typeof choice.finish_reason !== 'string') return false
    if (!finished.has(index)) {
      finished.set(index, choice.finish_reason)
      return false
    }
    const said = Object.entries(choice.delta ?? {}).filter(([key]) => key !== 'role')
    return said.every(([, value]) => value === null || value === '')
  }

  function part(bytes: Buffer | null): StreamPart {
    return { bytes, done, error }
  }

  return {
    push: (chunk) => part(scanner.push(chunk)),
    end() {
      // What a broken connection left of a frame goes out only if it is whole.
      sampled = false
      return part(scanner.end())
    },
    reading,
    get finishReasons() {
      return [...finished.values()]
    },
    get frames() {
      return frames
    },
    outputText: () => outputText(shown),
    textSince: (position) => ({
      text: outputText(shown.slice(Math.max(0, position - covered))),
      position: covered + shown.length,
    }),
    usageFrame: (cost, usage) => dataFrame(usageChunk(usagePayload, lastChunk, cost, usage)),
    stopFrames: () => stopFrames(lastChunk, choices, finished),
  }
}

/** Whether the member stands in the payload with anything but null. */
function isStated(payload: Buffer, member: Buffer): boolean {
  let at = payload.indexOf(member)
  while (at >= 0) {
    let value = at + member.length
    while (payload[value] === 0x20 || payload[value] === COLON) value += 1
    if (payload[value] !== LETTER_N) return true
    at = payload.indexOf(member, value)
  }
  return false
}

function choicesOf(chunk: Chunk | null): Choice[] {
  const choices: unknown[] = Array.isArray(chunk?.choices) ? chunk.choices : []
  return choices.filter((choice): choice is Choice => typeof choice === 'object' && choice !== null)
}

/** The provider's own usage frame with our cost in it; one in its likeness where there was none, or where choices came along. */
function usageChunk(payload: Buffer | null, last: Chunk | null, cost: string, usage: unknown): Buffer {
  if (payload !== null) {
    const members = objectMembers(payload)
    const own = members.find((member) => member.key === 'usage')
    if (own !== undefined) {
      const value = withCost(payload.subarray(own.valueStart, own.end), cost)
      const changes = [{ key: 'usage', value: value.toString('utf8') }]
      return changeMembers(payload, members, isBare(payload) ? changes : [...changes, { key: 'choices', value: '[]' }])
    }
  }
  return Buffer.from(JSON.stringify({ ...frameOf(last), choices: [], usage }).replace(/}}$/, `,"cost":${cost}}}`))
}

function isBare(payload: Buffer): boolean {
  const chunk = parseJson(payload) as Chunk | null
  return Array.isArray(chunk?.choices) && chunk.choices.length === 0
}

/** The members every frame of a stream repeats. */
function frameOf(last: Chunk | null): Record<string, unknown> {
  const { id, created, model, system_fingerprint: fingerprint } = last ?? {}
  return {
    id: id ?? 'chatcmpl-tollgate',
    object: 'chat.completion.chunk',
    created: created ?? 0,
    model: model ?? '',
    system_fingerprint: fingerprint ?? null,
  }
}

function stopFrames(last: Chunk | null, choices: number, finished: ReadonlyMap<number, string>): Buffer {
  const open = Array.from({ length: choices }, (_, index) => index).filter((index) => !finished.has(index))
  return Buffer.concat(
    open.map((index) =>
      dataFrame(
        JSON.stringify({ ...frameOf(last), choices: [{ index, delta: {}, logprobs: null, finish_reason: 'length' }] }),
      ),
    ),
  )
}

/** A usage object with `cost` in it; the text is otherwise as it was. */
export function withCost(usage: Buffer, cost: string): Buffer {
  return changeMembers(usage, objectMembers(usage), [{ key: 'cost', value: cost }])
}

/** Everything a stream showed: content, refusals, reasoning, tool names and arguments, over all choices. */
function outputText(shown: readonly Buffer[]): string {
  const pieces: string[] = []
  for (const frame of Buffer.concat(shown).toString('utf8').split('\n\n')) {
    if (!frame.startsWith('data:')) continue
    const chunk = parseJson(frame.slice(5)) as Chunk | null
    for (const choice of choicesOf(chunk)) collectText(choice.delta, pieces)
  }
  return pieces.join('')
}

/** Appends the text of a message or delta. */
export function collectText(message: unknown, pieces: string[]): void {
  if (message === null || typeof message !== 'object') return
  const {
    content,
    refusal,
    reasoning,
    reasoning_content: thought,
    function_call: called,
    tool_calls: calls,
  } = message as Record<string, unknown>
  for (const text of [content, refusal, thought ?? reasoning]) if (typeof text === 'string') pieces.push(text)
  for (const call of [
    called,
    ...(Array.isArray(calls) ? calls.map((entry) => (entry as { function?: unknown } | null)?.function) : []),
  ]) {
    const { name, arguments: args } = (call ?? {}) as Record<string, unknown>
    for (const text of [name, args]) if (typeof text === 'string') pieces.push(text)
  }
}
