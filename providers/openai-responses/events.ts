/**
 * The events of a response that passes: what each adds to what was shown, to the items and to the end. Each is read, for it may name its
 * members with escapes.
 */
import { asObject, parseJson } from '../json.ts'
import type { OpenAiFacts } from '../openai-facts.ts'
import { parseFrame, type Verdict } from '../sse-frames.ts'
import { brokenOff, readFailed } from './errors.ts'
import type { ResponseProgress } from './progress.ts'
import { renamed } from './renamed.ts'
import { saidIn } from './said.ts'
import { createTally } from './tally.ts'
import { readResponseUsage } from './usage.ts'

type Json = Readonly<Record<string, unknown>>

const BEGINS: ReadonlySet<string> = new Set(['response.created', 'response.queued', 'response.in_progress'])
const ENDS: ReadonlySet<string> = new Set(['response.completed', 'response.incomplete', 'response.failed'])
/** Events that may say again what their item said, or nothing. Of one that nobody knows everything counts. */
const REPEATS =
  /^response\.[\w.]+\.(?:done|added|in_progress|completed|failed|searching|interpreting|generating|compacting|partial_image)$/
/** Items that say something only by what is said in them. */
const EMPTY_ITEMS: ReadonlySet<unknown> = new Set(['message', 'reasoning', 'function_call', 'custom_tool_call'])

export function createResponseEvents(
  dialect: OpenAiFacts,
  progress: ResponseProgress,
  asked: string,
): (frame: Buffer) => Verdict {
  const { reading, finishReasons, items, shown } = progress
  const tally = createTally(progress)

  /** The same response may be announced again; another one can't take the place of what was shown. */
  function begin(type: string, json: Json, frame: Buffer, data: string): Verdict {
    const response = asObject(json.response) ?? {}
    const earlier = progress.begun
    if (earlier !== null && earlier.id !== response.id && progress.frames > 0) {
      progress.error = brokenOff(dialect)
      return null
    }
    progress.begun = response
    // It tells what was asked; whoever tells that again may tell anything.
    tally.add('begin', saidIn(tally.isFirst(type) ? response.output : json))
    learn(response)
    return renamed(data, asked, response.model) ?? frame
  }

  function learn({ model, service_tier: tier }: Json): void {
    if (typeof model === 'string' && model !== '') reading.model = model
    if (typeof tier === 'string') reading.serviceTier = tier
  }

  function conclude(type: string, json: Json, data: string): null {
    const response = asObject(json.response) ?? {}
    learn(response)
    tally.repeatAll(saidIn(response.output))
    const consumed = readResponseUsage(dialect, response, items.uses())
    if (consumed !== null) {
      Object.assign(reading, consumed)
      progress.isFinal = true
      shown.cover()
    }
    if (type === 'response.failed') progress.error = readFailed(dialect, response)
    else {
      finishReasons.push(finishOf(type, response))
      progress.ending = Buffer.from(data.replaceAll('\n', ' '))
      progress.done = true
    }
    return null
  }

  function readItem(type: string, json: Json): void {
    const { output_index: index, item } = json
    if (type === 'response.output_item.added') items.add(Number(index), item)
    else items.end(Number(index), item)
    reading.toolUses = items.uses()
    tally.repeat(index, saidIn(item), `${type} ${String(index)}`)
    // A call that the provider makes, or thoughts that nobody can read, are delivered all the same.
    const { type: kind, encrypted_content: hidden } = asObject(item) ?? {}
    if (!EMPTY_ITEMS.has(kind) || (typeof hidden === 'string' && hidden !== '')) progress.frames += 1
  }

  return (frame) => {
    const { event, data } = parseFrame(frame)
    // Comments and empty lines.
    if (data === '') return true
    if (data.trim() === '[DONE]') {
      progress.done = true
      return null
    }
    const json = asObject(parseJson(data))
    if (json === null) return null
    const type = typeof json.type === 'string' ? json.type : (event ?? '')
    if (typeof json.sequence_number === 'number') progress.sequence = json.sequence_number
    if (type === 'error' || (asObject(json.error) !== null && !type.startsWith('response.'))) {
      progress.error = readFailed(dialect, json)
      return null
    }
    if (BEGINS.has(type)) return begin(type, json, frame, data)
    if (ENDS.has(type)) return conclude(type, json, data)
    if (type === 'response.output_item.added' || type === 'response.output_item.done') readItem(type, json)
    else if (type.endsWith('.delta')) {
      const text = saidIn(json)
      tally.add(json.output_index, text)
      items.say(Number(json.output_index), json.content_index ?? json.summary_index, text)
    } else if (REPEATS.test(type)) tally.repeat(json.output_index, saidIn(json), keyOf(type, json))
    else tally.add(json.output_index, saidIn(json))
    return true
  }
}

/** Each part of each item ends once, in each way. */
function keyOf(type: string, { output_index, content_index, summary_index, annotation_index }: Json): string {
  return [type, output_index, content_index, summary_index, annotation_index].map(String).join(' ')
}

/** Why it ended, in its own words. */
export function finishOf(type: string, { incomplete_details: details, status }: Json): string {
  const reason = asObject(details)?.reason
  if (typeof reason === 'string' && reason !== '') return reason
  return typeof status === 'string' && status !== '' ? status : type.slice(type.indexOf('.') + 1)
}
