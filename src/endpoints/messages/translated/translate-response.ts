/** Turns a chat completion into a message. */

import { withCost } from '../../../../providers/anthropic/response.ts'
import { parseExactJson } from '../../../../providers/exact-json.ts'
import { asObject, parseJson } from '../../../../providers/json.ts'
import type { ProviderResponse } from '../../../../providers/provider.ts'
import { stopDetails, stopReason, thoughtOf } from './stop-reason.ts'

type Json = Readonly<Record<string, unknown>>

export function translateResponse(answer: ProviderResponse, asked: string, callId: string): ProviderResponse {
  return {
    ...answer,
    body(cost, usage) {
      const completion = asObject(parseJson(answer.body(null, {}).toString('utf8'))) ?? {}
      const choice = asObject((completion.choices as unknown[] | undefined)?.[0]) ?? {}
      const message = {
        id: `msg_${callId.replaceAll('-', '')}`,
        type: 'message',
        role: 'assistant',
        model: asked,
        content: contentOf(asObject(choice.message) ?? {}),
        stop_reason: stopReason(choice.finish_reason),
        ...stopDetails(choice.finish_reason),
        stop_sequence: null,
      }
      return Buffer.from(`${JSON.stringify(message).slice(0, -1)},"usage":${withCost(usage, cost)}}`)
    },
  }
}

function contentOf(message: Json): Json[] {
  const thought = thoughtOf(message)
  const texts = [message.content, message.refusal].filter((text) => typeof text === 'string' && text !== '')
  const calls: unknown[] = Array.isArray(message.tool_calls) ? message.tool_calls : []
  return [
    ...(thought === '' ? [] : [{ type: 'thinking', thinking: thought, signature: '' }]),
    ...texts.map((text) => ({ type: 'text', text })),
    ...calls.map((call) => toolUse(asObject(call) ?? {})),
  ]
}

/** Arguments that are not a JSON object are kept as they were written: the client's tool reports what is wrong. */
function toolUse({ id, function: called }: Json): Json {
  const { name, arguments: text } = asObject(called) ?? {}
  return { type: 'tool_use', id, name, input: inputOf(typeof text === 'string' ? text : '') }
}

function inputOf(text: string): unknown {
  if (text.trim() === '') return {}
  try {
    return asObject(parseExactJson(text)) ?? { arguments: text }
  } catch {
    return { arguments: text }
  }
}
