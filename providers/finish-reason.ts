/** Why a choice ended, in OpenAI's words: clients check for them, and some servers have words of their own. */

const OWN = new Set(['stop', 'length', 'tool_calls', 'content_filter', 'function_call'])

const FOREIGN: Readonly<Record<string, string>> = {
  // Text Generation Inference, and servers made after it.
  eos_token: 'stop',
  eos: 'stop',
  stop_sequence: 'stop',
  end_turn: 'stop',
  max_tokens: 'length',
  model_length: 'length',
  tool_use: 'tool_calls',
  tool_call: 'tool_calls',
  safety: 'content_filter',
  refusal: 'content_filter',
}

/** Null where the choice has not ended. A word nobody knows says that it did. */
export function finishReason(value: unknown): string | null {
  if (typeof value !== 'string' || value === '') return null
  if (OWN.has(value)) return value
  const word = value.toLowerCase()
  return Object.hasOwn(FOREIGN, word) ? (FOREIGN[word] ?? 'stop') : OWN.has(word) ? word : 'stop'
}
