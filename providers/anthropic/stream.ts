/**
 * A stream of the Messages API as OpenAI's chunks. Nothing goes out before the first content, so that a call that fails until then
 * can be made again. Text and thoughts pass as they come; a tool call waits until it is whole or a kilobyte long: one that breaks
 * off at its beginning (a gateway that starts a second message in the same stream) was never shown. What has to come in one piece,
 * because clients that add up deltas can't add up lists, comes right before the end: annotations and the blocks of the next turn.
 */

import { asObject, parseJson } from '../json.ts'
import {
  type AnswerContext,
  emptyReading,
  type ProviderError,
  type StreamPart,
  type StreamReader,
} from '../provider.ts'
import { createSseFrames, dataFrame, parseFrame } from '../sse-frames.ts'
import { openAiShape } from '../usage.ts'
import { withCost } from './answer.ts'
import { brokenOff, readClaudeErrorEvent } from './errors.ts'
import { readOutcome } from './outcome.ts'
import { type ClaudeEvent, createStreamBlocks } from './stream-blocks.ts'
import { laterUsage, readClaudeUsage } from './usage.ts'

const TAIL = ',"logprobs":null,"finish_reason":null}]}\n\n'

export function readClaudeStream(context: AnswerContext): StreamReader {
  const reading = emptyReading()
  const finishReasons: string[] = []
  /** Output text, piece by piece, and how many of the pieces the usage stated last covers. */
  const shown: string[] = []
  let covered = 0
  let frames = 0
  let shownBytes = 0
  let isFinal = false
  let id = `chatcmpl-${context.callId}`
  let head = ''
  let started = false
  let rawUsage: unknown = null
  let done = false
  let error: ProviderError | null = null
  /** What the frame at hand becomes. */
  let out = ''

  const blocks = createStreamBlocks({
    show(delta, text) {
      open()
      out += `${head}${delta}${TAIL}`
      frames += 1
      if (text !== '') shown.push(text)
      shownBytes += Buffer.byteLength(text)
    },
  })
  const scanner = createSseFrames((frame) => {
    if (done || error !== null) return null
    out = ''
    read(frame)
    return out === '' ? null : Buffer.from(out)
  })

  function read(frame: Buffer): void {
    const { event, data } = eventOf(frame)
    // Comments and empty lines, of which a stream may have many.
    if (data === '') return
    const json = asObject(parseJson(data)) as ClaudeEvent | null
    if (json === null) return
    const type = typeof json.type === 'string' ? json.type : event
    if (type === 'content_block_delta') blocks.delta(json)
    else if (type === 'content_block_start') {
      blocks.start(json)
      const served = asObject(asObject(json.content_block)?.to)?.model
      if (typeof served === 'string') reading.model = served
    } else if (type === 'content_block_stop') blocks.stop(json)
    else if (type === 'message_start') begin(asObject(json.message) ?? {})
    else if (type === 'message_delta') conclude(json)
    else if (type === 'message_stop') {
      finish(null, null)
      done = true
    } else if (type === 'error' && finishReasons.length === 0) error = readClaudeErrorEvent(json)
  }

  /** The same message may be announced twice; another one takes the place of what was not shown yet. */
  function begin(message: Readonly<Record<string, unknown>>): void {
    const isRepeated = typeof message.id === 'string' && message.id === id
    if (typeof message.id === 'string' && !started) id = message.id
    if (typeof message.model === 'string' && message.model !== '') reading.model = message.model
    if (!isRepeated && !blocks.restart()) error = brokenOff()
    rawUsage = asObject(message.usage)
    takeUsage(false)
  }

  function conclude(json: ClaudeEvent): void {
    rawUsage = laterUsage(rawUsage, json.usage)
    takeUsage(typeof asObject(json.usage)?.output_tokens === 'number')
    const { stop_reason: reason, stop_details: details } = asObject(json.delta) ?? {}
    if (typeof reason === 'string') finish(reason, details)
    if (isFinal) covered = shown.length
  }

  /** What a stream begins with tells the input; the output is counted until it is stated at the end. */
  function takeUsage(atEnd: boolean): void {
    const stated = readClaudeUsage(rawUsage, reading.model)
    if (stated === null) return
    isFinal = atEnd
    const { usage, consistent, serviceTier, byModel } = stated
    Object.assign(reading, {
      usage: atEnd ? usage : { ...usage, output: 0, reasoning: 0 },
      consistent,
      serviceTier,
      byModel,
    })
  }

  function finish(reason: string | null, details: unknown): void {
    if (finishReasons.length > 0) return
    const tail = blocks.end()
    const { finish: word, native, refusal } = readOutcome(reason, details, blocks.calls)
    open()
    if (tail !== null) out += `${head}${tail}${TAIL}`
    if (refusal !== null) out += `${head}{"refusal":${JSON.stringify(refusal)}}${TAIL}`
    out += finishFrame(word, native)
    finishReasons.push(word)
  }

  /** The first frame of all. */
  function open(): void {
    if (started) return
    started = true
    head = headOf()
    out += `${head}{"role":"assistant","content":""}${TAIL}`
  }

  function headOf(): string {
    const model = JSON.stringify(context.request.model)
    return `data: {"id":${JSON.stringify(id)},"object":"chat.completion.chunk","created":${context.created},"model":${model},"choices":[{"index":0,"delta":`
  }

  function finishFrame(word: string, native: string | null): string {
    const own = native === null ? '' : `,"native_finish_reason":${JSON.stringify(native)}`
    return `${head}{},"logprobs":null,"finish_reason":"${word}"${own}}]}\n\n`
  }

  function part(bytes: Buffer | null): StreamPart {
    return { bytes, done, error }
  }

  return {
    push: (chunk) => part(scanner.push(chunk)),
    end() {
      const bytes = scanner.end()
      if (finishReasons.length > 0) done = true
      else if (error === null) {
        // Nothing more will come, not even an error: what it began with is what it states.
        if (frames === 0) isFinal = reading.usage !== null
        error = brokenOff()
      }
      return part(bytes)
    },
    reading,
    finishReasons,
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
      return frames > 0
    },
    outputText: () => shown.slice(covered).join(''),
    shownText: (position = 0) => shown.slice(position).join(''),
    textSince: (position) => ({
      text: shown.slice(Math.max(position, covered)).join(''),
      position: shown.length,
    }),
    usageFrame(cost, usage, replaces = false) {
      const stated = isFinal && reading.usage !== null && !replaces ? openAiShape(reading.usage) : usage
      const chunk = {
        id,
        object: 'chat.completion.chunk',
        created: context.created,
        model: context.request.model,
      }
      return dataFrame(`${JSON.stringify({ ...chunk, choices: [] }).slice(0, -1)},"usage":${withCost(stated, cost)}}`)
    },
    stopFrames() {
      if (finishReasons.length > 0) return Buffer.alloc(0)
      out = ''
      open()
      finishReasons.push('length')
      return Buffer.from(out + finishFrame('length', null))
    },
  }
}

const DATA = 'data:'

/** The event's name and data; the usual frame, one line of each, without splitting it. */
function eventOf(frame: Buffer): { event: string | null; data: string } {
  const text = frame.toString('utf8')
  const at = text.startsWith(DATA) ? 0 : text.indexOf(`\n${DATA}`) + 1
  const from = at + DATA.length
  if ((at > 0 || text.startsWith(DATA)) && !text.includes(`\n${DATA}`, from)) {
    const end = text.indexOf('\n', from)
    const name = /^event:[ ]?([^\r\n]*)/m.exec(text)
    return { event: name?.[1]?.trim() ?? null, data: text.slice(from, end < 0 ? undefined : end) }
  }
  return parseFrame(frame)
}
