/** OpenRouter's row: its own bill, whoever served; finish reasons said twice; errors of its own and of those it routes to. */
import { describe, expect, test } from 'vitest'
import { openrouter } from '../../providers/openrouter.ts'
import type { ProviderError, ProviderResponse, StreamReader } from '../../providers/provider.ts'
import { NO_USAGE } from '../../providers/usage.ts'
import { parseRequest } from '../../src/endpoints/chat-completions/read-request.ts'
import { sse } from '../support/upstream-answers.ts'

const MODEL = 'openai/gpt-4o-mini'
const context = {
  request: parseRequest(Buffer.from(JSON.stringify({ model: MODEL, messages: [{ role: 'user', content: 'Hi' }] }))),
  model: MODEL,
  choices: 1,
  callId: '00000000-0000-4000-8000-000000000000',
  created: 1_700_000_000,
}
const USAGE = { prompt_tokens: 11, completion_tokens: 5, total_tokens: 16 }
const OWN = { cost: 0.0042, is_byok: false, cost_details: { upstream_inference_cost: null } }
const HEAD = { id: 'gen-1', provider: 'OpenAI', model: MODEL, object: 'chat.completion.chunk', created: 1_700_000_000 }
const chunk = (delta: object, finish: string | null = null, rest: object = {}) => ({
  ...HEAD,
  choices: [{ index: 0, delta, finish_reason: finish, native_finish_reason: finish, logprobs: null }],
  ...rest,
})
const HELLO = sse(chunk({ role: 'assistant', content: 'Hello' }))
const STOP = sse(chunk({ role: 'assistant', content: '' }, 'stop'))

function answerOf(body: object): ProviderResponse | ProviderError {
  const read = openrouter.chat.readResponse(Buffer.from(JSON.stringify(body)), context)
  if (read === null) throw new Error('this is an answer')
  return read
}

function billed(usage: object): ProviderResponse {
  const choices = [{ index: 0, message: { role: 'assistant', content: 'x' }, finish_reason: 'stop' }]
  const read = answerOf({ model: MODEL, choices, usage: { ...USAGE, ...usage } })
  if ('kind' in read) throw new Error(read.message)
  return read
}

describe('the bill of OpenRouter', () => {
  test.each<[string, object, bigint | null]>([
    ['what it takes', { cost: 0.0042 }, 4_200_000_000_000_000_000n],
    ['a double that meant 0.3', { cost: 0.1 + 0.2 }, 300_000_000_000_000_000_000n],
    ['as small as 4e-7', { cost: 4e-7 }, 400_000_000_000_000n],
    ['nothing', { cost: 0 }, 0n],
    [
      'what the account’s own key paid',
      { cost: 0, is_byok: true, cost_details: { upstream_inference_cost: 0.0002 } },
      200_000_000_000_000_000n,
    ],
    [
      'its fee, and what the account’s own key paid',
      { cost: 0.00001, is_byok: true, cost_details: { upstream_inference_cost: 0.0002 } },
      210_000_000_000_000_000n,
    ],
    [
      'its cost alone where its own key paid',
      { cost: 0.0004, is_byok: false, cost_details: { upstream_inference_cost: 0.0002 } },
      400_000_000_000_000_000n,
    ],
    ['nothing usable: text', { cost: '0.1' }, null],
    ['nothing usable: negative', { cost: -0.1 }, null],
    ['nothing at all', {}, null],
  ])('The bill of OpenRouter is %s.', (_, usage, cost) => {
    expect(billed(usage).reading.cost).toBe(cost)
  })

  test('The bill of OpenRouter is not shown: our cost stands in its place.', () => {
    const usage = { ...OWN, cost_in_usd_ticks: 5, completion_tokens_details: { reasoning_tokens: 0 } }
    expect(JSON.parse(billed(usage).body('0.0063', {}).toString()).usage).toEqual({
      ...USAGE,
      cost: 0.0063,
      completion_tokens_details: { reasoning_tokens: 0 },
    })
  })

  test('The bill of OpenRouter comes with the searches it holds.', () => {
    expect(billed({ server_tool_use_details: { web_search_requests: 2 } }).reading.usage?.toolFees).toEqual({
      web_search: 2,
    })
  })
})

describe('a stream of OpenRouter', () => {
  function read(frames: readonly string[]): { out: string; error: ProviderError | null; reader: StreamReader } {
    const reader = openrouter.chat.readStream(context)
    const part = reader.push(Buffer.from(frames.join('')))
    return { out: part.bytes?.toString() ?? '', error: part.error, reader }
  }

  test('A stream of OpenRouter loses its comments, its bill, and the role and the finish reason said again.', () => {
    const comment = ': OPENROUTER PROCESSING\n\n'
    const again = sse(chunk({ role: 'assistant', content: '' }, 'stop', { usage: { ...USAGE, ...OWN } }))
    const { out, reader } = read([comment, comment, HELLO, comment, STOP, again, 'data: [DONE]\n\n'])
    expect(out).toBe(HELLO + sse(chunk({ content: '' }, 'stop')))
    expect(reader.finishReasons).toEqual(['stop'])
    expect(reader.reading).toMatchObject({ usage: { ...NO_USAGE, input: 11, output: 5 }, cost: 42n * 10n ** 17n })
    expect(JSON.parse(reader.usageFrame('0.0063', {}).toString().slice(6))).toEqual({
      ...HEAD,
      choices: [],
      usage: { ...USAGE, cost: 0.0063 },
    })
  })

  test('A stream of OpenRouter that finishes only beside its usage finishes once, without the usage.', () => {
    const { out } = read([
      HELLO,
      sse(chunk({ content: '' }, 'stop', { usage: { ...USAGE, ...OWN } })),
      'data: [DONE]\n\n',
    ])
    expect(out).toBe(HELLO + sse(chunk({ content: '' }, 'stop')))
  })

  test('A stream of OpenRouter fails inside a chunk, whose usage still counts.', () => {
    const failed = { ...chunk({ content: '' }, 'error'), error: { code: 502, message: 'Upstream idle' } }
    const { out, error, reader } = read([HELLO, sse({ ...failed, usage: { ...USAGE, ...OWN } }), HELLO])
    expect(out).toBe(HELLO)
    expect(error).toMatchObject({ kind: 'failed', status: 502 })
    expect(reader.reading).toMatchObject({ usage: { input: 11, output: 5 }, cost: 42n * 10n ** 17n })
  })
})

