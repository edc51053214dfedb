/** The events of a stream that passes: what each adds to the usage, to what was shown and to the end. */
import type { FrameProgress } from '../../frame-progress.ts'
import { asObject, parseJson } from '../../json.ts'
import { changeMembers, objectMembers } from '../../json-members.ts'
import { parseFrame, type Verdict } from '../../sse-frames.ts'
import { LETTER_ESCAPE, textBytes } from '../../text-bytes.ts'
import { brokenOff, readClaudeErrorEvent } from '../errors.ts'
import { takeUsage } from '../take-usage.ts'
import { laterUsage } from '../usage.ts'
import { eventText } from './event-text.ts'

type Json = Readonly<Record<string, unknown>>

/** Its pieces are the events with content, kept by reference, so that what no usage covers can be counted. */
export interface NativeProgress extends FrameProgress<Buffer> {
  readonly openBlocks: Set<number>
  /** The payload of the event that ends the message, kept back. */
  ending: Buffer | null
}

const DELTA = Buffer.from('event: content_block_delta\n')
const DELTA_MEMBER = Buffer.from('"delta"')
const BLOCK_MEMBER = Buffer.from('"content_block"')
/** Closes a thought, and says nothing. */
const SIGNATURE = Buffer.from('"signature_delta"')

export function createNativeEvents(progress: NativeProgress, asked: string): (frame: Buffer) => Verdict {
  const { reading, finishReasons, openBlocks } = progress
  let rawUsage: unknown = null
  let messageId: unknown = null

  const say = (frame: Buffer, bytes: number): true => {
    progress.frames += 1
    return keep(progress, frame, bytes)
  }

  /** The same message may be announced twice; another one can't take the place of what was shown. */
  function begin(frame: Buffer, json: Json, data: string): Verdict {
    const message = asObject(json.message) ?? {}
    const isRepeated = messageId !== null && message.id === messageId
    if (!isRepeated && progress.frames > 0) {
      progress.error = brokenOff()
      return null
    }
    messageId = message.id ?? null
    const { model } = message
    if (typeof model === 'string' && model !== '') reading.model = model
    rawUsage = asObject(message.usage)
    takeUsage(progress, rawUsage, false)
    return typeof model !== 'string' || model === asked ? true : renamed(data, asked, frame)
  }

  function conclude(json: Json, data: string): Verdict {
    const earlier = progress.ending
    rawUsage = laterUsage(rawUsage, json.usage)
    takeUsage(progress, rawUsage, typeof asObject(json.usage)?.output_tokens === 'number')
    const reason = asObject(json.delta)?.stop_reason
    if (typeof reason === 'string' && finishReasons.length === 0) finishReasons.push(reason)
    if (progress.isFinal) progress.shown.cover()
    progress.ending = Buffer.from(data)
    return earlier === null ? null : dataEvent('message_delta', earlier)
  }

  function readBlock(frame: Buffer, json: Json): true {
    const block = asObject(json.content_block)
    const served = asObject(block?.to)?.model
    if (typeof served === 'string') reading.model = served
    if (typeof json.index === 'number') openBlocks.add(json.index)
    return eventText(frame) === '' ? true : say(frame, frame.length)
  }

  function readDelta(frame: Buffer): true {
    if (progress.frames === 0 && eventText(frame) === '') return true
    return frame.includes(SIGNATURE) ? keep(progress, frame, frame.length) : say(frame, deltaBytes(frame))
  }

  return (frame) => {
    // Most of a stream: nothing in it has to be read before somebody counts.
    if (progress.frames > 0 && frame.subarray(0, DELTA.length).equals(DELTA)) return readDelta(frame)
    const { event, data } = parseFrame(frame)
    // Comments and empty lines, of which a stream may have many.
    if (data === '') return true
    const json = asObject(parseJson(data))
    if (json === null) return null
    const type = typeof json.type === 'string' ? json.type : event
    if (type === 'content_block_delta') return readDelta(frame)
    if (type === 'content_block_start') return readBlock(frame, json)
    if (type === 'message_start') return begin(frame, json, data)
    if (type === 'message_delta') return conclude(json, data)
    if (type === 'content_block_stop') {
      openBlocks.delete(Number(json.index))
      return true
    }
    if (type === 'message_stop') progress.done = true
    else if (type === 'error' && finishReasons.length === 0) progress.error = readClaudeErrorEvent(json)
    if (type === 'message_stop' || type === 'error') return null
    return type === 'ping' ? true : keep(progress, frame, frame.length)
  }
}

/** For whoever counts: it may say something. */
function keep({ shown }: NativeProgress, frame: Buffer, bytes: number): true {
  shown.add(frame, bytes)
  return true
}

/** Never fewer than its text has: where a name may be written with an escape, or the delta is not all there is, the whole counts. */
function deltaBytes(frame: Buffer): number {
  const isPlain = frame.includes(DELTA_MEMBER) && !frame.includes(BLOCK_MEMBER) && !frame.includes(LETTER_ESCAPE)
  return isPlain ? textBytes(frame) : frame.length
}

/** The first event with the name that was asked for; everything else of it as it came. */
function renamed(data: string, asked: string, frame: Buffer): Verdict {
  const payload = Buffer.from(data)
  const members = objectMembers(payload)
  const own = members.findLast(({ key }) => key === 'message')
  if (own === undefined) return frame
  const message = payload.subarray(own.valueStart, own.end)
  const value = changeMembers(message, objectMembers(message), [{ key: 'model', value: JSON.stringify(asked) }])
  return dataEvent(
    'message_start',
    changeMembers(payload, members, [{ key: 'message', value: value.toString('utf8') }]),
  )
}

function dataEvent(event: string, payload: Buffer): Buffer {
  return Buffer.concat([Buffer.from(`event: ${event}\ndata: `), payload, Buffer.from('\n\n')])
}
