/** Turns a chat completion into a response in Gemini's dialect. */
import { asObject, parseJson } from '../../../../providers/json.ts'
import type { ProviderResponse } from '../../../../providers/provider.ts'
import { usageWithCost } from '../../../../providers/usage-with-cost.ts'
import { callPart, finishReason, saidParts } from './said.ts'

type Json = Readonly<Record<string, unknown>>

export function translateResponse(answer: ProviderResponse, asked: string, callId: string): ProviderResponse {
  return {
    ...answer,
    body(cost, usage) {
      const completion = asObject(parseJson(answer.body(null, {}).toString('utf8'))) ?? {}
      const choices: unknown[] = Array.isArray(completion.choices) ? completion.choices : []
      const response = {
        candidates: choices.map((choice, index) => candidateOf(asObject(choice) ?? {}, index)),
        modelVersion: asked,
        responseId: callId,
      }
      const shown = usageWithCost(null, cost, usage).toString('utf8')
      return Buffer.from(`${JSON.stringify(response).slice(0, -1)},"usageMetadata":${shown}}`)
    },
  }
}

function candidateOf(choice: Json, position: number): Json {
  const message = asObject(choice.message) ?? {}
  const calls: unknown[] = Array.isArray(message.tool_calls) ? message.tool_calls : []
  const parts = [...saidParts(message), ...calls.map((call) => partOf(asObject(call) ?? {}))]
  return {
    content: { parts: parts.length === 0 ? [{ text: '' }] : parts, role: 'model' },
    finishReason: finishReason(choice.finish_reason),
    index: typeof choice.index === 'number' ? choice.index : position,
  }
}

function partOf({ id, function: called }: Json): Json {
  const { name, arguments: text } = asObject(called) ?? {}
  return callPart({ id, name, text: typeof text === 'string' ? text : '' })
}
