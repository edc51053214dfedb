/** The events of a stream: what each of them adds to the chunks, to the usage and to the end. */
import type { FrameProgress } from '../frame-progress.ts'
import { asObject, parseJson } from '../json.ts'
import { parseFrame } from '../sse-frames.ts'
import { brokenOff, readClaudeErrorEvent } from './errors.ts'
import { readOutcome } from './outcome.ts'
import { type ClaudeEvent, createStreamBlocks } from './stream-blocks.ts'
import type { ClaudeChunks } from './stream-chunks.ts'
import { takeUsage } from './take-usage.ts'
import { laterUsage } from './usage.ts'

/** Returns a function that reads a frame and returns the chunks it becomes, which may be none. */
export function createClaudeEvents(progress: FrameProgress<string>, chunks: ClaudeChunks): (frame: Buffer) => string {
  const { reading, finishReasons, shown } = progress
  let rawUsage: unknown = null
  /** What the frame at hand becomes. */
  let out = ''

  const blocks = createStreamBlocks({
    show(delta, text) {
      out += chunks.delta(delta)
      progress.frames += 1
      if (text !== '') shown.add(text, Buffer.byteLength(text))
    },
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
      progress.done = true
    } else if (type === 'error' && finishReasons.length === 0) progress.error = readClaudeErrorEvent(json)
  }

  /** The same message may be announced twice; another one takes the place of what was not shown yet. */
  function begin(message: Readonly<Record<string, unknown>>): void {
    const isRepeated = typeof message.id === 'string' && message.id === chunks.id
    if (typeof message.id === 'string') chunks.rename(message.id)
    if (typeof message.model === 'string' && message.model !== '') reading.model = message.model
    if (!isRepeated && !blocks.restart()) progress.error = brokenOff()
    rawUsage = asObject(message.usage)
    takeUsage(progress, rawUsage, false)
  }

  function conclude(json: ClaudeEvent): void {
    rawUsage = laterUsage(rawUsage, json.usage)
    takeUsage(progress, rawUsage, typeof asObject(json.usage)?.output_tokens === 'number')
    const { stop_reason: reason, stop_details: details } = asObject(json.delta) ?? {}
    if (typeof reason === 'string') finish(reason, details)
    if (progress.isFinal) shown.cover()
  }

  function finish(reason: string | null, details: unknown): void {
    if (finishReasons.length > 0) return
    const tail = blocks.end()
    const { finish: word, native, refusal } = readOutcome(reason, details, blocks.calls)
    if (tail !== null) out += chunks.delta(tail)
    if (refusal !== null) out += chunks.delta(`{"refusal":${JSON.stringify(refusal)}}`)
    out += chunks.finish(word, native)
    finishReasons.push(word)
  }

  return (frame) => {
    out = ''
    read(frame)
    return out
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
