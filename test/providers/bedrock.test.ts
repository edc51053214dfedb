/** Claude on Amazon Bedrock, by an upstream that verifies each signature by AWS's published steps and sends its binary event stream. */
import { beforeEach, describe, expect, test, vi } from 'vitest'
import { chunkMessage, eventMessage, exceptionMessage, wrongSignature } from '../support/aws.ts'
import { rowsOf } from '../support/call-books.ts'
import { useProduct } from '../support/product.ts'
import type { Json } from '../support/response-answers.ts'
import { everyByte, whole } from '../support/splits.ts'
import { MASTER_KEY, postChat } from '../support/tollgate.ts'
import { jsonAnswer } from '../support/upstream-answers.ts'

const SECRET = 'wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY'
const SONNET = 'us.anthropic.claude-sonnet-4-5-20250929-v1:0'
const KEYS = { aws_access_key_id: 'AKIDEXAMPLE12345678', aws_secret_access_key: SECRET }

const product = useProduct((url) => {
  const host = new URL(url).origin
  const on = (name: string, params: Json) => ({
    model_name: name,
    litellm_params: { aws_region_name: 'eu-west-3', aws_bedrock_runtime_endpoint: host, ...params },
  })
  return {
    models: [
      on('claude', { model: `bedrock/${SONNET}`, ...KEYS }),
      on('session', { model: `bedrock/converse/${SONNET}`, ...KEYS, aws_session_token: 'IQoJb3JpZ2luX2VjEXAMPLE//' }),
      on('token', { model: `bedrock/invoke/${SONNET}`, api_key: 'ABSKQmVkcm9ja0FQSUtleS1leGFtcGxl' }),
      on('bedrock/*', { model: 'bedrock/*', ...KEYS }),
      on('bare', { model: `bedrock/${SONNET}` }),
      on('nova', { model: 'bedrock/converse/us.amazon.nova-pro-v1:0', ...KEYS }),
    ],
    router_settings: { num_retries: 0, disable_cooldowns: true },
  }
})

const USAGE = { input_tokens: 40, cache_read_input_tokens: 100, cache_creation_input_tokens: 0, output_tokens: 10 }
/** 40 tokens at $3.30 a million, 100 read from a cache at $0.33, 10 at $16.50: what a regional profile costs. */
const COST = '0.00033'
const begun = { id: 'msg_bdrk_1', type: 'message', role: 'assistant', model: 'claude-sonnet-4-5-20250929' }
const MESSAGE = { ...begun, content: [{ type: 'text', text: 'Hello there' }], stop_reason: 'end_turn', usage: USAGE }
const WORDS = ['Hello', ' there', ' this', ' is', ' a', ' tëst']
const METRICS = { inputTokenCount: 99_999, outputTokenCount: 99_999, invocationLatency: 900, firstByteLatency: 300 }
const EVENTS: Json[] = [
  { type: 'message_start', message: { ...begun, content: [], usage: { ...USAGE, output_tokens: 1 } } },
  { type: 'content_block_start', index: 0, content_block: { type: 'text', text: '' } },
  ...WORDS.map((text) => ({ type: 'content_block_delta', index: 0, delta: { type: 'text_delta', text } })),
  { type: 'content_block_stop', index: 0 },
  { type: 'message_delta', delta: { stop_reason: 'end_turn', stop_sequence: null }, usage: { output_tokens: 10 } },
  { type: 'message_stop', 'amazon-bedrock-invocationMetrics': METRICS },
]
const CHUNKS = EVENTS.map(chunkMessage)
const HEAD = { 'content-type': 'application/vnd.amazon.eventstream' }
const stream = (frames: readonly Buffer[], more: Json = {}) => ({ headers: HEAD, frames, ...more })

const hello = { messages: [{ role: 'user', content: 'Hello' }], max_tokens: 300 }
const call = (body: Json, path = '/v1/chat/completions') =>
  postChat(product.tollgate, MASTER_KEY, { model: 'claude', ...hello, ...body }, { path })
