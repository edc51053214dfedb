/**
 * Turns a stream of chat completion chunks into one of Gemini's. There a function call has its arguments as an object, so it goes out when
 * it is complete. The last frame states the usage, so it goes out when the call is booked.
 */
import { asObject } from '../../../../providers/json.ts'
import type { StreamReader } from '../../../../providers/provider.ts'
import { usageWithCost } from '../../../../providers/usage-with-cost.ts'
import { translateChunks } from '../../chunk-translation.ts'
import { callPart, finishReason, saidParts } from './said.ts'

type Json = Readonly<Record<string, unknown>>

interface OpenCall {
  id: unknown
  name: unknown
  text: string
}

interface Choice {
  finish: unknown
  calls: Map<unknown, OpenCall>
}

export function translateStream(chat: StreamReader, asked: string, callId: string): StreamReader {
  const choices = new Map<number, Choice>()
  const named = { modelVersion: asked, responseId: callId }
  const frame = (candidates: readonly Json[]) =>
    candidates.length === 0 ? '' : `data: ${JSON.stringify({ candidates, ...named })}\n\n`

  function take(choice: Json): Json[] {
    const index = typeof choice.index === 'number' ? choice.index : 0
    const known = choices.get(index) ?? { finish: null, calls: new Map<unknown, OpenCall>() }
    choices.set(index, known)
    const delta = asObject(choice.delta) ?? {}
    for (const call of Array.isArray(delta.tool_calls) ? delta.tool_calls : []) takeCall(known, asObject(call) ?? {})
    known.finish = choice.finish_reason ?? known.finish
    const parts = saidParts(delta)
    return parts.length === 0 ? [] : [{ content: { parts, role: 'model' }, index }]
  }

  return translateChunks(chat, {
    read(chunk) {
      const list: unknown[] = Array.isArray(chunk.choices) ? chunk.choices : []
      return frame(list.flatMap((choice) => take(asObject(choice) ?? {})))
    },
    end(cost, usage) {
      const all: readonly (readonly [number, Choice])[] =
        choices.size === 0 ? [[0, { finish: null, calls: new Map() }]] : [...choices]
      const candidates = all.map(([index, { finish, calls }]) => {
        const parts = [...calls.values()].map(callPart)
        const content = { parts: parts.length === 0 ? [{ text: '' }] : parts, role: 'model' }
        return { content, finishReason: finishReason(finish), index }
      })
      const shown = usageWithCost(null, cost, usage).toString('utf8')
      const last = JSON.stringify({ candidates, ...named }).slice(0, -1)
      return `data: ${last},"usageMetadata":${shown}}\n\n`
    },
  })
}

function takeCall({ calls }: Choice, { index, id, function: called }: Json): void {
  const { name, arguments: text } = asObject(called) ?? {}
  const known = calls.get(index) ?? { id, name, text: '' }
  if (typeof text === 'string') known.text += text
  calls.set(index, known)
}
