/** The stream of the benchmarks' provider as Anthropic and as Google write it: the same words in as many chunks. */

export interface Words {
  model: string
  words: readonly string[]
  usage: { prompt_tokens: number; completion_tokens: number }
}

/** Events of the Messages API, one frame each. */
export function anthropicFrames({ model, words, usage }: Words): Buffer[] {
  const input = {
    input_tokens: usage.prompt_tokens,
    cache_creation_input_tokens: 0,
    cache_read_input_tokens: 0,
    cache_creation: { ephemeral_5m_input_tokens: 0, ephemeral_1h_input_tokens: 0 },
    service_tier: 'standard',
  }
  const message = { model, id: 'msg_bench', type: 'message', role: 'assistant', content: [], stop_reason: null }
  const delta = { stop_reason: 'end_turn', stop_sequence: null }
  return [
    event('message_start', { message: { ...message, stop_sequence: null, usage: { ...input, output_tokens: 1 } } }),
    event('content_block_start', { index: 0, content_block: { type: 'text', text: '' } }),
    ...words.map((text) => event('content_block_delta', { index: 0, delta: { type: 'text_delta', text } })),
    event('content_block_stop', { index: 0 }),
    event('message_delta', { delta, usage: { ...input, output_tokens: usage.completion_tokens } }),
    event('message_stop', {}),
  ]
}

function event(type: string, members: Record<string, unknown>): Buffer {
  return Buffer.from(`event: ${type}\ndata: ${JSON.stringify({ type, ...members })}\n\n`)
}

/** Frames of `streamGenerateContent`, spaced as Google's servers space them: each states all usage so far, the last one the end. */
export function geminiFrames({ model, words, usage }: Words): Buffer[] {
  const { prompt_tokens: prompt, completion_tokens: completion } = usage
  return words.map((text, i) => {
    const isLast = i === words.length - 1
    const answer = isLast ? completion : Math.ceil((completion * (i + 1)) / words.length)
    const end = isLast ? '"finishReason": "STOP",' : ''
    const candidate = `{"content": {"parts": [{"text": ${JSON.stringify(text)}}],"role": "model"},${end}"index": 0}`
    const details = `"promptTokensDetails": [{"modality": "TEXT","tokenCount": ${prompt}}]`
    const counts = `"promptTokenCount": ${prompt},"candidatesTokenCount": ${answer},"totalTokenCount": ${prompt + answer}`
    const tail = `"usageMetadata": {${counts},${details}},"modelVersion": "${model}","responseId": "bench"`
    return Buffer.from(`data: {"candidates": [${candidate}],${tail}}\r\n\r\n`)
  })
}