const last = () => product.upstream.requests.at(-1)!

beforeEach(() => product.upstream.respond(jsonAnswer(MESSAGE)))

describe('what is sent', () => {
  test('A chat completion is a signed InvokeModel in Anthropic’s dialect, without model and stream.', async () => {
    const response = await call({ temperature: 0.5, service_tier: 'auto' })
    expect(response.status).toBe(200)
    const sent = last()
    expect([wrongSignature(sent, SECRET), wrongSignature(sent, 'another')]).toEqual([null, 'another signature'])
    expect(sent.headers.authorization).toContain('/eu-west-3/bedrock/aws4_request')
    expect(sent.path).toBe(`/model/${encodeURIComponent(SONNET)}/invoke`)
    expect(sent.json).toEqual({
      anthropic_version: 'bedrock-2023-05-31',
      max_tokens: 300,
      messages: [{ role: 'user', content: [{ type: 'text', text: 'Hello' }] }],
      temperature: 0.5,
    })
    expect(response.headers.get('x-litellm-response-cost')).toBe(COST)
  })

  test('The token of a session is signed along, and LiteLLM’s converse/ is asked in the same way.', async () => {
    expect((await call({ model: 'session' })).status).toBe(200)
    expect(last().headers['x-amz-security-token']).toBe('IQoJb3JpZ2luX2VjEXAMPLE//')
    expect([wrongSignature(last(), SECRET), last().path]).toEqual([null, `/model/${encodeURIComponent(SONNET)}/invoke`])
  })

  test('A key of Bedrock’s own is sent as a bearer token.', async () => {
    expect((await call({ model: 'token' })).status).toBe(200)
    expect(last().headers.authorization).toBe('Bearer ABSKQmVkcm9ja0FQSUtleS1leGFtcGxl')
  })

  test('Without a credential nothing is sent, and what to set is said.', async () => {
    const before = product.upstream.requests.length
    const response = await call({ model: 'bare' })
    const set = 'set AWS_BEARER_TOKEN_BEDROCK or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY and restart'
    expect([response.status, product.upstream.requests.length]).toEqual([503, before])
    expect(response.json()).toMatchObject({
      error: {
        code: 'provider_key_missing',
        message: `No API key for Amazon Bedrock is configured. The operator can ${set}`,
      },
    })
  })

  test('Images are signed as they are sent, whole.', async () => {
    const url = `data:image/png;base64,${Buffer.alloc(3_000_000, 7).toString('base64')}`
    const content = [{ type: 'image_url', image_url: { url } }]
    await call({ messages: [{ role: 'user', content }] })
    expect(last().body.length).toBeGreaterThan(4_000_000)
    expect(wrongSignature(last(), SECRET)).toBeNull()
  })

  test('A message passes as it is, but for who names model, stream, version and features.', async () => {
    const metadata = { user_id: 'u' }
    const response = await postChat(
      product.tollgate,
      MASTER_KEY,
      { model: 'claude', ...hello, metadata, service_tier: 'auto', stream: false },
      { path: '/v1/messages', headers: { 'anthropic-beta': 'context-1m-2025-08-07, x' } },
    )
    expect(response.status).toBe(200)
    expect(wrongSignature(last(), SECRET)).toBeNull()
    expect(last().body.toString()).toBe(
      '{"messages":[{"role":"user","content":"Hello"}],"max_tokens":300,"metadata":{"user_id":"u"},"anthropic_version":"bedrock-2023-05-31","anthropic_beta":["context-1m-2025-08-07","x"]}',
    )
    expect(response.json()).toMatchObject({ model: 'claude', usage: { ...USAGE, cost: 0.00033 } })
  })

  test('The name that a caller sends leads to no other path, and a wildcard serves only models that converse.', async () => {
    const model = 'bedrock/us.anthropic.claude-sonnet-4-5-20250929-v1:0/../../x?y#'
    await call({ model })
    expect(last().path.split('/')).toHaveLength(4)
    const before = product.upstream.requests.length
    const refused = await call({ model: 'bedrock/amazon.nova-canvas-v1:0' })
    expect([refused.status, product.upstream.requests.length]).toEqual([400, before])
    expect(refused.json()).toMatchObject({ error: { param: 'model' } })
  })
})

