/** The events of a stream that passes: what each adds to the usage, to what was shown and to the end. */
import { asObject, parseJson } from '../../json.ts'
import { changeMembers, objectMembers } from '../../json-members.ts'
import type { ProviderError } from '../../provider.ts'
import type { Reading } from '../../reading.ts'
import type { Shown } from '../../shown.ts'
import { parseFrame, type Verdict } from '../../sse-frames.ts'
import { textBytes } from '../../text-bytes.ts'
import { brokenOff, readClaudeErrorEvent } from '../errors.ts'
import { laterUsage, readClaudeUsage } from '../usage.ts'
import { eventText } from './event-text.ts'

type Json = Readonly<Record<string, unknown>>

/** What is known of the stream so far. */
export interface NativeProgress {
  readonly reading: Reading
  readonly finishReasons: string[]
  /** Events with content, kept by reference, so that what no usage covers can be counted. */
  readonly shown: Shown<Buffer>
  readonly openBlocks: Set<number>
  frames: number
  hasContent: boolean
  isFinal: boolean
  done: boolean
  error: ProviderError | null
  /** The payload of the event that ends the message, kept back. */
  ending: Buffer | null
}

const DELTA = Buffer.from('event: content_block_delta\n')
/** Closes a thought, and says nothing. */
const SIGNATURE = Buffer.from('"signature_delta"')

export function createNativeEvents(progress: NativeProgress, asked: string): (frame: Buffer) => Verdict {
  const { reading, finishReasons, openBlocks } = progress
  let rawUsage: unknown = null
  let messageId: unknown = null

  function say(frame: Buffer, bytes: number): true {
    progress.shown.add(frame, bytes)
    progress.frames += 1
    return true
  }

  /** The same message may be announced twice; another one can't take the place of what was shown. */
  function begin(frame: Buffer, json: Json, data: string): Verdict {
    const message = asObject(json.message) ?? {}
    const isRepeated = messageId !== null && message.id === messageId
    if (!isRepeated && progress.hasContent) {
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
    if (eventText(frame) === '') return true
    progress.hasContent = true
    return say(frame, frame.length)
  }

  function readDelta(frame: Buffer): true {
    if (!progress.hasContent && eventText(frame) === '') return true
    progress.hasContent = true
    return frame.includes(SIGNATURE) ? true : say(frame, textBytes(frame))
  }

  return (frame) => {
    // Most of a stream: nothing in it has to be read before somebody counts.
    if (progress.hasContent && frame.subarray(0, DELTA.length).equals(DELTA)) return readDelta(frame)
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
    if (type === 'message_stop') {
      progress.done = true
      return null
    }
    if (type === 'error') {
      if (finishReasons.length === 0) progress.error = readClaudeErrorEvent(json)
      return null
    }
    return type === 'ping' ? true : say(frame, frame.length)
  }
}

/** What a stream begins with tells the input; the output is counted until it is stated at the end. */
function takeUsage(progress: NativeProgress, raw: unknown, atEnd: boolean): void {
  const stated = readClaudeUsage(raw, progress.reading.model)
  if (stated === null) return
  progress.isFinal = atEnd
  const { usage, consistent, serviceTier, byModel } = stated
  const counted = atEnd ? usage : { ...usage, output: 0, reasoning: 0 }
  Object.assign(progress.reading, { usage: counted, consistent, serviceTier, byModel })
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
