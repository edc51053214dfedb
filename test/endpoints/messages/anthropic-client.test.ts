/**
 * Anthropic's own client on POST /v1/messages: Claude behind it, whose bytes pass, and a provider of OpenAI's dialect, whose are
 * translated. A conversation of three turns with tools and thinking, every call on the books at its price.
 */
import Anthropic from '@anthropic-ai/sdk'
import { describe, expect, test } from 'vitest'
import { BEGUN, claude, type Json, MODEL, USAGE } from '../../providers/anthropic-claude.ts'
import { expectBooked as expectRows, rowsOf } from '../../support/call-books.ts'
import { useProduct } from '../../support/product.ts'
import { modelOn } from '../../support/tollgate.ts'
import {
  type Answer,
  chatAnswer,
  chatStream,
  errorAnswer,
  type Handler,
  jsonAnswer,
} from '../../support/upstream-answers.ts'

const product = useProduct((upstreamUrl) => ({
  models: [
    modelOn(upstreamUrl, MODEL, { model: `anthropic/${MODEL}` }),
    modelOn(upstreamUrl, 'gpt', { model: 'openai/gpt-4o-mini' }),
  ],
  router_settings: { num_retries: 0 },
}))

async function payer(upstream: Handler | Answer, credits = 10_000) {
  product.upstream.respond(upstream)
  product.upstream.requests.length = 0
  const { id, keys } = await product.db.seedOrganization({ credits, users: { alice: credits } })
  const client = new Anthropic({ baseURL: product.tollgate.url, apiKey: keys.alice, maxRetries: 0 })
  return { orgId: id, key: keys.alice, client }
}

const expectBooked = (orgId: string, rows: readonly Json[]) => expectRows(product.db.pool, orgId, rows)

const tools: Anthropic.Tool[] = [
  { name: 'weather', input_schema: { type: 'object', properties: { city: { type: 'string' } } } },
  { name: 'now', input_schema: { type: 'object', properties: {} } },
]
const QUESTION: Anthropic.MessageParam = { role: 'user', content: 'How is the weather, and what time is it?' }
const asked = (model: string, messages: Anthropic.MessageParam[] = [QUESTION]) => ({
  model,
  max_tokens: 8_000,
  thinking: { type: 'enabled' as const, budget_tokens: 4_096 },
  system: 'Be brief.',
  messages,
  tools,
})

function resultsOf(message: Pick<Anthropic.Message, 'content'>): Anthropic.MessageParam {
  const content = message.content.flatMap((block) =>
    block.type === 'tool_use' ? [{ type: 'tool_result' as const, tool_use_id: block.id, content: 'noon' }] : [],
  )
  return { role: 'user', content }
}

// 100 tokens at $3 a million, 20 from the cache at $0.30, 30 at $15, and half of it on top.
const ROW = { outcome: 'answered', provenance: 'provider_usage', charge: '1.134000' }

