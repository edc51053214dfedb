/** Groq's row: usage three times or only inside `x_groq`, failures as named events, compound systems of several models. */
import { describe, expect, test } from 'vitest'
import { groq } from '../../providers/groq.ts'
import type { ProviderError, ProviderResponse, StreamReader } from '../../providers/provider.ts'
import { NO_USAGE } from '../../providers/usage.ts'
import { parseRequest } from '../../src/endpoints/chat-completions/read-request.ts'
import { sse } from '../support/upstream-answers.ts'

const MODEL = 'llama-3.3-70b-versatile'
const context = {
  request: parseRequest(Buffer.from(JSON.stringify({ model: MODEL, messages: [{ role: 'user', content: 'Hi' }] }))),
  model: MODEL,
  choices: 1,
  callId: '00000000-0000-4000-8000-000000000000',
  created: 1_700_000_000,
}
const USAGE = {
  queue_time: 0.03,
  prompt_tokens: 11,
  prompt_time: 0.001,
  completion_tokens: 5,
  completion_time: 0.02,
  total_tokens: 16,
  total_time: 0.021,
}
const HEAD = { id: 'chatcmpl-1', object: 'chat.completion.chunk', created: 1_700_000_000, model: MODEL }
const chunk = (delta: object, finish: string | null = null, rest: object = {}) => ({
  ...HEAD,
  choices: [{ index: 0, delta, logprobs: null, finish_reason: finish }],
  ...rest,
})
const FIRST = chunk({ role: 'assistant', content: '' }, null, { x_groq: { id: 'req_01', seed: 7 } })
const HELLO = sse(chunk({ content: 'Hello' }))

function read(frames: readonly string[]): {
  out: string
  done: boolean
  error: ProviderError | null
  reader: StreamReader
} {
  const reader = groq.chat.readStream(context)
  const part = reader.push(Buffer.from(frames.join('')))
  return { out: part.bytes?.toString() ?? '', done: part.done, error: part.error, reader }
}

describe('a stream of Groq', () => {
  test('A stream of Groq states its usage three times, which is once.', () => {
    const { out, done, reader } = read([
      sse(FIRST),
      HELLO,
      sse(chunk({}, 'stop', { x_groq: { id: 'req_01', usage: USAGE }, usage: USAGE })),
      sse({ ...HEAD, choices: [], usage: USAGE }),
      'data: [DONE]\n\n',
    ])
    expect(out).toBe(sse(FIRST) + HELLO + sse(chunk({}, 'stop', { x_groq: { id: 'req_01' } })))
    expect(done).toBe(true)
    expect(reader.reading).toMatchObject({ usage: { ...NO_USAGE, input: 11, output: 5 }, consistent: true })
    expect(reader.finishReasons).toEqual(['stop'])
    expect(reader.usageFrame('0.0000157', {}).toString()).toBe(
      sse({ ...HEAD, choices: [], usage: { ...USAGE, cost: 0.0000157 } }),
    )
  })

  test('A stream of Groq states it only inside x_groq, from where it is shown.', () => {
    const { out, reader } = read([
      sse(FIRST),
      HELLO,
      sse(chunk({}, 'stop', { x_groq: { id: 'req_01', usage: USAGE } })),
      'data: [DONE]\n\n',
    ])
    expect(out).toBe(sse(FIRST) + HELLO + sse(chunk({}, 'stop', { x_groq: { id: 'req_01' } })))
    expect(reader.reading.usage).toEqual({ ...NO_USAGE, input: 11, output: 5 })
    expect(reader.usageFrame('0.5', {}).toString()).toBe(
      sse({ ...HEAD, choices: [], x_groq: { id: 'req_01' }, usage: { ...USAGE, cost: 0.5 } }),
    )
  })

  test('A stream of Groq fails by a named event: what came before it stays, nothing after it is read.', () => {
    const failure = {
      message: 'Failed to call a function. See failed_generation.',
      type: 'invalid_request_error',
      code: 'tool_use_failed',
      failed_generation: '<function=f>',
      status_code: 400,
    }
    const { out, error, reader } = read([HELLO, `event: error\ndata: ${JSON.stringify({ error: failure })}\n\n`, HELLO])
    expect(out).toBe(HELLO)
    expect(error).toMatchObject({
      kind: 'bad_request',
      status: 400,
      code: 'tool_use_failed',
      message: 'Failed to call a function. See failed_generation.',
      type: 'invalid_request_error',
    })
    expect(reader.outputText()).toBe('Hello')
  })
})

