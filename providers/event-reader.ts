/** Frames of a stream of OpenAI's that are events of its media endpoints: each a JSON object that says its type. */
import type { FrameProgress } from './frame-progress.ts'
import { asObject, parseJson } from './json.ts'
import { readOpenAiErrorFrame } from './openai-errors.ts'
import type { OpenAiFacts } from './openai-facts.ts'
import { parseFrame, type Verdict } from './sse-frames.ts'

type Json = Readonly<Record<string, unknown>>

export interface StreamEvent {
  type: string
  json: Json
  ending: Ending
}

/** The event that is kept back until the call is on the books: what stands before its data, and its data in one line. */
export interface Ending {
  named: string
  payload: Buffer
}

export interface EventParts {
  dialect: Pick<OpenAiFacts, 'label' | 'errorKind'>
  progress: FrameProgress<unknown>
  /** What becomes of `[DONE]`. */
  marker: Verdict
  read(event: StreamEvent): Verdict
}

/** Reads a frame: an error ends the stream, what is no event passes or is left out, everything else is read. */
export function eventReader({ dialect, progress, marker, read }: EventParts): (frame: Buffer) => Verdict {
  return (frame) => {
    const { event, data } = parseFrame(frame)
    if (data === '') return true
    if (data === '[DONE]') return marker
    const json = asObject(parseJson(data))
    if (json === null) return null
    const type = typeof json.type === 'string' ? json.type : (event ?? '')
    if (type === 'error' || asObject(json.error) !== null) {
      progress.error = readOpenAiErrorFrame(dialect, json)
      return null
    }
    return read({
      type,
      json,
      get ending() {
        return { named: event === null ? '' : `event: ${event}\n`, payload: Buffer.from(data.replaceAll('\n', ' ')) }
      },
    })
  }
}

/** @param payload in the place of the event's own. */
export function endingFrame({ named }: Pick<Ending, 'named'>, payload: Buffer): Buffer {
  return Buffer.concat([Buffer.from(`${named}data: `), payload, Buffer.from('\n\n')])
}
