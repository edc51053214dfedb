/**
 * Reads a stream of Gemini's into chunks as OpenAI's. Gemini says neither when it is over nor, for sure, only once that it finished:
 * text may follow a finish reason, so each choice is finished when the connection ends, with the last reason it gave. A stream that
 * ends without any broke off, and is an error. Frames of Google's OpenAI-compatible endpoint are known by their `choices` and read
 * as such.
 */

import { parseExactJson } from '../exact-json.ts'
import { asObject, parseJson } from '../json.ts'
import {
  type AnswerContext,
  emptyReading,
  type ProviderError,
  type Reading,
  type StreamPart,
  type StreamReader,
} from '../provider.ts'
import { createSseFrames, dataFrame, dataLine, parseFrame, type Verdict } from '../sse-frames.ts'
import { openAiShape } from '../usage.ts'
import { withUsage } from './answer.ts'
import { NO_CANDIDATES } from './candidate.ts'
import { createChoice, type Delta, type GoogleChoice } from './choice.ts'
import { readGoogleErrorFrame } from './errors.ts'
import { toolUses } from './grounding.ts'
import { bareModel } from './models.ts'
import { type PlainFrame, readPlainFrame } from './plain-frame.ts'
import { coversAnswer, isGoogleUsage, readGoogleUsage } from './usage.ts'

type Json = Record<string, unknown>

/** As many as Gemini ever makes; an index beyond it is no choice. */
const CHOICES_MAX = 8

