/** Counts a request's input with the model's tokenizer, where the provider did not: the text of messages and tools, as framed. */

import type { ModelFacts } from '../../providers/provider.ts'
import type { Tokenizer } from '../metering/tokenizer.ts'

const MESSAGE_OVERHEAD = 3
const PRIMING = 3

export async function countInput(
  tokenizer: Tokenizer,
  json: Readonly<Record<string, unknown>>,
  encoding: ModelFacts['encoding'],
  letThrough: readonly string[] = [],
): Promise<number> {
  const messages = Array.isArray(json.messages) ? json.messages : []
  const pieces = [...messages.flatMap(messageTexts), ...letThrough]
  for (const key of ['tools', 'functions', 'response_format']) {
    if (json[key] !== undefined && json[key] !== null) pieces.push(JSON.stringify(json[key]))
  }
  return (await tokenizer.count(pieces.join('\n'), encoding)) + messages.length * MESSAGE_OVERHEAD + PRIMING
}

function messageTexts(message: Record<string, unknown>): string[] {
  const { role, name, content, tool_calls: calls } = message
  const parts = Array.isArray(content) ? content : []
  const texts = [role, name, content, ...parts.map((part) => part?.text)].filter((value) => typeof value === 'string')
  if (Array.isArray(calls)) texts.push(...calls.map((call) => JSON.stringify(call?.function ?? {})))
  return texts
}