describe('Claude', () => {
  test.each(['whole', 'streamed'])(
    'Claude gets every turn as it was sent, and its response arrives as it was given: %s.',
    async (how) => {
      const { client, orgId } = await payer(claude)
      const messages: Anthropic.MessageParam[] = [QUESTION]
      const said: Anthropic.Message[] = []
      for (let turn = 0; turn < 3; turn += 1) {
        const message =
          how === 'whole'
            ? await client.messages.create(asked(MODEL, messages))
            : await client.messages.stream(asked(MODEL, messages)).finalMessage()
        said.push(message)
        messages.push({ role: 'assistant', content: message.content }, resultsOf(message))
      }
      expect(said.map(({ model, stop_reason }) => [model, stop_reason])).toEqual([
        [MODEL, 'tool_use'],
        [MODEL, 'tool_use'],
        [MODEL, 'end_turn'],
      ])
      expect(said[2]?.content.at(-1)).toEqual({ type: 'text', text: 'Rain, but for Rome.' })
      // The client keeps of a stream's usage what it knows.
      const cost = how === 'whole' ? { cost: 0.001134 } : {}
      for (const { usage } of said) expect(usage).toMatchObject({ ...USAGE, ...cost })
      const { requests } = product.upstream
      expect(requests.map(({ path, headers }) => [path, headers['x-api-key'], headers['anthropic-version']])).toEqual(
        Array(3).fill(['/v1/messages', 'sk-test-upstream', '2026-10-21']),
      )
      await expectBooked(orgId, [ROW, ROW, ROW])
    },
  )

  test('Claude gets the bytes that were sent, but for the name of the model.', async () => {
    const { key } = await payer(claude)
    const body = `{ "model": "${MODEL}" , "max_tokens":100,"temperature": 1.0, "messages":[{"role":"user","content":"Hi \\u00e4"}] ,"context_management": {"edits":[{"type":"clear_tool_uses_20250919"}]}}`
    const response = await fetch(`${product.tollgate.url}/v1/messages?beta=true`, {
      method: 'POST',
      headers: {
        'x-api-key': key,
        'content-type': 'application/json',
        'anthropic-version': '2026-10-21',
        'anthropic-beta': 'context-management-2025-06-27, fine-grained-tool-streaming-2025-05-14',
      },
      body,
    })
    expect([response.status, await response.text()]).toEqual([200, expect.any(String)])
    expect(response.headers.get('request-id')).toBe(response.headers.get('x-request-id'))
    const [request] = product.upstream.requests
    expect(request?.body.toString()).toBe(body)
    expect(request?.headers['anthropic-version']).toBe('2026-10-21')
    expect(request?.headers['anthropic-beta']).toBe(
      'context-management-2025-06-27,fine-grained-tool-streaming-2025-05-14',
    )
  })

  test('Claude is stopped when the credits are used up: the open block is closed, and the message ends for its length.', async () => {
    const words = Array.from({ length: 6_000 }, () => 'words and more words ')
    const { client, orgId } = await payer(streamOf(words), 25)
    const stream = client.messages.stream({ model: MODEL, max_tokens: 60_000, messages: [QUESTION] })
    const events: Anthropic.RawMessageStreamEvent[] = []
    for await (const event of stream) events.push(event)
    expect(events.slice(-3)).toMatchObject([
      { type: 'content_block_stop', index: 0 },
      { type: 'message_delta', delta: { stop_reason: 'max_tokens', stop_sequence: null } },
      { type: 'message_stop' },
    ])
    const [row] = await rowsOf(product.db.pool, orgId)
    expect(row?.outcome).toBe('stopped')
    expect(events.at(-2)).toMatchObject({ usage: { cost: Number(row?.credits_used) / 1_000 } })
  })

  test.each([
    ['Max_Tokens', { Max_Tokens: 5 }],
    ['thread', { thread: { type: 'new' } }],
    ['speed', { speed: 'fast' }],
    ['billing_policy', { billing_policy: { type: 'x', bill_to: 'others' } }],
  ])('Claude is not asked with %s, whose price nobody knows.', async (param, members) => {
    const { client, orgId } = await payer(claude)
    const body = { ...asked(MODEL), ...members } as Anthropic.MessageCreateParamsNonStreaming
    await expect(client.messages.create(body)).rejects.toMatchObject({
      status: 400,
      error: { type: 'error', error: { type: 'invalid_request_error', param } },
    })
    expect(product.upstream.requests).toEqual([])
    await expectBooked(orgId, [])
  })
})

