import { describe, expect, test } from 'vitest'
import { openai } from '../../providers/openai.ts'
import type { ProviderCall, ProviderResponse } from '../../providers/provider.ts'
import { NO_USAGE } from '../../providers/usage.ts'
import { parseRequest } from '../../src/endpoints/chat-completions/read-request.ts'
import { providerCall } from '../support/provider-call.ts'

const MESSAGES = '"messages": [{"role": "user", "content": "né"}]'
const body = (rest = '') => `{ "model": "gpt-4o-mini", ${MESSAGES}${rest} }`

function call(text: string, rest: Partial<ProviderCall> = {}): ProviderCall {
  return providerCall(text, { model: 'gpt-4o-mini', apiKey: 'sk-1', ...rest })
}

const context = {
  request: parseRequest(Buffer.from(body())),
  model: 'gpt-4o-mini',
  choices: 1,
  callId: '00000000-0000-4000-8000-000000000000',
  created: 1_700_000_000,
}

function answerOf(text: string): ProviderResponse | null {
  const read = openai.chat.readResponse(Buffer.from(text), context)
  if (read !== null && 'kind' in read) throw new Error(read.message)
  return read
}

const sent = (text: string, rest: Partial<ProviderCall> = {}): string =>
  openai.chat.prepare(call(text, rest)).body.toString()

