/** A complete response of the Messages API as a chat completion. */

import { parseExactJson } from '../exact-json.ts'
import { asObject, parseJson } from '../json.ts'
import type { ProviderError, ProviderResponse, ResponseContext } from '../provider.ts'
import { emptyReading, isPaid, type Reading } from '../reading.ts'
import { usageRecord } from '../usage.ts'
import { blocksMember, type Carried, idWithBlocks } from './carried.ts'
import { brokenOff, readClaudeErrorEvent } from './errors.ts'
import { annotation, isCarried, type Outcome, readOutcome } from './outcome.ts'
import { FORM_TOOL } from './tools.ts'
import { readClaudeUsage } from './usage.ts'

type Members = Readonly<Record<string, unknown>>

/** Null where the body is neither a response nor an error. */
export function readClaudeResponse(body: Buffer, context: ResponseContext): ProviderResponse | ProviderError | null {
  const text = body.toString('utf8')
  const parsed = asObject(parseJson(text))
  if (parsed?.type === 'error') return readClaudeErrorEvent(parsed)
  if (parsed === null) return null
  if (!Array.isArray(parsed.content)) {
    // This is no response, but it says what it cost, so the call is not made again.
    const consumed = readReading(parsed)
    return isPaid(consumed) ? { ...brokenOff(), consumed } : null
  }
  const json = text.includes('"tool_use"') ? (parseExactJson(text) as Members) : parsed
  const message = readMessage(json.content as unknown[])
  const outcome = readOutcome(parsed.stop_reason, parsed.stop_details, message.calls.length)
  const reading = readReading(parsed)
  return {
    reading,
    finishReasons: [outcome.finish],
    hasContent: message.text !== '' || message.reasoning !== '' || message.calls.length > 0,
    outputText: () => (reading.usage === null ? shownText(message) : ''),
    shownText: () => shownText(message),
    body(cost, usage, replaces = false) {
      const completion = {
        id: typeof parsed.id === 'string' ? parsed.id : `chatcmpl-${context.callId}`,
        object: 'chat.completion',
        created: context.created,
        model: context.request.model,
        choices: [choiceOf(message, outcome)],
      }
      const stated = reading.usage === null || replaces ? usage : usageRecord(reading.usage)
      return Buffer.from(`${JSON.stringify(completion).slice(0, -1)},"usage":${withCost(stated, cost)}}`)
    },
  }
}

/** A usage object's text; `cost` is the text of a number, null where none is to be shown. */
export function withCost(usage: unknown, cost: string | null): string {
  const members = Object.entries(asObject(usage) ?? {}).filter(([key]) => key !== 'cost')
  const text = JSON.stringify(Object.fromEntries(members))
  if (cost === null) return text
  return `${text.slice(0, -1)}${members.length > 0 ? ',' : ''}"cost":${cost}}`
}

export function readReading(json: Members): Reading {
  const model = typeof json.model === 'string' && json.model !== '' ? json.model : null
  const stated = readClaudeUsage(json.usage, model)
  if (stated === null) return { ...emptyReading(), model }
  const { usage, consistent, serviceTier, byModel } = stated
  return { ...emptyReading(), usage, consistent, model, serviceTier, byModel }
}

interface Message {
  text: string
  reasoning: string
  calls: Record<string, unknown>[]
  carried: Carried[]
  annotations: Record<string, unknown>[]
}

export function readMessage(content: readonly unknown[]): Message {
  const message: Message = { text: '', reasoning: '', calls: [], carried: [], annotations: [] }
  let given = 0
  for (const entry of content) {
    const block = asObject(entry) ?? {}
    if (block.type === 'text' && typeof block.text === 'string') addText(message, block.text, block.citations)
    else if (block.type === 'tool_use' && block.name === FORM_TOOL) message.text += JSON.stringify(block.input ?? {})
    else if (block.type === 'tool_use') {
      const id = idWithBlocks(typeof block.id === 'string' ? block.id : '', message.carried.slice(given))
      given = message.carried.length
      const fn = { name: block.name, arguments: JSON.stringify(block.input ?? {}) }
      message.calls.push({ id, type: 'function', function: fn })
    } else if (isCarried(block.type)) {
      if (typeof block.thinking === 'string') message.reasoning += block.thinking
      message.carried.push({ block, text: message.text.length, tools: message.calls.length })
    }
  }
  return message
}

function addText(message: Message, text: string, citations: unknown): void {
  const start = message.text.length
  message.text += text
  for (const citation of Array.isArray(citations) ? citations : []) {
    message.annotations.push(annotation(citation, start, message.text.length))
  }
}

function choiceOf(message: Message, { finish, native, refusal }: Outcome): Members {
  const { text, reasoning, calls, carried, annotations } = message
  return {
    index: 0,
    message: {
      role: 'assistant',
      content: text === '' ? null : text,
      refusal,
      ...(reasoning === '' ? {} : { reasoning_content: reasoning }),
      ...(calls.length === 0 ? {} : { tool_calls: calls }),
      ...(annotations.length === 0 ? {} : { annotations }),
      ...(carried.length === 0 ? {} : { thinking_blocks: blocksMember(carried) }),
    },
    logprobs: null,
    finish_reason: finish,
    ...(native === null ? {} : { native_finish_reason: native }),
  }
}

export function shownText({ text, reasoning, calls }: Message): string {
  const called = calls.map(({ function: fn }) => {
    const { name, arguments: args } = fn as { name?: unknown; arguments: string }
    return `${typeof name === 'string' ? name : ''}${args}`
  })
  return [reasoning, text, ...called].join('')
}
