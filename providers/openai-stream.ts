/**
 * Reads a stream in OpenAI's dialect. A frame is forwarded as received unless it carries usage (kept back: the caller gets one
 * usage frame, last, if it asked), a second finish reason, or an error. Frames that need no look inside are told by the
 * absence of three byte patterns, which can't stand inside a JSON string, where every quote is escaped.
 */

import { finishReason } from './finish-reason.ts'
import { asObject, parseJson } from './json.ts'
import { type Change, changeMembers, objectMembers } from './json-members.ts'
import { collectSaid, saysAnything } from './openai-content.ts'
import { readOpenAiErrorFrame } from './openai-errors.ts'
import type { OpenAiFacts } from './openai-facts.ts'
import { readConsumed } from './openai-reading.ts'
import { emptyReading, type ProviderError, type StreamPart, type StreamReader } from './provider.ts'
import { createShownModel, type ShownModel } from './shown-model.ts'
import { shownUsage } from './shown-usage.ts'
import { createSseFrames, dataFrame, dataLine, isCanonical, parseFrame, type Verdict } from './sse-frames.ts'
import { textBytes } from './text-bytes.ts'

const USAGE = Buffer.from('"usage"')
const FINISH = Buffer.from('"finish_reason"')
const ERROR = Buffer.from('"error"')
const ROLE = Buffer.from('"role"')
const COLON = 0x3a
const LETTER_N = 0x6e

interface Chunk {
  id?: unknown
  created?: unknown
  model?: unknown
  service_tier?: unknown
  system_fingerprint?: unknown
  usage?: unknown
  /** Groq's own member, in which it repeats the usage, or states it alone. */
  x_groq?: unknown
  error?: unknown
  choices?: unknown
}

interface Choice {
  index?: unknown
  finish_reason?: unknown
  delta?: Record<string, unknown>
  /** In place of a delta, by servers that mix up the two or know neither. */
  message?: unknown
  text?: unknown
  error?: unknown
}