describe('a stream', () => {
  const ROUTES: readonly (readonly [string, Json, RegExp])[] = [
    ['/v1/chat/completions', { stream: true, stream_options: { include_usage: true } }, /"content":" tëst"/],
    ['/v1/messages', { stream: true }, /"text":" tëst"/],
    ['/v1/responses', { stream: true, input: 'Hello', messages: undefined, max_tokens: undefined }, /"delta":" tëst"/],
  ]

  test.each(ROUTES)(
    '%s: the events are read however they are cut, and charged as stated.',
    async (path, body, word) => {
      for (const split of [whole, everyByte]) {
        product.upstream.respond(stream(CHUNKS, { split }))
        const response = await call(body, path)
        expect(last().path).toBe(`/model/${encodeURIComponent(SONNET)}/invoke-with-response-stream`)
        expect([wrongSignature(last(), SECRET), response.status]).toEqual([null, 200])
        expect(response.body).toMatch(word)
        expect(response.body).toContain(COST)
        expect(response.body).not.toContain('99999')
        expect(response.body).not.toContain('amazon-bedrock')
      }
    },
  )

  test('A stream that is cut after any message is charged for what came, once.', async () => {
    const { id, keys } = await product.db.seedOrganization({ credits: 10_000, users: { alice: 10_000 } })
    const charged: number[] = []
    for (let passed = 0; passed <= CHUNKS.length; passed += 1) {
      const cutAfter = Buffer.concat(CHUNKS.slice(0, passed)).length
      product.upstream.respond(stream(CHUNKS, passed < CHUNKS.length ? { cutAfter } : {}))
      await postChat(product.tollgate, keys.alice as string, { model: 'claude', ...hello, stream: true })
      const row = await vi.waitFor(async () => {
        const rows = await rowsOf(product.db.pool, id)
        expect(rows).toHaveLength(passed + 1)
        return rows.at(-1)!
      })
      charged.push(Number(row.credits_used))
      if (passed === CHUNKS.length) expect([row.outcome, row.provenance]).toEqual(['answered', 'provider_usage'])
    }
    // 0.33 credits, and half of it on top.
    expect(charged.at(-1)).toBe(0.495)
    for (const [passed, charge] of charged.entries()) {
      if (passed < 3) expect(charge).toBe(0)
      else expect(charge).toBeGreaterThan(0)
      expect(charge).toBeLessThanOrEqual(0.495)
      expect(charge).toBeGreaterThanOrEqual(charged[passed - 1] ?? 0)
    }
  })

  test('An exception before any content keeps its status; one behind content ends the stream.', async () => {
    product.upstream.respond(stream([CHUNKS[0]!, exceptionMessage('throttlingException', 'Too many requests')]))
    const early = await call({ stream: true })
    expect([early.status, early.json()]).toMatchObject([429, { error: { code: 'provider_rate_limited' } }])
    product.upstream.respond(
      stream([...CHUNKS.slice(0, 5), exceptionMessage('modelStreamErrorException', 'of arn:aws:bedrock:x')]),
    )
    const late = await call({ stream: true })
    expect(late.status).toBe(200)
    expect(late.body).toContain('"provider_failed"')
    expect(late.body).not.toContain('arn:aws')
  })

  test('An exception behind the end of a response changes nothing about it.', async () => {
    product.upstream.respond(stream([...CHUNKS.slice(0, -1), exceptionMessage('internalServerException', 'x')]))
    const response = await call({ stream: true })
    expect(response.body).toContain('"finish_reason":"stop"')
    expect(response.body).not.toContain('error')
  })

  test('Bytes whose sums are wrong, or that are no such stream, are no response.', async () => {
    const broken = Buffer.from(CHUNKS[2]!)
    broken[broken.length - 6]! ^= 1
    for (const frames of [
      [CHUNKS[0]!, broken],
      [Buffer.alloc(64)],
      [eventMessage({ ':message-type': 'event' }, '{}')],
    ]) {
      product.upstream.respond(stream(frames))
      expect([(await call({ stream: true })).status, frames.length > 0]).toEqual([503, true])
    }
  })
})