describe('a request to OpenAI', () => {
  test('A request to OpenAI goes where the public API is, with our key.', () => {
    const { origin, path, headers } = openai.chat.prepare(call(body(), { organization: 'org-1' }))
    expect(origin).toBe('https://api.openai.com')
    expect(path).toBe('/v1/chat/completions')
    expect(headers).toEqual({
      'content-type': 'application/json',
      accept: 'application/json',
      'accept-encoding': 'identity',
      'user-agent': 'tollgate',
      authorization: 'Bearer sk-1',
      'openai-organization': 'org-1',
    })
  })

  test.each([
    ['http://127.0.0.1:8000', 'http://127.0.0.1:8000', '/chat/completions'],
    ['http://127.0.0.1:8000/v1/', 'http://127.0.0.1:8000', '/v1/chat/completions'],
    ['https://x.example/openai/v1?api-version=1', 'https://x.example', '/openai/v1/chat/completions?api-version=1'],
  ])('A request to OpenAI goes to %s where the operator says so.', (apiBase, origin, path) => {
    expect(openai.chat.prepare(call(body(), { apiBase }))).toMatchObject({ origin, path })
  })

  test("A request to OpenAI has no Authorization without a key, and the operator's headers.", () => {
    const { headers } = openai.chat.prepare(
      call(body(), { apiKey: null, extraHeaders: { 'X-Team': 'a', 'User-Agent': 'b' } }),
    )
    expect(headers).toMatchObject({ 'x-team': 'a', 'user-agent': 'b' })
    expect(headers).not.toHaveProperty('authorization')
    expect(headers).not.toHaveProperty('User-Agent')
  })

  test("Our key wins over a header of the operator's.", () => {
    expect(
      openai.chat.prepare(call(body(), { extraHeaders: { Authorization: 'Bearer x' } })).headers.authorization,
    ).toBe('Bearer sk-1')
  })

  test.each([
    ['', 'application/json'],
    [', "stream": true, "stream_options": {"include_usage":true}', 'text/event-stream'],
  ])("A request to OpenAI is the caller's own buffer when nothing must change %#.", (rest, accept) => {
    const prepared = call(body(`${rest}, "seed": 9007199254740993, "temperature": 1.0, "x": "\\u00e9"`))
    const { body: bytes, headers } = openai.chat.prepare(prepared)
    expect(bytes).toBe(prepared.request.text)
    expect(headers.accept).toBe(accept)
  })

  test("A request to OpenAI has the provider's name of the model, and every other byte as it was.", () => {
    const rest = ',\n  "seed": 9007199254740993, "temperature": 1.0'
    expect(sent(body(rest), { model: 'gpt-4o' })).toBe(body(rest).replace('gpt-4o-mini', 'gpt-4o'))
  })

  test('A request to OpenAI is without what is ours.', () => {
    expect(sent(body(', "power_level": "eco", "task_type": "x", "privacy_required": true, "user": "u"'))).toBe(
      body(', "user": "u"'),
    )
  })

  test.each([
    ['', ',"stream_options":{"include_usage":true}'],
    [', "stream_options": null', ', "stream_options": {"include_usage":true}'],
    [', "stream_options": {}', ', "stream_options": {"include_usage":true}'],
    [
      ', "stream_options": {"include_obfuscation": false, "include_usage": false, "x": 1.0}',
      ', "stream_options": {"include_usage":true}',
    ],
    [', "stream_options": {"include_obfuscation": false}', ', "stream_options": {"include_usage":true}'],
  ])('A request to OpenAI asks for usage in every stream, in our words only: %s.', (own, asked) => {
    expect(sent(body(`, "stream": true${own}`))).toBe(body(`, "stream": true${asked}`))
  })

  test('A request to OpenAI does not ask for it outside of streams.', () => {
    expect(sent(body(', "stream": false'))).toBe(body(', "stream": false'))
    expect(sent(body(', "stream_options": {"include_usage": true}'))).toBe(body())
  })

  test("A request to OpenAI has the operator's defaults where the caller says nothing.", () => {
    const defaults = { temperature: 0.5, top_p: 0.9, stop: ['x'] }
    expect(JSON.parse(sent(body(', "temperature": 1.0, "top_p": null'), { defaults }))).toEqual({
      ...JSON.parse(body()),
      temperature: 1,
      top_p: null,
      stop: ['x'],
    })
  })

  test.each<[string, string, Partial<ProviderCall>, Record<string, number>]>([
    ['where the caller put it', ', "max_tokens": 900', {}, { max_tokens: 100 }],
    ['where the caller put it', ', "max_completion_tokens": 900', {}, { max_completion_tokens: 100 }],
    [
      'in both places',
      ', "max_tokens": 900, "max_completion_tokens": 800',
      {},
      { max_tokens: 100, max_completion_tokens: 100 },
    ],
    ['where the operator put it', '', { defaults: { max_tokens: 500 } }, { max_tokens: 100 }],
    ['in the newer member', '', {}, { max_completion_tokens: 100 }],
    ...['http://127.0.0.1/v1', 'https://openai.com.example.org/v1', 'https://notopenai.com/v1'].map(
      (apiBase): [string, string, Partial<ProviderCall>, Record<string, number>] => [
        `in both members for the server at ${apiBase}`,
        ', "max_completion_tokens": 900',
        { apiBase },
        { max_tokens: 100, max_completion_tokens: 100 },
      ],
    ),
    // OpenAI refuses both at once, and Azure with it.
    ...['https://eu.api.openai.com/v1', 'https://acme.openai.azure.com/openai/v1'].map(
      (apiBase): [string, string, Partial<ProviderCall>, Record<string, number>] => [
        `in one member at ${apiBase}`,
        '',
        { apiBase },
        { max_completion_tokens: 100 },
      ],
    ),
    [
      'in the newer member for models that reason',
      '',
      { apiBase: 'http://127.0.0.1/v1', model: 'o4-mini' },
      { max_completion_tokens: 100 },
    ],
    ['over null', ', "max_tokens": null', {}, { max_completion_tokens: 100 }],
  ])('A request to OpenAI has our cap %s%s.', (_, rest, options, caps) => {
    const { max_tokens, max_completion_tokens } = JSON.parse(sent(body(rest), { outputCap: 100, ...options }))
    const found = Object.entries({ max_tokens, max_completion_tokens }).filter(([, value]) => typeof value === 'number')
    expect(Object.fromEntries(found)).toEqual(caps)
  })

  test("A request to OpenAI has one cap when the caller's stands in another member than the operator's.", () => {
    expect(sent(body(', "max_completion_tokens": 50'), { defaults: { max_tokens: 500 } })).toBe(
      body(', "max_completion_tokens": 50'),
    )
  })

  test('A request to OpenAI tells which priced tools it uses.', () => {
    const uses = (rest: string, model: string) =>
      openai.chat.serverTools(parseRequest(Buffer.from(body(rest))).json, model)
    const typed = (kind: string) => ({ kind, uses: 1, addsInput: true, billedByUse: false })
    const tools = ',"tools":[{"type":"function","function":{"name":"f"}},{"type":"custom"},{"type":"web_search"}]'
    expect(uses(tools, 'gpt-4o')).toEqual([typed('web_search')])
    const search = [{ kind: 'web_search', uses: 1, addsInput: false, billedByUse: true }]
    expect(uses('', 'gpt-4o-mini')).toEqual([])
    expect(uses('', 'gpt-4o-mini-search-preview')).toEqual(search)
    expect(uses(', "web_search_options": {}', 'gpt-4o')).toEqual(search)
    expect(uses(', "web_search_options": null', 'gpt-4o')).toEqual([])
  })
})

