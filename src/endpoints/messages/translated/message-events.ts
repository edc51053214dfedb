/** Makes the events of one message from the chunks of a chat completion. Blocks follow one another; parallel calls are open together. */
import { asObject } from '../../../../providers/json.ts'
import { stopDetails, stopReason, thoughtOf } from './stop-reason.ts'

type Json = Readonly<Record<string, unknown>>

export interface MessageEvents {
  /** The events that a chunk becomes; there may be none. */
  read(chunk: Json): string
  /** Closes the open blocks and ends the message. */
  end(usage: string): string
}

/** The usage at the start: the true one is stated at the end. */
const NOT_KNOWN_YET = { input_tokens: 0, output_tokens: 0 }

export function createMessageEvents(asked: string, id: string): MessageEvents {
  let isBegun = false
  let blocks = 0
  let finish: unknown = null
  /** The block that text or thoughts are added to. */
  let told: { type: 'text' | 'thinking'; index: number } | null = null
  /** The blocks of calls, by their index in the chat completion. */
  const calls = new Map<unknown, number>()
  let out = ''

  function send(type: string, members: Json): void {
    out += `event: ${type}\ndata: ${JSON.stringify({ type, ...members })}\n\n`
  }

  function begin(): void {
    if (isBegun) return
    isBegun = true
    const message = { id, type: 'message', role: 'assistant', model: asked, content: [] }
    send('message_start', { message: { ...message, stop_reason: null, stop_sequence: null, usage: NOT_KNOWN_YET } })
  }

  function open(block: Json): number {
    const index = blocks
    blocks += 1
    send('content_block_start', { index, content_block: block })
    return index
  }

  function closeTold(): void {
    if (told !== null) send('content_block_stop', { index: told.index })
    told = null
  }

  function tell(type: 'text' | 'thinking', text: string): void {
    if (text === '') return
    if (told?.type !== type) {
      closeTold()
      told = { type, index: open(type === 'text' ? { type, text: '' } : { type, thinking: '', signature: '' }) }
    }
    const delta = type === 'text' ? { type: 'text_delta', text } : { type: 'thinking_delta', thinking: text }
    send('content_block_delta', { index: told.index, delta })
  }

  function call({ index: place, id: callId, function: called }: Json): void {
    const { name, arguments: args } = asObject(called) ?? {}
    let index = calls.get(place)
    if (index === undefined) {
      closeTold()
      index = open({ type: 'tool_use', id: callId, name, input: {} })
      calls.set(place, index)
    }
    if (typeof args !== 'string' || args === '') return
    send('content_block_delta', { index, delta: { type: 'input_json_delta', partial_json: args } })
  }

  return {
    read(chunk) {
      out = ''
      const choice = asObject((chunk.choices as unknown[] | undefined)?.[0])
      if (choice === null) return out
      begin()
      const delta = asObject(choice.delta) ?? {}
      tell('thinking', thoughtOf(delta))
      for (const text of [delta.content, delta.refusal]) if (typeof text === 'string') tell('text', text)
      for (const one of Array.isArray(delta.tool_calls) ? delta.tool_calls : []) call(asObject(one) ?? {})
      finish = choice.finish_reason ?? finish
      return out
    },
    end(usage) {
      out = ''
      begin()
      closeTold()
      for (const index of calls.values()) send('content_block_stop', { index })
      const delta = JSON.stringify({ stop_reason: stopReason(finish), ...stopDetails(finish), stop_sequence: null })
      return `${out}event: message_delta\ndata: {"type":"message_delta","delta":${delta},"usage":${usage}}\n\n`
    },
  }
}
