/**
 * What becomes of a frame in OpenAI's dialect. Frames that need no look inside are told by the absence of byte patterns, which can't
 * stand inside a JSON string, where every quote is escaped. A frame in which a name may be written with an escape is looked into.
 */
import { parseJson } from './json.ts'
import { createOpenAiChunkFilter, type OpenAiChunkFilter } from './openai-chunk-filter.ts'
import { readOpenAiErrorFrame } from './openai-errors.ts'
import { dataFrame, dataLine, isCanonical, parseFrame, type Verdict } from './sse-frames.ts'
import { LETTER_ESCAPE } from './text-bytes.ts'

const USAGE = Buffer.from('"usage"')
const FINISH = Buffer.from('"finish_reason"')
const ERROR = Buffer.from('"error"')
const IMAGES = Buffer.from('"images"')
const ROLE = Buffer.from('"role"')
const COLON = 0x3a
const LETTER_N = 0x6e

export function createOpenAiFrameFilter(options: OpenAiChunkFilter): (frame: Buffer) => Verdict {
  const { dialect, shownModel, progress } = options
  const { reading, choices } = progress
  const judgeChunk = createOpenAiChunkFilter(options)

  function judgeFrame(frame: Buffer): Verdict {
    if (progress.done || progress.error !== null) return null
    const payload = dataLine(frame)
    if (payload === null) return judgeUnusual(frame)
    if (payload[0] !== 0x7b) return judgeOther(payload.toString('utf8').trim())
    if (
      !progress.sampled ||
      !choices.spoke ||
      isStated(payload, USAGE) ||
      isStated(payload, FINISH) ||
      payload.includes(ERROR) ||
      payload.includes(IMAGES) ||
      payload.includes(LETTER_ESCAPE)
    )
      return judgeChunk(frame, payload)
    if (choices.hasRole && isStated(payload, ROLE)) return judgeChunk(frame, payload)
    progress.frames += 1
    const renamed = shownModel.rename(payload)
    return renamed === payload && isCanonical(frame) ? true : dataFrame(renamed)
  }

  /** Data that is not a plain JSON line: it leaves in the canonical form, in which it can also be counted. */
  function judgeOther(data: string): Verdict {
    if (data === '[DONE]') {
      progress.done = true
      progress.isFinal = reading.usage !== null
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
      progress.error = readOpenAiErrorFrame(dialect, parseJson(data))
      return null
    }
    return judgeOther(data.trim())
  }

  return judgeFrame
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