describe('an answer of OpenAI', () => {
  const USAGE = '"usage": {"prompt_tokens": 10, "completion_tokens": 4, "total_tokens": 14, "x": 1.0}'
  const CHOICES =
    '"choices": [{"index": 0, "message": {"role": "assistant", "content": "né"}, "finish_reason": "stop"}]'

  test('A response of OpenAI is read, and leaves with our cost and nothing else changed.', () => {
    const text = `{\n  "id": "a", "model": "gpt-4o-mini-2024-07-18", "service_tier": "default",\n  ${CHOICES},\n  ${USAGE}\n}\n`
    const answer = answerOf(text)
    expect(answer?.reading).toEqual({
      usage: { ...NO_USAGE, input: 10, output: 4 },
      consistent: true,
      model: 'gpt-4o-mini-2024-07-18',
      serviceTier: 'default',
      cost: null,
      byModel: null,
    })
    expect(answer?.finishReasons).toEqual(['stop'])
    // Stated usage covers all of it.
    expect(answer?.outputText()).toBe('')
    expect(answer?.body('0.000123', { prompt_tokens: 1 }).toString()).toBe(
      text.replace('"x": 1.0}', '"x": 1.0,"cost":0.000123}').replace('gpt-4o-mini-2024-07-18', 'gpt-4o-mini'),
    )
  })

  test("A response of OpenAI loses the provider's own cost.", () => {
    const text = `{${CHOICES},"usage":{"prompt_tokens":1,"completion_tokens":1,"total_tokens":2,"cost":0.7,"x":1}}`
    expect(answerOf(text)?.body('0.000001', {}).toString()).toBe(text.replace('0.7', '0.000001'))
  })

  test.each([
    ['none', ''],
    ['null', ',"usage":null'],
    ['unusable', ',"usage":{"prompt_tokens":-4}'],
  ])('A response of OpenAI without usage leaves with ours: %s.', (_, usage) => {
    const answer = answerOf(`{${CHOICES}${usage}}`)
    expect(answer?.reading).toMatchObject({ usage: null, model: null })
    expect(JSON.parse(answer?.body('0.5', { prompt_tokens: 3, completion_tokens: 1 }).toString() ?? '').usage).toEqual({
      prompt_tokens: 3,
      completion_tokens: 1,
      cost: 0.5,
    })
  })

  test.each([
    { where: 'thoughts under a name nobody knows', message: { thinking: 'ab', content: 'c' }, text: 'cab' },
    { where: 'a member nobody knows', message: { analysis: 'ab', content: 'c' }, text: 'abc' },
    {
      where: 'parts',
      message: {
        content: [
          { type: 'text', text: 'ab' },
          { type: 'text', text: 'c' },
        ],
      },
      text: 'abc',
    },
    { where: 'what is spoken', message: { audio: { id: 'i', data: 'AAAA', transcript: 'abc' } }, text: 'abc' },
    { where: 'details', message: { reasoning_details: [{ type: 'reasoning.text', text: 'abc' }] }, text: 'abc' },
    {
      where: 'details that repeat it',
      message: { reasoning: 'abc', reasoning_details: [{ text: 'abc' }] },
      text: 'abc',
    },
    { where: 'two members that repeat it', message: { reasoning: 'abc', reasoning_content: 'abc' }, text: 'abc' },
    {
      where: 'nothing: a signature',
      message: { reasoning_signature: 'abc', name: 'abc', tool_call_id: 'abc' },
      text: '',
    },
  ])('A response of OpenAI counts $where', ({ message, text }) => {
    expect(answerOf(JSON.stringify({ choices: [{ message }] }))?.outputText()).toBe(text)
  })

  test('A response of OpenAI shows all it said, over all choices.', () => {
    const message = {
      content: null,
      refusal: 'no',
      tool_calls: [{ function: { name: 'add', arguments: '{"a":1}' } }, { function: { name: 'b', arguments: '' } }],
    }
    const choices = [
      { message, finish_reason: 'tool_calls' },
      { message: { content: 'x', reasoning_content: 'y' }, finish_reason: 'length' },
    ]
    const answer = answerOf(JSON.stringify({ choices }))
    expect(answer?.outputText()).toBe('noadd{"a":1}bxy')
    expect(answer?.finishReasons).toEqual(['tool_calls', 'length'])
  })

  test.each(['', 'upstream connect error', '[]', 'null', '{}', '{"choices":{}}', '{"choices":['])(
    'A body is no response of OpenAI: %j.',
    (text) => {
      expect(answerOf(text)).toBeNull()
    },
  )
})

