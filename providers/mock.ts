/**
 * The response of a deployment with LiteLLM's `mock_response`: in OpenAI's dialect, with usage, so that a first call, its price
 * and its row can be seen without a paid key. Tokens are counted by the fast estimate.
 */
import { estimateText } from './estimate-text.ts'
import { unknownMedia } from './media/media-size.ts'
import { openAiDialect, PLAIN_MODEL } from './openai-dialect.ts'
import { dataFrame } from './sse-frames.ts'

export interface MockCall {
  callId: string
  model: string
  /** Unix seconds. */
  created: number
  text: string
  inputTokens: number
  choices: number
  outputCap: number | null
}

/** Nobody's model: what it says is read as any other response of its dialect. */
const { chat } = openAiDialect({
  name: 'mock',
  label: 'Mock',
  baseUrl: 'http://mock.invalid/v1',
  keyVariables: [],
  domain: 'mock.invalid',
  model: () => PLAIN_MODEL,
  mediaTokens: () => unknownMedia,
  capMember: () => 'either',
})

export const mock = {
  chat,
  /** The response as one JSON object, and as a stream. */
  respond: (call: MockCall): { whole: Buffer; frames: readonly Buffer[] } => ({
    whole: mockAnswer(call),
    frames: mockFrames(call),
  }),
}

/** The whole JSON response. */
function mockAnswer(call: MockCall): Buffer {
  const { text, finish, tokens } = cutToCap(call)
  const choices = indexes(call).map((index) => ({
    index,
    message: { role: 'assistant', content: text, refusal: null },
    logprobs: null,
    finish_reason: finish,
  }))
  return Buffer.from(JSON.stringify({ ...head(call, 'chat.completion'), choices, usage: usage(call, tokens) }))
}

/** The frames of the same response as a stream, word by word. */
function mockFrames(call: MockCall): Buffer[] {
  const { text, finish, tokens } = cutToCap(call)
  const common = head(call, 'chat.completion.chunk')
  const frame = (index: number, delta: Record<string, string>, reason: string | null) =>
    dataFrame(
      JSON.stringify({ ...common, choices: [{ index, delta, logprobs: null, finish_reason: reason }], usage: null }),
    )
  const words = text.match(/\S+\s*|\s+/g) ?? []
  return [
    ...indexes(call).map((index) => frame(index, { role: 'assistant', content: '' }, null)),
    ...words.flatMap((word) => indexes(call).map((index) => frame(index, { content: word }, null))),
    ...indexes(call).map((index) => frame(index, {}, finish)),
    dataFrame(JSON.stringify({ ...common, choices: [], usage: usage(call, tokens) })),
    dataFrame('[DONE]'),
  ]
}

function head(call: MockCall, object: string): Record<string, unknown> {
  return {
    id: `chatcmpl-${call.callId}`,
    object,
    created: call.created,
    model: call.model,
    system_fingerprint: 'fp_mock',
  }
}

function indexes(call: MockCall): number[] {
  return Array.from({ length: call.choices }, (_, index) => index)
}

function cutToCap(call: MockCall): { text: string; finish: 'stop' | 'length'; tokens: number } {
  const whole = estimateText(call.text)
  if (call.outputCap === null || whole <= call.outputCap) return { text: call.text, finish: 'stop', tokens: whole }
  const words = call.text.match(/\S+\s*|\s+/g) ?? []
  let text = ''
  for (const word of words) {
    if (estimateText(text + word) > call.outputCap) break
    text += word
  }
  return { text, finish: 'length', tokens: estimateText(text) }
}

function usage(call: MockCall, tokens: number): Record<string, unknown> {
  const output = tokens * call.choices
  return {
    prompt_tokens: call.inputTokens,
    completion_tokens: output,
    total_tokens: call.inputTokens + output,
    prompt_tokens_details: { cached_tokens: 0, audio_tokens: 0 },
    completion_tokens_details: {
      reasoning_tokens: 0,
      audio_tokens: 0,
      accepted_prediction_tokens: 0,
      rejected_prediction_tokens: 0,
    },
  }
}