/** `readCompatible` starts a reader for the other endpoint's frames. */
export function readGoogleStream(context: AnswerContext, readCompatible: () => StreamReader): StreamReader {
  const choices = new Map<number, GoogleChoice>()
  const reading = emptyReading()
  let compatible: StreamReader | null = null
  /** As last stated, parsed or not yet, and whether `reading` has it already. */
  let stated: Json | string | null = null
  let isRead = true
  /** Text forwarded, piece by piece, and how many of the pieces the usage stated last covers. */
  const shown: string[] = []
  let covered = 0
  let showsText = false
  let blocked: string | null = null
  let id: string | null = null
  let head = ''
  let frames = 0
  let shownBytes = 0
  let isFinal = false
  let done = false
  let error: ProviderError | null = null

  const scanner = createSseFrames((frame) => {
    if (done || error !== null) return null
    if (compatible !== null) return passOn(compatible, frame)
    const payload = dataLine(frame)
    const text = (payload ?? Buffer.from(parseFrame(frame).data)).toString('utf8')
    return text === '' ? takeBare(frame) : takeText(text, frame)
  })

  function takeText(text: string, frame: Buffer): Verdict {
    const plain = readPlainFrame(text)
    if (plain !== null) return takePlain(plain)
    const json = parseJson(text)
    const chunk = asObject(Array.isArray(json) ? json[0] : json)
    if (chunk === null) return null
    if (Array.isArray(chunk.choices)) {
      compatible = readCompatible()
      return passOn(compatible, frame)
    }
    const exact = text.includes('"functionCall"') ? asObject(parseExactJson(text)) : null
    return takeChunk(chunk, exact)
  }

  function takePlain({ chunk, usage, coversAnswer: covers }: PlainFrame): Buffer | null {
    learn(chunk)
    const bytes = takeCandidates(chunk, null)
    state(usage, covers)
    return bytes
  }

  /** JSON that is no event: an error, or the one array a stream is where it was not asked for events. */
  function takeBare(frame: Buffer): Verdict {
    const text = frame.toString('utf8').trim()
    if (!text.startsWith('[') && !text.startsWith('{')) return null
    const exact = parseExactJson(text)
    const exactList: unknown[] = Array.isArray(exact) ? exact : [exact]
    const json = parseJson(text)
    const pieces = (Array.isArray(json) ? json : [json]).flatMap((value: unknown, index) => {
      const chunk = asObject(value)
      return chunk === null || error !== null ? [] : (takeChunk(chunk, asObject(exactList[index])) ?? [])
    })
    return pieces.length === 0 ? null : Buffer.concat(pieces)
  }

  function passOn(reader: StreamReader, frame: Buffer): Verdict {
    const part = reader.push(frame)
    done = part.done
    error = part.error
    return part.bytes
  }

  function takeChunk(chunk: Json, exact: Json | null): Buffer | null {
    if (asObject(chunk.error) !== null) {
      takeUsage(chunk)
      isFinal = isGoogleUsage(chunk.usageMetadata)
      error = readGoogleErrorFrame(chunk)
      return null
    }
    learn(chunk)
    const bytes = takeCandidates(chunk, exact)
    takeUsage(chunk)
    return bytes
  }

  function takeCandidates(chunk: Json, exact: Json | null): Buffer | null {
    const candidates: unknown[] = Array.isArray(chunk.candidates) ? chunk.candidates : []
    const exactList: unknown[] = Array.isArray(exact?.candidates) ? exact.candidates : []
    let out = ''
    for (const [position, value] of candidates.entries()) {
      const candidate = asObject(value)
      const choice = candidate === null ? null : choiceAt(candidate.index)
      if (candidate === null || choice === null) continue
      const { deltas, text } = choice.take(candidate, exactList[position] ?? null)
      for (const delta of deltas) out += chunkText(choice.index, delta)
      if (text !== '') {
        shown.push(text)
        shownBytes += Buffer.byteLength(text)
        showsText = true
      }
    }
    if (out === '') return null
    frames += 1
    return Buffer.from(out)
  }

  function choiceAt(index: unknown): GoogleChoice | null {
    const at = index === undefined ? 0 : index
    if (typeof at !== 'number' || !Number.isInteger(at) || at < 0 || at >= CHOICES_MAX) return null
    const known = choices.get(at)
    if (known !== undefined) return known
    const made = createChoice(at, context)
    choices.set(at, made)
    return made
  }

  function learn(chunk: Json): void {
    const { modelVersion: served, responseId, promptFeedback } = chunk
    const reason = asObject(promptFeedback)?.blockReason
    if (typeof reason === 'string') blocked = reason
    const isNews = typeof served === 'string' && served !== '' && bareModel(served) !== reading.model
    if (isNews) reading.model = bareModel(served)
    if (id === null && typeof responseId === 'string' && responseId !== '') id = responseId
    else if (head !== '' && !isNews) return
    head = `"object":"chat.completion.chunk","created":${context.created},"model":${JSON.stringify(context.request.model)}`
    head = `data: {"id":${JSON.stringify(id ?? `chatcmpl-${context.callId}`)},${head}`
  }

  function chunkText(index: number, { delta, logprobs, finishReason, native }: Delta): string {
    const reason = finishReason === null ? 'null' : `"${finishReason}"`
    return `${head},"choices":[{"index":${index},"delta":${delta},"logprobs":${logprobs},"finish_reason":${reason}${native}}]}\n\n`
  }

  function takeUsage({ usageMetadata: raw }: Json): void {
    if (isGoogleUsage(raw)) state(raw, coversAnswer(raw))
  }

  /** Each frame states all usage so far. One that tells no tokens of the answer leaves open what its text costs, unless it is the last. */
  function state(usage: Json | string, covers: boolean): void {
    stated = usage
    isRead = false
    isFinal = isLast()
    if (covers || isFinal) covered = shown.length
  }

  function isLast(): boolean {
    return choices.size > 0 && [...choices.values()].every((choice) => choice.finishReason !== null)
  }

  function current(): Reading {
    if (compatible !== null) return compatible.reading
    const usage = isRead ? null : usageStated()
    if (usage !== null) {
      isRead = true
      Object.assign(reading, readGoogleUsage(usage))
      if (typeof usage.serviceTier === 'string') reading.serviceTier = usage.serviceTier
    }
    return reading
  }

  function usageStated(): Json | null {
    if (typeof stated === 'string') stated = asObject(parseJson(stated))
    return stated
  }

  /** What only the end can tell: what the searches cost, and whether text went without a token for it. */
  function conclude(): void {
    const { usage } = current()
    const last = usageStated()
    if (usage === null || last === null) return
    const sources = [...choices.values()].map((choice) => choice.sources)
    isFinal = isLast() || frames === 0
    reading.usage = { ...usage, toolFees: toolUses(sources, reading.model ?? context.model) }
    reading.consistent = reading.consistent && (coversAnswer(last) || !showsText)
  }

  function finish(): StreamPart {
    const open = [...choices.values()].some((choice) => choice.finishReason === null)
    conclude()
    const nothing = choices.size === 0 && blocked === null && stated === null
    if (nothing || open) return { bytes: null, done: false, error: brokenOff() }
    done = true
    // A prompt that was blocked, or billed for no answer at all.
    if (choices.size === 0)
      choices.set(0, createChoice(0, context, { native: blocked ?? NO_CANDIDATES, filtered: blocked !== null }))
    let out = ''
    for (const choice of choices.values()) for (const delta of choice.end()) out += chunkText(choice.index, delta)
    return { bytes: Buffer.from(out), done, error }
  }

  return {
    push(chunk) {
      const bytes = scanner.push(chunk)
      return { bytes, done, error }
    },
    end() {
      const bytes = scanner.end()
      if (done || error !== null) return { bytes, done, error }
      if (head === '') learn({})
      const last = compatible === null ? finish() : compatible.end()
      error = last.error
      done = last.done
      return { ...last, bytes: join(bytes, last.bytes) }
    },
    get reading() {
      return current()
    },
    get finishReasons() {
      return compatible?.finishReasons ?? [...choices.values()].flatMap((choice) => choice.finishReason ?? [])
    },
    get frames() {
      return compatible?.frames ?? frames
    },
    get shownBytes() {
      return compatible?.shownBytes ?? shownBytes
    },
    get isFinal() {
      return compatible?.isFinal ?? isFinal
    },
    get hasContent() {
      return compatible?.hasContent ?? frames > 0
    },
    outputText: () => (compatible === null ? shown.slice(covered).join('') : compatible.outputText()),
    shownText: (position = 0) =>
      compatible === null ? shown.slice(position).join('') : compatible.shownText(position),
    textSince(position) {
      if (compatible !== null) return compatible.textSince(position)
      return { text: shown.slice(Math.max(position, covered)).join(''), position: shown.length }
    },
    usageFrame(cost, charged, replaces = false) {
      if (compatible !== null) return compatible.usageFrame(cost, charged, replaces)
      if (head === '') learn({})
      const { usage } = current()
      const shape = usage === null || replaces ? charged : openAiShape(usage)
      return dataFrame(withUsage(`${head.slice('data: '.length)},"choices":[]}`, shape, cost))
    },
    stopFrames() {
      if (compatible !== null) return compatible.stopFrames()
      if (head === '') learn({})
      const indexes = Array.from({ length: context.choices }, (_, index) => index)
      return Buffer.from(
        indexes
          .map((index) => chunkText(index, { delta: '{}', logprobs: 'null', finishReason: 'length', native: '' }))
          .join(''),
      )
    },
  }
}

function join(first: Buffer | null, second: Buffer | null): Buffer | null {
  return first === null ? second : second === null ? first : Buffer.concat([first, second])
}

function brokenOff(): ProviderError {
  const broken = readGoogleErrorFrame(null)
  return { ...broken, internal: 'the stream ended without a finish reason' }
}