describe('A model of another provider', () => {
  test.each(['whole', 'streamed'])(
    'A model of another provider is asked in its own dialect, and answers in Anthropic’s: %s.',
    async (how) => {
      const calls = [
        { index: 0, id: 'call_1', type: 'function', function: { name: 'weather', arguments: '{"city":"Oslo"}' } },
        { index: 1, id: 'call_2', type: 'function', function: { name: 'now', arguments: '' } },
      ]
      const { client, orgId } = await payer(({ json }) =>
        json?.stream === true ? callStream(calls) : callAnswer(calls),
      )
      const messages: Anthropic.MessageParam[] = [QUESTION]
      const message =
        how === 'whole'
          ? await client.messages.create(asked('gpt', messages))
          : await client.messages.stream(asked('gpt', messages)).finalMessage()
      expect(message).toMatchObject({
        type: 'message',
        role: 'assistant',
        model: 'gpt',
        content: [
          { type: 'text', text: 'I look it up.' },
          { type: 'tool_use', id: 'call_1', name: 'weather', input: { city: 'Oslo' } },
          { type: 'tool_use', id: 'call_2', name: 'now', input: {} },
        ],
        stop_reason: 'tool_use',
        usage: { input_tokens: 11, output_tokens: 5, ...(how === 'whole' ? { cost: 0.000006975 } : {}) },
      })
      messages.push({ role: 'assistant', content: message.content }, resultsOf(message))
      product.upstream.respond(({ json }) => (json?.stream === true ? chatStream() : chatAnswer()))
      const last =
        how === 'whole'
          ? await client.messages.create(asked('gpt', messages))
          : await client.messages.stream(asked('gpt', messages)).finalMessage()
      expect([last.content, last.stop_reason]).toEqual([[{ type: 'text', text: 'Hello world' }], 'end_turn'])
      expect(product.upstream.requests[1]?.json?.messages).toEqual([
        { role: 'system', content: 'Be brief.' },
        { role: 'user', content: QUESTION.content },
        {
          role: 'assistant',
          content: 'I look it up.',
          tool_calls: [
            { id: 'call_1', type: 'function', function: { name: 'weather', arguments: '{"city":"Oslo"}' } },
            { id: 'call_2', type: 'function', function: { name: 'now', arguments: '{}' } },
          ],
        },
        { role: 'tool', tool_call_id: 'call_1', content: 'noon' },
        { role: 'tool', tool_call_id: 'call_2', content: 'noon' },
      ])
      // 11 tokens at $0.15 a million and 5 at $0.60, and half of it on top.
      const row = { outcome: 'answered', provenance: 'provider_usage', charge: '0.006975' }
      await expectBooked(orgId, [row, row])
    },
  )

  test('What only Claude can honour is refused by name for a model of another provider.', async () => {
    const { client } = await payer(claude)
    const body = { ...asked('gpt'), tools: [{ type: 'bash_20250124', name: 'bash' }] } as unknown
    await expect(client.messages.create(body as Anthropic.MessageCreateParamsNonStreaming)).rejects.toMatchObject({
      status: 400,
      error: { error: { param: 'tools[0]', message: expect.stringContaining('bash_20250124') } },
    })
  })
})

test('The response to a chat completion is not repeated at another endpoint under the same Idempotency-Key.', async () => {
  const { key, orgId } = await payer(({ json }) => (json?.stream === true ? chatStream() : chatAnswer()))
  const body = JSON.stringify({ model: 'gpt', max_tokens: 50, messages: [QUESTION] })
  const post = (path: string) =>
    fetch(`${product.tollgate.url}${path}`, {
      method: 'POST',
      headers: { 'x-api-key': key, 'content-type': 'application/json', 'idempotency-key': 'the-same' },
      body,
    })
  expect((await post('/v1/chat/completions')).status).toBe(200)
  const other = await post('/v1/messages')
  expect([other.status, await other.json()]).toMatchObject([409, { error: { code: 'idempotency_key_reused' } }])
  expect((await post('/v1/chat/completions')).status).toBe(200)
  expect(product.upstream.requests).toHaveLength(1)
  await expectBooked(orgId, [{ outcome: 'answered', provenance: 'provider_usage', charge: '0.006975' }])
})