describe('a compound system of Groq', () => {
  const part = (model: string, prompt: number, completion: number) => ({
    model,
    usage: { prompt_tokens: prompt, completion_tokens: completion, total_tokens: prompt + completion },
  })
  const answerOf = (models: unknown, executed: unknown[] = []): ProviderResponse => {
    const message = { role: 'assistant', content: 'x', executed_tools: executed }
    const usage = { prompt_tokens: 300, completion_tokens: 70, total_tokens: 370 }
    const body = { choices: [{ index: 0, message, finish_reason: 'stop' }], usage, usage_breakdown: { models } }
    const answer = groq.chat.readResponse(Buffer.from(JSON.stringify({ model: 'groq/compound', ...body })), context)
    if (answer === null || 'kind' in answer) throw new Error('this is an answer')
    return answer
  }

  test('A compound system of Groq says what each of its models took.', () => {
    const models = [part(MODEL, 100, 20), part('openai/gpt-oss-120b', 200, 50)]
    expect(answerOf(models).reading.byModel).toEqual([
      { model: MODEL, usage: { ...NO_USAGE, input: 100, output: 20 } },
      { model: 'openai/gpt-oss-120b', usage: { ...NO_USAGE, input: 200, output: 50 } },
    ])
  })

  test.each([
    ['don’t add up to the whole', [part(MODEL, 100, 20)]],
    ['miss a count', [part(MODEL, 100, 20), { model: 'b', usage: { prompt_tokens: 200 } }]],
    ['are none', []],
    ['are something else', 'all of them'],
  ])('A compound system of Groq is taken as a whole where its parts %s.', (_, models) => {
    expect(answerOf(models).reading).toMatchObject({ byModel: null, usage: { input: 300, output: 70 } })
  })

  test('A compound system of Groq tells which tools it ran, and is priced as its largest model until it tells which ran.', () => {
    const ran = [{ type: 'search' }, { type: 'search' }, { type: 'python' }, { type: 'visit' }]
    expect(answerOf([], ran).reading.usage?.toolFees).toEqual({ web_search: 2, code_execution: 1, visit: 1 })
    expect(groq.pricedAs('groq/compound', null)).toBe(MODEL)
    expect(groq.pricedAs('groq/compound', 'groq/compound')).toBe(MODEL)
    expect(groq.pricedAs('groq/compound', 'openai/gpt-oss-120b')).toBe('openai/gpt-oss-120b')
  })
})

describe('a request to Groq', () => {
  test.each([
    [{ n: 2 }, ['n']],
    [{ n: 1, logprobs: false, logit_bias: null, temperature: 0, seed: 1, user: 'u' }, []],
    [{ logprobs: true, top_logprobs: 2 }, ['top_logprobs', 'logprobs']],
    [{ logit_bias: { 7: 1 }, store: true, metadata: {} }, ['logit_bias', 'metadata', 'store']],
  ])('A request to Groq with %j names what Groq does not take: %j.', (json, params) => {
    const refused = groq.chat.refuses(json, MODEL)
    expect(refused.map(({ param }) => param)).toEqual(params)
    expect(refused.every(({ droppable }) => droppable)).toBe(true)
  })

  test('A request to Groq may use tools of Groq’s own.', () => {
    const tools = [
      { type: 'function', function: { name: 'f' } },
      { type: 'browser_search' },
      { type: 'browser_search' },
    ]
    expect(groq.chat.serverTools({ tools }, 'openai/gpt-oss-120b')).toEqual([
      { kind: 'browser_search', uses: 1, addsInput: true, billedByUse: true },
    ])
    expect(groq.chat.serverTools({}, 'groq/compound-mini')).toEqual([
      { kind: 'compound', uses: 1, addsInput: true, billedByUse: false },
    ])
    expect(groq.chat.serverTools({}, MODEL)).toEqual([])
  })
})

test('A rate limit of Groq says in its text when to come back.', () => {
  const read = (wait: string) => {
    const message = `Rate limit reached for model x on tokens per minute. Please try again in ${wait}. Need more?`
    const error = { message, type: 'tokens', code: 'rate_limit_exceeded' }
    return groq.readError(429, {}, Buffer.from(JSON.stringify({ error })))
  }
  expect(read('11.455s')).toMatchObject({ kind: 'rate_limit', retryAfterMs: 11_455 })
  expect(read('2m3.5s').retryAfterMs).toBe(123_500)
  expect(read('640ms').retryAfterMs).toBe(640)
  expect(read('1h2m').retryAfterMs).toBe(3_720_000)
  expect(read('a while').retryAfterMs).toBeNull()
})
