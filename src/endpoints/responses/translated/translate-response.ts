/** A chat completion as a response. */
import { asObject, parseJson } from '../../../../providers/json.ts'
import { shownResponseUsage } from '../../../../providers/openai-responses/shown-usage.ts'
import type { ProviderResponse } from '../../../../providers/provider.ts'
import { thoughtOf } from '../../messages/translated/stop-reason.ts'
import { callItem, messageItem, reasoningItem, textPart } from './output-items.ts'
import { endingOf, type Head, responseOf, withUsage } from './response-shape.ts'
import { type ChatTools, list, type NamedTool } from './tool-names.ts'

type Json = Readonly<Record<string, unknown>>

export function translateResponse(completion: ProviderResponse, head: Head, { byName }: ChatTools): ProviderResponse {
  return {
    ...completion,
    body(cost, usage) {
      const json = asObject(parseJson(completion.body(null, {}).toString('utf8'))) ?? {}
      const choice = asObject(list(json.choices)[0]) ?? {}
      const output = outputOf(asObject(choice.message) ?? {}, head.id, byName)
      const response = responseOf(head, endingOf(choice.finish_reason), output)
      return Buffer.from(withUsage(response, shownResponseUsage(null, cost, usage).toString('utf8')))
    },
  }
}

function outputOf(message: Json, id: string, byName: ReadonlyMap<string, NamedTool>): Json[] {
  const items: Json[] = []
  const idOf = (kind: string) => `${kind}_${id.slice('resp_'.length)}_${items.length}`
  const thought = thoughtOf(message)
  if (thought !== '') items.push(reasoningItem(idOf('rs'), thought))
  const texts = [message.content, message.refusal].filter((text) => typeof text === 'string' && text !== '')
  if (texts.length > 0) items.push(messageItem(idOf('msg'), 'completed', [textPart(texts.join(''))]))
  for (const value of list(message.tool_calls)) {
    const { id: callId, function: called } = asObject(value) ?? {}
    const { name, arguments: args } = asObject(called) ?? {}
    const tool = toolNamed(byName, name)
    const call = { id: idOf(tool.isCustom ? 'ctc' : 'fc'), callId: String(callId ?? idOf('call')), tool }
    items.push(callItem(call, 'completed', typeof args === 'string' && args !== '' ? args : '{}'))
  }
  return items
}

/** A model may call what nobody defined. */
export function toolNamed(byName: ReadonlyMap<string, NamedTool>, name: unknown): NamedTool {
  return byName.get(String(name)) ?? { name: String(name), namespace: null, isCustom: false }
}