describe('converse', () => {
  const PATH = `/model/${encodeURIComponent('us.amazon.nova-pro-v1:0')}`
  const STATED = {
    inputTokens: 40,
    outputTokens: 10,
    totalTokens: 150,
    cacheReadInputTokens: 100,
    cacheWriteInputTokens: 0,
  }
  /** 40 tokens at $0.80 a million, 100 read from a cache at $0.20, 10 at $3.20. */
  const PRICE = '0.000084'
  const tool = { type: 'function', function: { name: 'look_up', parameters: { type: 'object', properties: {} } } }
  const said = (content: Json[], stopReason = 'end_turn') =>
    jsonAnswer({
      output: { message: { role: 'assistant', content } },
      stopReason,
      usage: STATED,
      metrics: { latencyMs: 9 },
    })
  const named = (name: string, body: Json) =>
    eventMessage({ ':event-type': name, ':message-type': 'event' }, JSON.stringify({ ...body, p: 'abc' }))
  const ANSWER = [
    named('messageStart', { role: 'assistant' }),
    ...WORDS.map((text) => named('contentBlockDelta', { contentBlockIndex: 0, delta: { text } })),
    named('contentBlockStop', { contentBlockIndex: 0 }),
    named('messageStop', { stopReason: 'end_turn' }),
    named('metadata', { usage: STATED, metrics: { latencyMs: 9 } }),
  ]

  test('A chat completion of another maker’s model is a signed Converse, charged with what its cache held.', async () => {
    product.upstream.respond(said([{ text: 'Hello' }]))
    const messages = [
      { role: 'system', content: 'Be brief.' },
      { role: 'user', content: 'Look it up.' },
      {
        role: 'assistant',
        content: null,
        tool_calls: [{ id: 'c 1', type: 'function', function: { name: 'look_up', arguments: '' } }],
      },
      { role: 'tool', tool_call_id: 'c 1', content: '42' },
      { role: 'user', content: [{ type: 'text', text: 'And?' }] },
    ]
    const response = await call({
      model: 'nova',
      messages,
      tools: [tool],
      tool_choice: 'required',
      stop: 'x',
      temperature: 2,
    })
    expect([response.status, wrongSignature(last(), SECRET), last().path]).toEqual([200, null, `${PATH}/converse`])
    const id = /"toolUseId":"([^"]*)"/.exec(last().body.toString())?.[1]
    expect(id).toMatch(/^[\w-]{1,64}$/)
    expect(last().json).toEqual({
      system: [{ text: 'Be brief.' }],
      messages: [
        { role: 'user', content: [{ text: 'Look it up.' }] },
        { role: 'assistant', content: [{ toolUse: { toolUseId: id, name: 'look_up', input: {} } }] },
        { role: 'user', content: [{ toolResult: { toolUseId: id, content: [{ text: '42' }] } }, { text: 'And?' }] },
      ],
      inferenceConfig: { maxTokens: 300, temperature: 1, stopSequences: ['x'] },
      toolConfig: {
        tools: [{ toolSpec: { name: 'look_up', inputSchema: { json: { type: 'object', properties: {} } } } }],
        toolChoice: { any: {} },
      },
    })
    expect(response.headers.get('x-litellm-response-cost')).toBe(PRICE)
    expect(response.json()).toMatchObject({
      model: 'nova',
      choices: [{ finish_reason: 'stop', message: { content: 'Hello' } }],
      usage: { prompt_tokens: 140, completion_tokens: 10, prompt_tokens_details: { cached_tokens: 100 } },
    })
  })

  test('A call of a function comes back whole.', async () => {
    product.upstream.respond(said([{ toolUse: { toolUseId: 't1', name: 'look_up', input: { of: 1 } } }], 'tool_use'))
    expect((await call({ model: 'nova', tools: [tool] })).json()).toMatchObject({
      choices: [
        {
          finish_reason: 'tool_calls',
          message: { content: null, tool_calls: [{ id: 't1', function: { name: 'look_up', arguments: '{"of":1}' } }] },
        },
      ],
    })
  })

  test.each(['/v1/chat/completions', '/v1/messages'])('%s: its events are read however they are cut.', async (path) => {
    const asked = path === '/v1/messages' ? {} : { stream_options: { include_usage: true } }
    for (const split of [whole, everyByte]) {
      product.upstream.respond(stream(ANSWER, { split }))
      const response = await call({ model: 'nova', stream: true, ...asked }, path)
      expect([response.status, last().path]).toEqual([200, `${PATH}/converse-stream`])
      expect(response.body).toContain(' tëst')
      expect(response.body).toContain(PRICE)
    }
  })

  test('Calls of functions come in pieces, and one without arguments has an empty object.', async () => {
    const begin = (contentBlockIndex: number, toolUseId: string) =>
      named('contentBlockStart', { contentBlockIndex, start: { toolUse: { toolUseId, name: 'look_up' } } })
    const frames = [
      ANSWER[0]!,
      begin(1, 'a'),
      named('contentBlockDelta', { contentBlockIndex: 1, delta: { toolUse: { input: '{"of":' } } }),
      named('contentBlockDelta', { contentBlockIndex: 1, delta: { toolUse: { input: '1}' } } }),
      named('contentBlockStop', { contentBlockIndex: 1 }),
      begin(2, 'b'),
      named('contentBlockStop', { contentBlockIndex: 2 }),
      named('messageStop', { stopReason: 'tool_use' }),
      ANSWER.at(-1)!,
    ]
    product.upstream.respond(stream(frames))
    const { body } = await call({ model: 'nova', stream: true, tools: [tool] })
    const chunks = [...body.matchAll(/^data: (\{.*)$/gm)].map(([, text = '']) => JSON.parse(text))
    const pieces = chunks.flatMap(({ choices }) => choices[0]?.delta?.tool_calls ?? [])
    const text = (index: number) =>
      pieces
        .filter((piece) => piece.index === index)
        .map((piece) => piece.function.arguments ?? '')
        .join('')
    expect([text(0), text(1)]).toEqual(['{"of":1}', '{}'])
    expect(body).toContain('"finish_reason":"tool_calls"')
  })

  test('A stream that is cut after any message is charged for what came, once.', async () => {
    const { id, keys } = await product.db.seedOrganization({ credits: 10_000, users: { alice: 10_000 } })
    const charged: number[] = []
    for (let passed = 0; passed <= ANSWER.length; passed += 1) {
      const cutAfter = Buffer.concat(ANSWER.slice(0, passed)).length
      product.upstream.respond(stream(ANSWER, passed < ANSWER.length ? { cutAfter } : {}))
      await postChat(product.tollgate, keys.alice as string, { model: 'nova', ...hello, stream: true })
      const row = await vi.waitFor(async () => {
        const rows = await rowsOf(product.db.pool, id)
        expect(rows).toHaveLength(passed + 1)
        return rows.at(-1)!
      })
      charged.push(Number(row.credits_used))
    }
    // 0.084 credits, and half of it on top.
    expect(charged.at(-1)).toBe(0.126)
    for (const [passed, charge] of charged.entries()) {
      if (passed < 2) expect(charge).toBe(0)
      else expect(charge).toBeGreaterThan(0)
      expect(charge).toBeLessThanOrEqual(0.126)
      expect(charge).toBeGreaterThanOrEqual(charged[passed - 1] ?? 0)
    }
  })

  test.each([
    [
      {
        messages: [
          { role: 'user', content: [{ type: 'image_url', image_url: { url: 'data:image/png;base64,AAAA' } }] },
        ],
      },
      'messages[0].content[0]',
    ],
    [{ messages: [{ role: 'assistant', content: 'Hi' }] }, 'messages'],
    [{ tools: [{ type: 'web_search' }] }, 'tools[0]'],
    [{ response_format: { type: 'json_object' } }, 'response_format'],
    [{ seed: 1 }, 'seed'],
    [{ service_tier: 'priority' }, 'service_tier'],
    [{ n: 2 }, 'n'],
  ])('What Converse can’t honour is refused by name before anything is sent: %j.', async (more, param) => {
    const before = product.upstream.requests.length
    const response = await call({ model: 'nova', ...more })
    expect([response.status, response.json(), product.upstream.requests.length]).toMatchObject([
      400,
      { error: { param } },
      before,
    ])
  })

  test('A body that is not a response, and a usage that is not one, are never taken for one.', async () => {
    product.upstream.respond(jsonAnswer({ output: {}, usage: STATED }))
    expect((await call({ model: 'nova' })).status).toBe(503)
    const content = [{ text: 'Hello' }]
    product.upstream.respond(
      jsonAnswer({ output: { message: { content } }, usage: { inputTokens: -4, outputTokens: 'x' } }),
    )
    const response = await call({ model: 'nova' })
    expect([response.status, response.headers.get('x-cost-provenance')]).toEqual([200, 'estimated'])
  })
})

