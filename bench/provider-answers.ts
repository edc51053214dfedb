/** What the provider of the benchmarks answers and bills, always the same: bytes made once, and what they must cost. */

export type Kind = 'whole' | 'stream'

export const MODEL = 'bench'

/** As stated in every answer of a kind. */
export const USAGE: Record<Kind, { prompt_tokens: number; completion_tokens: number }> = {
  whole: { prompt_tokens: 180, completion_tokens: 64 },
  stream: { prompt_tokens: 180, completion_tokens: 50 },
}

/** Dollars a token, as config.yaml has it, and the same in nano-dollars. */
export const PRICES = { input_cost_per_token: '0.00000015', output_cost_per_token: '0.0000006' }
const NANO_DOLLARS = { input: 150n, output: 600n }

/** Microcredits of one call on the platform plan: 50 % on top. Reckoned here, apart from the product's own arithmetic. */
export function chargeOf(kind: Kind): bigint {
  const { prompt_tokens: prompt, completion_tokens: completion } = USAGE[kind]
  return ((BigInt(prompt) * NANO_DOLLARS.input + BigInt(completion) * NANO_DOLLARS.output) * 3n) / 2n
}

const CHUNKS = 50
const HEAD = { id: 'chatcmpl-bench', created: 1_700_000_000, model: MODEL, system_fingerprint: 'fp_bench' }

export function wholeAnswer(): Buffer {
  const message = { role: 'assistant', content: 'All is well that ends well. '.repeat(9).trim(), refusal: null }
  return Buffer.from(
    JSON.stringify({
      ...HEAD,
      object: 'chat.completion',
      choices: [{ index: 0, message, logprobs: null, finish_reason: 'stop' }],
      usage: usageOf('whole'),
    }),
  )
}

/** One frame each: 50 of content, the finish, the usage where it was asked for, [DONE]. */
export function streamFrames(includeUsage: boolean): Buffer[] {
  const frame = (choices: unknown[], usage: unknown) => ({ ...HEAD, object: 'chat.completion.chunk', choices, usage })
  const choice = (delta: unknown, finish: string | null) => [{ index: 0, delta, logprobs: null, finish_reason: finish }]
  const usage = includeUsage ? null : undefined
  const frames = Array.from({ length: CHUNKS }, (_, i) =>
    frame(choice(i === 0 ? { role: 'assistant', content: 'One' } : { content: ' word' }, null), usage),
  )
  frames.push(frame(choice({}, 'stop'), usage))
  if (includeUsage) frames.push(frame([], usageOf('stream')))
  return [...frames.map((json) => JSON.stringify(json)), '[DONE]'].map((data) => Buffer.from(`data: ${data}\n\n`))
}

/** What clients send: a short conversation, without a cap on the output. */
export function requestBody(kind: Kind): Buffer {
  const messages = [
    { role: 'system', content: 'You are a patient assistant who answers in one paragraph. '.repeat(6).trim() },
    { role: 'user', content: 'What do people mean when they say that all is well that ends well? '.repeat(5).trim() },
  ]
  const streaming = kind === 'stream' ? { stream: true, stream_options: { include_usage: true } } : {}
  return Buffer.from(JSON.stringify({ model: MODEL, messages, temperature: 0.7, ...streaming }))
}

function usageOf(kind: Kind): Record<string, unknown> {
  const { prompt_tokens, completion_tokens } = USAGE[kind]
  return {
    prompt_tokens,
    completion_tokens,
    total_tokens: prompt_tokens + completion_tokens,
    prompt_tokens_details: { cached_tokens: 0, audio_tokens: 0 },
    completion_tokens_details: { reasoning_tokens: 0, audio_tokens: 0 },
  }
}
