/** What a deployment with a `mock_response` says of each text: nothing is wrong with it. */
export function mockModeration(input: unknown, model: string): { whole: Buffer; frames: readonly Buffer[] } {
  const count = Array.isArray(input) && typeof input[0] === 'string' ? input.length : 1
  const results = Array.from({ length: count }, () => ({ flagged: false, categories: {}, category_scores: {} }))
  return { whole: Buffer.from(JSON.stringify({ id: 'modr-mock', model, results })), frames: [] }
}