describe('errors', () => {
  const ERRORS: readonly (readonly [number, string, string, number, string])[] = [
    [429, 'ThrottlingException', 'Too many requests, please wait', 429, 'provider_rate_limited'],
    [429, 'ThrottlingException', 'Too many tokens per day, please wait', 503, 'provider_account'],
    [400, 'ServiceQuotaExceededException', 'quota', 503, 'provider_account'],
    [403, 'AccessDeniedException', 'User: arn:aws:iam::123456789012:user/x is not authorized', 503, 'provider_account'],
    [403, 'UnrecognizedClientException', 'The security token included is invalid', 503, 'provider_account'],
    [404, 'ResourceNotFoundException', 'Model use case details have not been submitted', 503, 'provider_account'],
    [404, 'ResourceNotFoundException', 'Could not resolve the foundation model', 404, 'model_not_found'],
    [400, 'ValidationException', 'The provided model identifier is invalid.', 404, 'model_not_found'],
    [400, 'ValidationException', 'Input is too long for requested model.', 400, 'context_length_exceeded'],
    [400, 'ValidationException', 'max_tokens: must be greater than 0', 400, 'bad_request'],
    [408, 'ModelTimeoutException', 'x', 503, 'provider_timeout'],
    [424, 'ModelErrorException', 'x', 503, 'provider_failed'],
    [429, 'ModelNotReadyException', 'x', 503, 'provider_overloaded'],
    [500, 'InternalServerException', 'x', 503, 'provider_failed'],
    [503, 'ServiceUnavailableException', 'x', 503, 'provider_overloaded'],
  ]

  test.each(ERRORS)('%s %s "%s" is %s %s.', async (status, name, message, shown, code) => {
    const headers = { 'x-amzn-errortype': `${name}:http://internal.amazon.com/coral/com.amazon.bedrock/` }
    product.upstream.respond(jsonAnswer({ message }, { status, headers }))
    const response = await call({})
    expect([response.status, response.json()]).toMatchObject([shown, { error: { code } }])
    expect(response.body).not.toMatch(/arn:aws|123456789012/)
  })
})
