/** Turns a chat completion into a response. */
import { asObject, parseJson } from '../../../../providers/json.ts'
import { shownResponseUsage } from '../../../../providers/openai-responses/shown-usage.ts'
import type { ProviderResponse } from '../../../../providers/provider.ts'
import { thoughtOf } from '../../messages/translated/stop-reason.ts'
import { callItem, messageItem, reasoningItem, type Status, textPart } from './output-items.ts'
import { endingOf, type Head, responseOf, withUsage } from './response-shape.ts'
import { type ChatTools, list, type NamedTool } from './tool-names.ts'

type Json = Readonly<Record<string, unknown>>

export function translateResponse(completion: ProviderResponse, head: Head, { byName }: ChatTools): ProviderResponse {
  return {
    ...completion,
    body(cost, usage) {
      const json = asObject(parseJson(completion.body(null, {}).toString('utf8'))) ?? {}
      const choice = asObject(list(json.choices)[0]) ?? {}
      const ending = endingOf(choice.finish_reason)
      const output = outputOf(asObject(choice.message) ?? {}, head.id, ending.status, byName)
      const response = responseOf(head, ending, output)
      return Buffer.from(withUsage(response, shownResponseUsage(null, cost, usage).toString('utf8')))
    },
  }
}

/** @param status of what came last, which was cut where the response was. */
function outputOf(message: Json, id: string, status: Status, byName: ReadonlyMap<string, NamedTool>): Json[] {
  const items: Json[] = []
  const idOf = (kind: string) => `${kind}_${id.slice('resp_'.length)}_${items.length}`
  const thought = thoughtOf(message)
  if (thought !== '') items.push(reasoningItem(idOf('rs'), thought))
  const texts = [message.content, message.refusal].filter((text) => typeof text === 'string' && text !== '')
  const calls = list(message.tool_calls)
  const ofText = calls.length === 0 ? status : 'completed'
  if (texts.length > 0) items.push(messageItem(idOf('msg'), ofText, [textPart(texts.join(''))]))
  for (const value of calls) {
    const { id: callId, function: called } = asObject(value) ?? {}
    const { name, arguments: args } = asObject(called) ?? {}
    const tool = toolNamed(byName, name)
    const call = { id: idOf(tool.isCustom ? 'ctc' : 'fc'), callId: String(callId ?? idOf('call')), tool }
    items.push(callItem(call, status, typeof args === 'string' && args !== '' ? args : '{}'))
  }
  return items
}

/** A model may call a function that nobody defined. */
export function toolNamed(byName: ReadonlyMap<string, NamedTool>, name: unknown): NamedTool {
  return byName.get(String(name)) ?? { name: String(name), namespace: null, isCustom: false }
}
