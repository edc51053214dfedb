/** Turns OpenAI's finish reasons into Anthropic's stop reasons. */
const REASONS: Readonly<Record<string, string>> = {
  stop: 'end_turn',
  length: 'max_tokens',
  tool_calls: 'tool_use',
  function_call: 'tool_use',
  content_filter: 'refusal',
}

export function stopReason(finish: unknown): string {
  return typeof finish === 'string' && Object.hasOwn(REASONS, finish) ? (REASONS[finish] ?? 'end_turn') : 'end_turn'
}

/** Of a refusal, of which a provider of another dialect says no more. */
export function stopDetails(finish: unknown): { stop_details?: unknown } {
  return stopReason(finish) === 'refusal'
    ? { stop_details: { type: 'refusal', category: null, explanation: null } }
    : {}
}

/** The member that holds thoughts differs by provider. */
export function thoughtOf({ reasoning_content, reasoning }: Readonly<Record<string, unknown>>): string {
  for (const thought of [reasoning_content, reasoning])
    if (typeof thought === 'string' && thought !== '') return thought
  return ''
}