/** @param choices the request's `n`. @param asked the model's name that the caller wrote, which is shown. */
export function readOpenAiStream(dialect: OpenAiFacts, choices: number, asked: string): StreamReader {
  const shownModel = createShownModel(asked)
  const reading = emptyReading()
  const finished = new Map<number, string>()
  /** Choices whose role was said. Some servers say it in every frame, and clients that join texts make `assistantassistant` of it. */
  const introduced = new Set<number>()
  /** Frames forwarded, kept by reference, so that what no usage covers, and what a statement is worth, can be counted. */
  const shown: Buffer[] = []
  /** How many of them came before usage was last stated. */
  let covered = 0
  /** The usage object last stated, as its bytes, and the frame it came in. */
  let usageText: Buffer | null = null
  let usagePayload: Buffer | null = null
  let lastChunk: Chunk | null = null
  let sampled = false
  let frames = 0
  let shownBytes = 0
  let spoke = false
  let isFinal = false
  let done = false
  let error: ProviderError | null = null

  const scanner = createSseFrames(judge)

  function judge(frame: Buffer): Verdict {
    const before = usageText
    const verdict = judgeFrame(frame)
    if (verdict !== null) {
      const out = verdict === true ? frame : verdict
      shown.push(out)
      shownBytes += textBytes(out)
    }
    // What came along with usage is covered by it.
    if (usageText !== before) covered = shown.length
    return verdict
  }

  function judgeFrame(frame: Buffer): Verdict {
    if (done || error !== null) return null
    const payload = dataLine(frame)
    if (payload === null) return judgeUnusual(frame)
    if (payload[0] !== 0x7b) return judgeOther(payload.toString('utf8').trim())
    if (!sampled || !spoke || isStated(payload, USAGE) || isStated(payload, FINISH) || payload.includes(ERROR))
      return judgeChunk(frame, payload)
    if (introduced.size > 0 && isStated(payload, ROLE)) return judgeChunk(frame, payload)
    frames += 1
    const renamed = shownModel.rename(payload)
    return renamed === payload && isCanonical(frame) ? true : dataFrame(renamed)
  }

  /** Data that is not a plain JSON line: it leaves in the canonical form, in which it can also be counted. */
  function judgeOther(data: string): Verdict {
    if (data === '[DONE]') {
      done = true
      isFinal = reading.usage !== null
    }
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
      error = readOpenAiErrorFrame(dialect, parseJson(data))
      return null
    }
    return judgeOther(data.trim())
  }

  function judgeChunk(frame: Buffer, payload: Buffer): Verdict {
    const chunk = asObject(parseJson(payload)) as Chunk | null
    if (chunk === null) return null
    const carriesUsage = takeUsage(chunk, payload)
    const parts = choicesOf(chunk)
    const failure = failureIn(chunk, parts)
    if (failure !== null) {
      if (carriesUsage) isFinal = true
      error = readOpenAiErrorFrame(dialect, failure)
      return null
    }
    frames += 1
    learn(chunk)
    // An event of the server's own, about its queue for one, is no chunk: clients fail on what has no choices.
    if (parts.length === 0 && (carriesUsage || !Array.isArray(chunk.choices))) return null
    const ours = parts.map(saidOnce)
    const news = parts.map((choice) => tellsNews(choice, carriesUsage))
    if (parts.length > 0 && !news.includes(true)) return null
    const changes = [...frameChanges(chunk, payload), ...shownModel.changes(chunk.model)]
    if (ours.some((choice, index) => choice !== parts[index]))
      changes.push({ key: 'choices', value: JSON.stringify(ours) })
    if (changes.length > 0) return dataFrame(changeMembers(payload, objectMembers(payload), changes))
    return isCanonical(frame) ? true : dataFrame(payload)
  }

  function learn(chunk: Chunk): void {
    if (typeof chunk.model === 'string' && chunk.model !== '') {
      reading.model = chunk.model
      sampled = true
      lastChunk = { ...chunk, model: asked }
    }
    if (typeof chunk.service_tier === 'string') reading.serviceTier = chunk.service_tier
  }

  /** Usage may come in any frame and more than once: the last counts. True where the frame holds some. */
  function takeUsage(chunk: Chunk, payload: Buffer): boolean {
    const nested = asObject(chunk.x_groq)
    const raw = chunk.usage ?? nested?.usage ?? null
    if (raw === null) return false
    const consumed = readConsumed(dialect, raw, chunk as Record<string, unknown>)
    if (consumed !== null) {
      Object.assign(reading, consumed)
      isFinal = endsAll(choicesOf(chunk))
      usagePayload = payload
      usageText = memberText(
        payload,
        chunk.usage === undefined || chunk.usage === null ? ['x_groq', 'usage'] : ['usage'],
      )
    }
    return true
  }

  /** Whether every choice has its finish reason, with those of the frame at hand. */
  function endsAll(parts: readonly Choice[]): boolean {
    const ending = parts.filter((choice) => finishReason(choice.finish_reason) !== null).map(indexOf)
    const news = new Set(ending.filter((index) => !finished.has(index)))
    return finished.size + news.size >= choices
  }

  /** False for a second finish reason, and for the empty delta beside usage, which say nothing new. */
  function tellsNews(choice: Choice, besideUsage: boolean): boolean {
    const index = indexOf(choice)
    if (saysAnything(choice)) {
      spoke = true
      endChoice(index, choice)
      return true
    }
    if (finishReason(choice.finish_reason) === null) return !(besideUsage && finished.has(index))
    return endChoice(index, choice)
  }

  /** A choice as it may go out: its role and its end said once, the end in OpenAI's words. The same object where nothing changes. */
  function saidOnce(choice: Choice): Choice {
    const index = indexOf(choice)
    const { finish_reason: stated, delta } = choice
    const ends = stated !== undefined && (isForeign(stated) || (stated !== null && finished.has(index)))
    const repeats = introduced.has(index) && typeof delta?.role === 'string'
    if (typeof delta?.role === 'string') introduced.add(index)
    if (!ends && !repeats) return choice
    const { role: _, ...rest } = delta ?? {}
    return {
      ...choice,
      ...(ends ? { finish_reason: finished.has(index) ? null : finishReason(stated) } : {}),
      ...(repeats ? { delta: rest } : {}),
    }
  }

  function endChoice(index: number, choice: Choice): boolean {
    const reason = finishReason(choice.finish_reason)
    if (reason === null || finished.has(index)) return false
    finished.set(index, reason)
    return true
  }

  function part(bytes: Buffer | null): StreamPart {
    return { bytes, done, error }
  }

  return {
    push: (chunk) => part(scanner.push(chunk)),
    end() {
      // What a broken connection left of a frame goes out only if it is whole.
      sampled = false
      const last = scanner.end()
      // One that ends in the middle of what it says broke off.
      if (finished.size > 0 || !spoke) isFinal = reading.usage !== null
      return part(last)
    },
    reading,
    get finishReasons() {
      return [...finished.values()]
    },
    get frames() {
      return frames
    },
    get shownBytes() {
      return shownBytes
    },
    get isFinal() {
      return isFinal
    },
    get hasContent() {
      return spoke
    },
    outputText: () => outputText(shown.slice(covered)),
    shownText: (position = 0) => outputText(shown.slice(position)),
    textSince: (position) => ({
      text: outputText(shown.slice(Math.max(position, covered))),
      position: shown.length,
    }),
    usageFrame(cost, usage, replaces = false) {
      const stated = replaces ? null : usageText
      const text = stated ?? Buffer.from(JSON.stringify(usage))
      const shownText = shownUsage(text, stated === null ? null : reading.usage, cost)
      return dataFrame(usageChunk(usagePayload, lastChunk, shownText.toString('utf8'), shownModel))
    },
    stopFrames: () => stopFrames(lastChunk, choices, finished),
  }
}