describe('an error of OpenAI', () => {
  const read = (status: number, error: unknown, headers: Record<string, string> = {}) =>
    openai.readError(status, headers, Buffer.from(typeof error === 'string' ? error : JSON.stringify({ error })))

  test.each<[number, unknown, string]>([
    [
      400,
      { message: 'm', type: 'invalid_request_error', code: 'unsupported_value', param: 'temperature' },
      'bad_request',
    ],
    [400, 'not json', 'bad_request'],
    [400, { message: 'm', code: 'billing_hard_limit_reached' }, 'quota'],
    [401, { message: 'm', code: 'invalid_api_key' }, 'auth'],
    [400, { message: 'm', code: 'invalid_api_key' }, 'auth'],
    [402, { message: 'm' }, 'quota'],
    [403, { message: 'm' }, 'auth'],
    [404, { message: 'm', code: 'model_not_found' }, 'model_not_found'],
    [404, 'Not Found', 'model_not_found'],
    [408, '', 'timeout'],
    [413, '', 'too_large'],
    [422, { message: 'm' }, 'bad_request'],
    [429, { message: 'm', type: 'tokens', code: 'rate_limit_exceeded' }, 'rate_limit'],
    [429, { message: 'm', type: 'insufficient_quota', code: 'insufficient_quota' }, 'quota'],
    [429, { message: 'm', type: 'insufficient_quota', code: null }, 'quota'],
    [429, { message: 'm', code: 'billing_not_active' }, 'quota'],
    [429, '', 'rate_limit'],
    [500, { message: 'm', type: 'server_error' }, 'failed'],
    [502, '<html>', 'failed'],
    [503, 'upstream connect error', 'overloaded'],
    [504, '', 'timeout'],
    [529, '', 'overloaded'],
    [302, '', 'failed'],
  ])('An error of OpenAI is read: %i %j is %s.', (status, error, kind) => {
    expect(read(status, error)).toMatchObject({ kind, status })
  })

  test('An error of OpenAI keeps what helps the caller mend a request.', () => {
    const error = {
      message: 'Unsupported value',
      type: 'invalid_request_error',
      code: 'unsupported_value',
      param: 'temperature',
    }
    expect(read(400, error)).toMatchObject(error)
  })

  test.each([401, 403, 429, 500, 503])(
    "An error of OpenAI keeps the provider's own words of a %i to the operator.",
    (status) => {
      const { message, internal } = read(status, { message: 'secret words' })
      expect(message).not.toContain('secret words')
      expect(internal).not.toBe('')
    },
  )

  test.each([
    ['key sk-proj-abcDEF123456 is wrong', 'key [key] is wrong'],
    ['key sk-abc1********wxyz.', 'key [key]'],
    ['in organization org-Ab12Cd34Ef56 on tokens', 'in organization [account] on tokens'],
    ['project proj_Ab12Cd34Ef56', 'project [account]'],
    [
      "Missing parameter: 'web_search_options.user_location.type'",
      "Missing parameter: 'web_search_options.user_location.type'",
    ],
    ["Unknown parameter: 'key_points'", "Unknown parameter: 'key_points'"],
  ])('An error of OpenAI is freed of keys and account ids: %s.', (message, shown) => {
    expect(read(400, { message }).message).toBe(shown)
  })

  test('An error of OpenAI holds nothing of the prompt in what the operator logs.', () => {
    const error = {
      message: 'can not parse: my secret diary',
      type: 'invalid_request_error',
      code: 'bad',
      param: 'messages',
    }
    expect(read(400, error).internal).toBe('invalid_request_error bad messages')
  })

  test('An error of OpenAI holds no key in what the operator logs either.', () => {
    expect(read(401, { message: 'Incorrect API key provided: sk-abcd1234efgh5678' }).internal).not.toContain('abcd1234')
  })

  test.each<[Record<string, string>, number | null]>([
    [{}, null],
    [{ 'retry-after': '3' }, 3000],
    [{ 'retry-after-ms': '250', 'retry-after': '3' }, 250],
    [{ 'retry-after': 'Wed, 21 Oct 2026 07:28:00 GMT' }, null],
    [{ 'retry-after': '-1' }, null],
  ])('An error of OpenAI says when to try again: %j.', (headers, ms) => {
    expect(read(429, { message: 'm' }, headers).retryAfterMs).toBe(ms)
  })
})