describe('an error of OpenRouter', () => {
  const user = { user_id: 'user_2aBcDeFgHiJk' }
  const read = (status: number, error: object) =>
    openrouter.readError(status, {}, Buffer.from(JSON.stringify({ error: { code: status, ...error }, ...user })))

  test.each([
    [402, { message: 'This request requires more credits, or fewer max_tokens.' }, 'quota'],
    [403, { message: 'Your input was flagged', metadata: { reasons: ['violence'] } }, 'content_filter'],
    [403, { message: 'Key limit exceeded' }, 'auth'],
    [400, { message: "This endpoint's maximum context length is 8192 tokens." }, 'context_length'],
    [400, { message: 'made/up is not a valid model ID' }, 'model_not_found'],
    [408, { message: 'Timed out' }, 'timeout'],
    [429, { message: 'Provider returned error', metadata: { raw: 'is rate-limited upstream' } }, 'rate_limit'],
    [502, { message: 'Provider returned error' }, 'failed'],
    [503, { message: 'No instances available' }, 'overloaded'],
  ])('An error of OpenRouter is read: %i %j is %s.', (status, error, kind) => {
    expect(read(status, error)).toMatchObject({ kind, status })
  })

  test('An error of OpenRouter says what the provider behind it found wrong, without account ids.', () => {
    const raw = JSON.stringify({ error: { message: 'Bad schema for org-Ab12Cd34Ef56, user_2aBcDeFgHiJk' } })
    expect(read(400, { message: 'Provider returned error', metadata: { raw, provider_name: 'OpenAI' } }).message).toBe(
      'Bad schema for [account], [account]',
    )
  })

  test('An error of OpenRouter may come as a response.', () => {
    expect(answerOf({ error: { code: 502, message: 'Provider returned error' }, ...user })).toMatchObject({
      kind: 'failed',
      status: 502,
      message: 'OpenRouter failed to answer. Try again shortly.',
    })
  })
})

describe('a request to OpenRouter', () => {
  test('A request to OpenRouter may be served by any model it lists.', () => {
    expect(openrouter.chat.mayServe({ models: ['a/b', 7, 'c/d'] })).toEqual(['a/b', 'c/d'])
    expect(openrouter.chat.mayServe({ models: 'a/b' })).toEqual([])
  })

  test('A request to OpenRouter has one choice.', () => {
    expect(openrouter.chat.refuses({ n: 2 }, MODEL)).toMatchObject([{ param: 'n', droppable: true }])
    expect(openrouter.chat.refuses({ n: 1, logprobs: true, seed: 1 }, MODEL)).toEqual([])
  })

  test.each([
    [`${MODEL}:online`, {}, ['web_search']],
    ['perplexity/sonar', {}, ['web_search']],
    [MODEL, { plugins: [{ id: 'web' }, { id: 'file-parser' }] }, ['web_search', 'file_parser']],
    [MODEL, { web_search_options: {} }, ['web_search']],
    [MODEL, { tools: [{ type: 'function' }, { type: 'openrouter:datetime' }] }, ['datetime']],
    [MODEL, { plugins: [], tools: [] }, []],
  ])('A request to OpenRouter of %s with %j may use the tools %j.', (model, json, kinds) => {
    expect(openrouter.chat.serverTools(json, model)).toEqual(
      kinds.map((kind) => ({ kind, uses: 1, addsInput: true, billedByUse: false })),
    )
  })
})

describe('what a request to OpenRouter may cost unseen', () => {
  test.each([
    [{ models: ['openai/gpt-4o:online'] }, ['web_search']],
    [{ models: ['perplexity/sonar'] }, ['web_search']],
    [{ models: ['openai/gpt-4o', 7] }, []],
  ])('What a request to OpenRouter may cost unseen is searched by any model that may serve: %j.', (json, kinds) => {
    expect(openrouter.chat.serverTools(json, MODEL).map(({ kind }) => kind)).toEqual(kinds)
  })

  test.each([
    [{}, false],
    [{ reasoning: { exclude: true } }, true],
    [{ include_reasoning: false }, true],
    [{ models: ['openai/o3'] }, true],
    [{ models: ['x-ai/grok-4'] }, true],
  ])(
    'What a request to OpenRouter may cost unseen is reasoning that is left out, or of another model: %j.',
    (json, hidden) => {
      expect(openrouter.model('deepseek/deepseek-r1', json).hiddenReasoning).toBe(hidden)
    },
  )
})