/** What a frame says went wrong: on top, in a choice, or by a finish reason that is no way to finish. */
function failureIn(chunk: Chunk, parts: readonly Choice[]): unknown {
  if (chunk.error !== undefined && chunk.error !== null) return chunk
  const failed = parts.find((choice) => asObject(choice.error) !== null || choice.finish_reason === 'error')
  return failed === undefined ? null : { error: asObject(failed.error) ?? {} }
}

function indexOf({ index }: Choice): number {
  return typeof index === 'number' ? index : 0
}

/** Usage goes out in a frame of its own, if at all. */
function frameChanges(chunk: Chunk, payload: Buffer): Change[] {
  const changes: Change[] = []
  if (chunk.usage !== undefined && chunk.usage !== null) changes.push({ key: 'usage', remove: true })
  if (asObject(asObject(chunk.x_groq)?.usage) !== null) {
    const own = memberText(payload, ['x_groq'])
    if (own !== null) {
      const rest = changeMembers(own, objectMembers(own), [{ key: 'usage', remove: true }])
      changes.push({ key: 'x_groq', value: rest.toString('utf8') })
    }
  }
  return changes
}

function isForeign(reason: unknown): boolean {
  return reason !== null && finishReason(reason) !== reason
}

/** The text of a member, or of a member of it. */
function memberText(payload: Buffer, path: readonly string[]): Buffer | null {
  let text = payload
  for (const key of path) {
    const member = objectMembers(text).find((candidate) => candidate.key === key)
    if (member === undefined) return null
    text = text.subarray(member.valueStart, member.end)
  }
  return text
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

/** The provider's own frame with what is shown for `usage`, and no choices; one in its likeness where there was none. */
function usageChunk(payload: Buffer | null, last: Chunk | null, shown: string, model: ShownModel): Buffer {
  if (payload === null)
    return Buffer.from(JSON.stringify({ ...frameOf(last), choices: [] }).replace(/}$/, `,"usage":${shown}}`))
  const chunk = asObject(parseJson(payload)) as Chunk
  const changes = [...frameChanges({ x_groq: chunk.x_groq }, payload), ...model.changes(chunk.model)]
  if (!Array.isArray(chunk.choices) || chunk.choices.length > 0) changes.push({ key: 'choices', value: '[]' })
  return changeMembers(payload, objectMembers(payload), [...changes, { key: 'usage', value: shown }])
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

/** Everything a stream showed: content, refusals, reasoning, tool names and arguments, over all choices. */
function outputText(shown: readonly Buffer[]): string {
  const pieces: string[] = []
  for (const frame of Buffer.concat(shown).toString('utf8').split('\n\n')) {
    if (!frame.startsWith('data:')) continue
    const chunk = parseJson(frame.slice(5)) as Chunk | null
    for (const choice of choicesOf(chunk)) collectSaid(choice, pieces)
  }
  return pieces.join('')
}
