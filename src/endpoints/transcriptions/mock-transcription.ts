/** What a deployment with a `mock_response` heard. */
export function mockTranscription(text: string, isJson: boolean): { whole: Buffer; frames: readonly Buffer[] } {
  const event = (json: Record<string, string>) => Buffer.from(`data: ${JSON.stringify(json)}\n\n`)
  return {
    whole: Buffer.from(isJson ? JSON.stringify({ text }) : text),
    frames: [event({ type: 'transcript.text.delta', delta: text }), event({ type: 'transcript.text.done', text })],
  }
}
