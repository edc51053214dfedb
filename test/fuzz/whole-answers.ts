/** Whole answers in each dialect, with most members as the provider writes them: what a call that is no stream gets. */
import fc from 'fast-check'

type Some = <T>(usual: fc.Arbitrary<T>) => fc.Arbitrary<unknown>

/** @param some is mostly the usual value, @param value any at all. */
export function wholeAnswers(some: Some, value: fc.Arbitrary<unknown>, word: fc.Arbitrary<string>) {
  const counts = (names: readonly string[]) =>
    some(fc.record(Object.fromEntries(names.map((name) => [name, some(fc.nat(50))])), { requiredKeys: [] }))
  const call = fc.record({
    id: some(word),
    type: some(fc.constant('function')),
    function: some(fc.record({ name: some(word), arguments: some(fc.constantFrom('{}', '{"a":1.0}', '[')) })),
  })
  const message = fc.record(
    { role: some(fc.constant('assistant')), content: some(word), tool_calls: some(fc.array(some(call))), audio: value },
    { requiredKeys: ['role', 'content'] },
  )
  const openai = fc.record(
    {
      id: some(fc.constant('c')),
      object: some(fc.constant('chat.completion')),
      model: some(fc.constantFrom('gpt-4o-mini', 'm')),
      choices: some(
        fc.array(
          some(
            fc.record({
              index: some(fc.constant(0)),
              message: some(message),
              finish_reason: some(fc.constantFrom('stop', 'length', 'tool_calls')),
            }),
          ),
          { minLength: 1, maxLength: 2 },
        ),
      ),
      usage: counts(['prompt_tokens', 'completion_tokens', 'total_tokens', 'cost', 'cost_in_usd_ticks']),
      service_tier: value,
    },
    { requiredKeys: ['choices'] },
  )
  const block = fc.record(
    {
      type: some(fc.constantFrom('text', 'tool_use', 'thinking', 'redacted_thinking', 'server_tool_use')),
      text: some(word),
      id: some(word),
      name: some(word),
      input: value,
      thinking: some(word),
      signature: some(word),
      citations: value,
    },
    { requiredKeys: ['type', 'text'] },
  )
  const anthropic = fc.record(
    {
      id: some(fc.constant('m')),
      type: some(fc.constant('message')),
      role: some(fc.constant('assistant')),
      model: some(fc.constant('claude-haiku-4-5')),
      content: some(fc.array(some(block), { maxLength: 3 })),
      stop_reason: some(fc.constantFrom('end_turn', 'max_tokens', 'tool_use', 'refusal', 'pause_turn')),
      usage: counts(['input_tokens', 'output_tokens', 'cache_read_input_tokens', 'cache_creation_input_tokens']),
    },
    { requiredKeys: ['type', 'content', 'usage'] },
  )
  const part = fc.record(
    { text: some(word), functionCall: value, thought: value, inlineData: value, thoughtSignature: value },
    { requiredKeys: ['text'] },
  )
  const candidate = fc.record(
    {
      index: some(fc.constant(0)),
      content: some(
        fc.record({ parts: some(fc.array(some(part), { maxLength: 3 })), role: some(fc.constant('model')) }),
      ),
      finishReason: some(fc.constantFrom('STOP', 'MAX_TOKENS', 'SAFETY')),
      groundingMetadata: value,
      logprobsResult: value,
    },
    { requiredKeys: ['content', 'finishReason'] },
  )
  const google = fc.record(
    {
      candidates: some(fc.array(some(candidate), { minLength: 1, maxLength: 2 })),
      usageMetadata: counts(['promptTokenCount', 'candidatesTokenCount', 'totalTokenCount', 'thoughtsTokenCount']),
      modelVersion: some(fc.constant('gemini-2.5-flash')),
      promptFeedback: value,
    },
    { requiredKeys: ['candidates', 'usageMetadata'] },
  )
  return { openai, anthropic, google }
}
