/** Makes the events of one response from the chunks of a chat completion. Items follow one another; parallel calls are open together. */
import { asObject } from '../../../../providers/json.ts'
import { thoughtOf } from '../../messages/translated/stop-reason.ts'
import { type Call, callItem, inputIn, messageItem, reasoningItem, type Status, textPart } from './output-items.ts'
import { endingOf, type Head, RUNNING, responseOf, withUsage } from './response-shape.ts'
import { type ChatTools, list } from './tool-names.ts'
import { toolNamed } from './translate-response.ts'

type Json = Readonly<Record<string, unknown>>

export interface ResponseEvents {
  /** The events that a chunk becomes; there may be none. */
  read(chunk: Json): string
  /** Closes the open items and ends the response. */
  end(usage: string): string
}

interface Told {
  kind: 'text' | 'thought'
  id: string
  index: number
  pieces: string[]
}

interface OpenCall extends Call {
  index: number
  pieces: string[]
}

export function createResponseEvents(head: Head, tools: ChatTools): ResponseEvents {
  return new Writer(head, tools)
}

class Writer implements ResponseEvents {
  readonly #head: Head
  readonly #tools: ChatTools
  #out = ''
  #sequence = 0
  #isBegun: boolean = false
  #finish: unknown = null
  /** The item that text or thoughts are added to. */
  #told: Told | null = null
  /** The items of calls, by their index in the chat completion. */
  readonly #calls = new Map<unknown, OpenCall>()
  readonly #output: Json[] = []
  #items = 0

  constructor(head: Head, tools: ChatTools) {
    this.#head = head
    this.#tools = tools
  }

  read(chunk: Json): string {
    this.#out = ''
    const choice = asObject(list(chunk.choices)[0])
    if (choice === null) return ''
    this.#begin()
    const delta = asObject(choice.delta) ?? {}
    this.#tell('thought', thoughtOf(delta))
    for (const text of [delta.content, delta.refusal]) if (typeof text === 'string') this.#tell('text', text)
    for (const call of list(delta.tool_calls)) this.#call(asObject(call) ?? {})
    this.#finish = choice.finish_reason ?? this.#finish
    return this.#out
  }

  end(usage: string): string {
    this.#out = ''
    this.#begin()
    const ending = endingOf(this.#finish)
    const status = ending.status
    this.#closeTold(status)
    for (const call of this.#calls.values()) this.#closeCall(call, status)
    const response = withUsage(responseOf(this.#head, ending, this.#output), usage)
    const type = `response.${status}`
    return `${this.#out}event: ${type}\ndata: {"type":"${type}","sequence_number":${this.#sequence},"response":${response}}\n\n`
  }

  #send(type: string, members: Json): void {
    const json = JSON.stringify({ type, sequence_number: this.#sequence, ...members })
    this.#sequence += 1
    this.#out += `event: ${type}\ndata: ${json}\n\n`
  }

  #begin(): void {
    if (this.#isBegun) return
    this.#isBegun = true
    const response = { ...responseOf(this.#head, RUNNING, []), usage: null }
    this.#send('response.created', { response })
    this.#send('response.in_progress', { response })
  }

  /** The index and the id of the next item. */
  #next(kind: string): { id: string; index: number } {
    const index = this.#items
    this.#items += 1
    return { id: `${kind}_${this.#head.id.slice('resp_'.length)}_${index}`, index }
  }

  #tell(kind: Told['kind'], text: string): void {
    if (text === '') return
    if (this.#told?.kind !== kind) {
      this.#closeTold('completed')
      this.#told = this.#open(kind)
    }
    const { id, index, pieces } = this.#told
    pieces.push(text)
    if (kind === 'text') this.#send('response.output_text.delta', { ...inPart(id, index), delta: text, logprobs: [] })
    else this.#send('response.reasoning_summary_text.delta', { ...inSummary(id, index), delta: text })
  }

  #open(kind: Told['kind']): Told {
    const { id, index } = this.#next(kind === 'text' ? 'msg' : 'rs')
    const item = kind === 'text' ? messageItem(id, 'in_progress', []) : reasoningItem(id, '')
    this.#send('response.output_item.added', { output_index: index, item })
    if (kind === 'text') this.#send('response.content_part.added', { ...inPart(id, index), part: textPart('') })
    else
      this.#send('response.reasoning_summary_part.added', {
        ...inSummary(id, index),
        part: { type: 'summary_text', text: '' },
      })
    return { kind, id, index, pieces: [] }
  }

  #closeTold(status: Status): void {
    if (this.#told === null) return
    const { kind, id, index, pieces } = this.#told
    this.#told = null
    const text = pieces.join('')
    if (kind === 'text') {
      this.#send('response.output_text.done', { ...inPart(id, index), text, logprobs: [] })
      this.#send('response.content_part.done', { ...inPart(id, index), part: textPart(text) })
      this.#done(index, messageItem(id, status, [textPart(text)]))
    } else {
      this.#send('response.reasoning_summary_text.done', { ...inSummary(id, index), text })
      this.#send('response.reasoning_summary_part.done', {
        ...inSummary(id, index),
        part: { type: 'summary_text', text },
      })
      this.#done(index, reasoningItem(id, text))
    }
  }

  #call({ index: place, id: callId, function: called }: Json): void {
    const { name, arguments: args } = asObject(called) ?? {}
    let call = this.#calls.get(place)
    if (call === undefined) {
      this.#closeTold('completed')
      const tool = toolNamed(this.#tools.byName, name)
      const { id, index } = this.#next(tool.isCustom ? 'ctc' : 'fc')
      call = { id, index, callId: String(callId ?? `call_${id}`), tool, pieces: [] }
      this.#calls.set(place, call)
      this.#send('response.output_item.added', { output_index: index, item: callItem(call, 'in_progress', '') })
    }
    if (typeof args !== 'string' || args === '') return
    call.pieces.push(args)
    // A text is inside the arguments, which can be read only when they are complete.
    if (call.tool.isCustom) return
    this.#send('response.function_call_arguments.delta', { item_id: call.id, output_index: call.index, delta: args })
  }

  #closeCall(call: OpenCall, status: Status): void {
    const place = { item_id: call.id, output_index: call.index }
    const args = call.pieces.join('') || '{}'
    if (call.tool.isCustom) {
      const input = inputIn(args)
      this.#send('response.custom_tool_call_input.delta', { ...place, delta: input })
      this.#send('response.custom_tool_call_input.done', { ...place, input })
    } else {
      if (call.pieces.length === 0) this.#send('response.function_call_arguments.delta', { ...place, delta: args })
      this.#send('response.function_call_arguments.done', { ...place, name: call.tool.name, arguments: args })
    }
    this.#done(call.index, callItem(call, status, args))
  }

  #done(index: number, item: Json): void {
    this.#output[index] = item
    this.#send('response.output_item.done', { output_index: index, item })
  }
}

function inPart(item_id: string, output_index: number): Json {
  return { item_id, output_index, content_index: 0 }
}

function inSummary(item_id: string, output_index: number): Json {
  return { item_id, output_index, summary_index: 0 }
}
