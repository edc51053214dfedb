/** HuggingFace's row: whoever serves answers in its own accent; the price is known only where the request names them. */
import { describe, expect, test } from 'vitest'
import { huggingface } from '../../providers/huggingface.ts'
import type { StreamReader } from '../../providers/provider.ts'
import { NO_USAGE } from '../../providers/usage.ts'
import { parseRequest } from '../../src/endpoints/chat-completions/read-request.ts'
import { sse } from '../support/upstream-answers.ts'

const MODEL = 'meta-llama/Llama-3.3-70B-Instruct:groq'
const context = {
  request: parseRequest(Buffer.from(JSON.stringify({ model: MODEL, messages: [{ role: 'user', content: 'Hi' }] }))),
  model: MODEL,
  choices: 1,
  callId: '00000000-0000-4000-8000-000000000000',
  created: 1_700_000_000,
}
const HEAD = { object: 'chat.completion.chunk', id: '', created: 1_700_000_000, model: 'zai-glm-4.6' }
const chunk = (delta: object, finish: string | null = null, rest: object = {}) => ({
  ...HEAD,
  choices: [{ index: 0, delta, finish_reason: finish }],
  ...rest,
})
const HELLO = chunk({ content: 'Hello' })
const USAGE = { prompt_tokens: 11, completion_tokens: 5, total_tokens: 16 }

/** As callers see it: under the name they asked for. */
const named = (frame: object) => ({ ...frame, model: MODEL })

function read(frames: readonly string[]): { out: string; done: boolean; reader: StreamReader } {
  const reader = huggingface.chat.readStream(context)
  const parts = [reader.push(Buffer.from(frames.join(''))), reader.end()]
  return {
    out: parts.map(({ bytes }) => bytes?.toString() ?? '').join(''),
    done: parts.some(({ done }) => done),
    reader,
  }
}

describe('the price of a call', () => {
  test.each([
    ['org/model', 'org/model:groq'],
    ['org/model:fastest', 'org/model:groq'],
    ['org/model:cheapest', 'org/model:groq'],
    ['org/model:auto', 'org/model:groq'],
  ])('The price of a call can’t be known of %s: another name is proposed.', (model, proposed) => {
    expect(huggingface.unpriced(model)).toBe(
      `HuggingFace chooses who serves '${model}', so its price can't be known. Add a provider: '${proposed}', for one.`,
    )
  })

  test('The price of a call is that of the name that was asked for, whatever served.', () => {
    expect(huggingface.unpriced(MODEL)).toBeNull()
    expect(huggingface.pricedAs(MODEL, 'zai-glm-4.6')).toBe(MODEL)
    expect(huggingface.pricedAs(MODEL, null)).toBe(MODEL)
  })
})

describe('a stream of HuggingFace', () => {
  test('A stream of HuggingFace without spaces, [DONE] and OpenAI’s words leaves as OpenAI would write it.', () => {
    const bare = (data: object) => `data:${JSON.stringify(data)}\n\n`
    const { out, done, reader } = read([bare(HELLO), bare(chunk({ content: '.' }, 'eos_token'))])
    expect(out).toBe(sse(named(HELLO)) + sse(named(chunk({ content: '.' }, 'stop'))))
    expect(done).toBe(false)
    expect(reader.finishReasons).toEqual(['stop'])
    expect(reader.reading).toMatchObject({ usage: null, model: 'zai-glm-4.6' })
    expect(reader.outputText()).toBe('Hello.')
  })

  test('A stream of HuggingFace states usage on the finish frame, or in every one: the last counts.', () => {
    const grown = { prompt_tokens: 11, completion_tokens: 1, total_tokens: 12 }
    const { out, reader } = read([
      sse({ ...HELLO, usage: grown }),
      sse(chunk({}, 'stop', { usage: USAGE, time_info: { queue_time: 0.1 } })),
    ])
    expect(out).toBe(sse(named(HELLO)) + sse(named(chunk({}, 'stop', { time_info: { queue_time: 0.1 } }))))
    expect(reader.reading.usage).toEqual({ ...NO_USAGE, input: 11, output: 5 })
  })

  test('A stream of HuggingFace may state cached tokens on top of its usage, where OpenAI’s clients don’t look.', () => {
    const { reader } = read([sse({ ...HEAD, choices: [], usage: { ...USAGE, cached_tokens: 4 } })])
    expect(reader.reading.usage).toEqual({ ...NO_USAGE, input: 7, cacheRead: 4, output: 5 })
    const { usage } = JSON.parse(reader.usageFrame('0.1', {}).toString().slice(6))
    expect(usage).toEqual({ ...USAGE, cached_tokens: 4, cost: 0.1, prompt_tokens_details: { cached_tokens: 4 } })
  })
})

test.each([
  ['eos_token', 'stop'],
  ['stop_sequence', 'stop'],
  ['max_tokens', 'length'],
  ['model_length', 'length'],
  ['tool_use', 'tool_calls'],
  ['STOP', 'stop'],
  ['something new', 'stop'],
])('A finish reason of %s is shown as %s.', (reason, shown) => {
  const choices = [{ index: 0, message: { role: 'assistant', content: 'x' }, finish_reason: reason }]
  const answer = huggingface.chat.readResponse(Buffer.from(JSON.stringify({ choices, usage: USAGE })), context)
  if (answer === null || 'kind' in answer) throw new Error('this is an answer')
  expect(answer.finishReasons).toEqual([shown])
  expect(JSON.parse(answer.body('1', {}).toString())).toMatchObject({ choices: [{ finish_reason: shown }] })
})

describe('an error of HuggingFace', () => {
  const read = (status: number, body: unknown, type = 'application/json') =>
    huggingface.readError(
      status,
      { 'content-type': type },
      Buffer.from(typeof body === 'string' ? body : JSON.stringify(body)),
    )

  test('An error of HuggingFace may be plain text, which is what is said.', () => {
    const text = 'Failed to deserialize the JSON body: missing field `messages` at line 1'
    expect(read(422, text, 'text/plain; charset=utf-8')).toMatchObject({ kind: 'bad_request', message: text })
    expect(read(422, '<html>nothing</html>', 'text/html').message).toBe(
      'HuggingFace refused this request as malformed.',
    )
  })

  test.each([
    [401, { error: 'Invalid credentials in Authorization header' }, 'auth'],
    [402, { error: 'You have exceeded your monthly included credits.' }, 'quota'],
    [400, { error: { message: 'Not supported.', code: 'model_not_supported', param: 'model' } }, 'model_not_found'],
    [422, { error: 'Template error: no template', error_type: 'template_error' }, 'bad_request'],
    [400, { detail: 'Input too short' }, 'bad_request'],
    [400, { code: 400, reason: 'INVALID_REQUEST_BODY', message: 'bad body' }, 'bad_request'],
    [504, '', 'timeout'],
  ])('An error of HuggingFace is read: %i %j is %s.', (status, body, kind) => {
    expect(read(status, body).kind).toBe(kind)
  })

  test('An error of HuggingFace has its words wherever they stand.', () => {
    expect(read(422, { error: 'Template error: no template', error_type: 'template_error' })).toMatchObject({
      message: 'Template error: no template',
      type: 'template_error',
    })
    expect(read(400, { detail: 'Input too short' }).message).toBe('Input too short')
    expect(read(400, { code: 400, reason: 'INVALID_REQUEST_BODY', message: 'bad body' })).toMatchObject({
      message: 'bad body',
      code: 'INVALID_REQUEST_BODY',
    })
  })
})