describe('An error', () => {
  test('An error comes in Anthropic’s envelope, and a client that is out of credits does not ask again.', async () => {
    const { client } = await payer(claude, 0)
    const failure = await client.messages.create(asked(MODEL)).catch((error: unknown) => error)
    expect(failure).toBeInstanceOf(Anthropic.APIError)
    const { status, error, headers } = failure as InstanceType<typeof Anthropic.APIError>
    expect([status, headers?.get('x-should-retry')]).toEqual([402, 'false'])
    expect(error).toMatchObject({ type: 'error', error: { type: 'billing_error', code: 'insufficient_credits' } })
  })

  test.each([
    ['of a credential', 401, 'authentication_error', { key: 'sk-nobody', model: MODEL }],
    ['of a model nobody serves', 404, 'not_found_error', { key: null, model: 'nobody' }],
  ])('An error comes in Anthropic’s envelope: %s.', async (_, status, type, { key, model }) => {
    const { key: own } = await payer(claude)
    const client = new Anthropic({ baseURL: product.tollgate.url, apiKey: key ?? own, maxRetries: 0 })
    await expect(client.messages.create(asked(model))).rejects.toMatchObject({ status, error: { error: { type } } })
  })

  test('An error of the provider in the middle of a stream is an event that the client throws.', async () => {
    const event = (type: string, members: Json) => `event: ${type}\ndata: ${JSON.stringify({ type, ...members })}\n\n`
    const { client } = await payer({
      headers: { 'content-type': 'text/event-stream' },
      frames: [
        event('message_start', { message: { ...BEGUN, usage: { ...USAGE, output_tokens: 1 } } }),
        event('content_block_start', { index: 0, content_block: { type: 'text', text: '' } }),
        event('content_block_delta', { index: 0, delta: { type: 'text_delta', text: 'Well, then' } }),
        event('error', { error: { type: 'overloaded_error', message: 'Overloaded' } }),
      ],
    })
    await expect(client.messages.stream(asked(MODEL)).finalMessage()).rejects.toThrow('overloaded')
  })

  test('An error before the first content keeps its status.', async () => {
    const { client } = await payer(errorAnswer(529, { message: 'Overloaded', type: 'overloaded_error' }))
    await expect(client.messages.stream(asked(MODEL)).finalMessage()).rejects.toMatchObject({
      status: 503,
      error: { error: { type: 'overloaded_error' } },
    })
  })
})

function streamOf(words: readonly string[]): Answer {
  const event = (type: string, members: Json) => `event: ${type}\ndata: ${JSON.stringify({ type, ...members })}\n\n`
  return {
    headers: { 'content-type': 'text/event-stream' },
    frames: [
      event('message_start', {
        message: { ...BEGUN, usage: { ...USAGE, output_tokens: 1 } },
      }),
      event('content_block_start', { index: 0, content_block: { type: 'text', text: '' } }),
      ...words.map((text) => event('content_block_delta', { index: 0, delta: { type: 'text_delta', text } })),
    ],
  }
}

function callAnswer(calls: readonly Json[]): Answer {
  const message = { role: 'assistant', content: 'I look it up.', tool_calls: calls }
  return jsonAnswer({
    id: 'chatcmpl-1',
    model: 'gpt-4o-mini',
    choices: [{ index: 0, message, finish_reason: 'tool_calls' }],
    usage: { prompt_tokens: 11, completion_tokens: 5, total_tokens: 16 },
  })
}

function callStream(calls: readonly Json[]): Answer {
  const chunk = (delta: Json, finish_reason: string | null = null) =>
    `data: ${JSON.stringify({ id: 'chatcmpl-1', model: 'gpt-4o-mini', choices: [{ index: 0, delta, finish_reason }] })}\n\n`
  const usage = { prompt_tokens: 11, completion_tokens: 5, total_tokens: 16 }
  return {
    headers: { 'content-type': 'text/event-stream' },
    frames: [
      chunk({ role: 'assistant', content: 'I look ' }),
      chunk({ content: 'it up.' }),
      ...calls.map((call) => chunk({ tool_calls: [call] })),
      chunk({}, 'tool_calls'),
      `data: ${JSON.stringify({ id: 'chatcmpl-1', choices: [], usage })}\n\n`,
      'data: [DONE]\n\n',
    ],
  }
}

describe.each(['whole', 'streamed'])('A refusal, %s', (how) => {
  test('What the filter of another provider stopped is a refusal with details, of which nothing more is known.', async () => {
    const { client } = await payer(({ json }) =>
      json?.stream === true
        ? chatStream({ finishReason: 'content_filter' })
        : chatAnswer({ finishReason: 'content_filter' }),
    )
    const asked = { model: 'gpt', max_tokens: 100, messages: [QUESTION] }
    const message =
      how === 'whole' ? await client.messages.create(asked) : await client.messages.stream(asked).finalMessage()
    expect(message).toMatchObject({
      stop_reason: 'refusal',
      stop_details: { type: 'refusal', category: null, explanation: null },
    })
  })
})
