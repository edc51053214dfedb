/** OpenAI's own client, with its base URL and key changed and nothing else. */
import OpenAI, {
  APIError,
  APIUserAbortError,
  AuthenticationError,
  BadRequestError,
  InternalServerError,
  NotFoundError,
  RateLimitError,
} from 'openai'
import { zodResponseFormat } from 'openai/helpers/zod'
import { expect, test } from 'vitest'
import { z } from 'zod'
import { balanceOf, expectNothingHeld, rowOfCall, rowsOf } from '../../support/call-books.ts'
import { useProduct } from '../../support/product.ts'
import { chat, chatAnswer, chatStream, errorAnswer, type Handler, jsonAnswer } from '../../support/upstream-answers.ts'

const product = useProduct()
const MESSAGES = [{ role: 'user' as const, content: 'Say hello now' }]
const HELLO = { model: 'gpt-4o-mini', messages: MESSAGES }

/** `sent` counts the requests the client makes, its own retries included. */
async function openAi(options: { maxRetries?: number; allocated?: number } = {}) {
  const { db, upstream, tollgate } = product
  upstream.respond(chat())
  const acme = await db.seedOrganization({ credits: 1_000, users: { alice: options.allocated ?? 500 } })
  const traffic = { sent: 0 }
  const client = new OpenAI({
    baseURL: `${tollgate.url}/v1`,
    apiKey: acme.keys.alice,
    ...(options.maxRetries === undefined ? {} : { maxRetries: options.maxRetries }),
    fetch: (input, init) => {
      traffic.sent += 1
      return fetch(input, init)
    },
  })
  return { client, acme, traffic, db, upstream, callsBefore: upstream.tally.calls }
}

/** What the client throws. */
async function thrown(work: Promise<unknown>): Promise<unknown> {
  return work.then(
    () => expect.unreachable('the call was answered'),
    (error: unknown) => error,
  )
}

test('OpenAI’s client gets a chat completion.', async () => {
  const { client } = await openAi()
  const { data, response, request_id } = await client.chat.completions.create(HELLO).withResponse()
  expect(data.choices[0]?.message.content).toBe('Hello world')
  expect(data.usage).toEqual({ prompt_tokens: 11, completion_tokens: 5, total_tokens: 16, cost: 0.000006975 })
  expect(request_id).toBe(response.headers.get('x-request-id'))
  expect(response.headers.get('x-credits-used')).toBe('0.006975')
})

test('OpenAI’s client streams with for await.', async () => {
  const { client } = await openAi()
  const stream = await client.chat.completions.create({
    ...HELLO,
    stream: true,
    stream_options: { include_usage: true },
  })
  let text = ''
  let usage: unknown = null
  for await (const chunk of stream) {
    text += chunk.choices[0]?.delta.content ?? ''
    usage = chunk.usage ?? usage
  }
  expect(text).toBe('Hello world')
  expect(usage).toEqual({ prompt_tokens: 11, completion_tokens: 5, total_tokens: 16, cost: 0.000006975 })
})

test('OpenAI’s client streams with .stream(), its events and the completion it puts together.', async () => {
  const { client } = await openAi()
  const deltas: string[] = []
  const stream = client.chat.completions.stream(HELLO).on('content', (delta) => deltas.push(delta))
  const completion = await stream.finalChatCompletion()
  expect(deltas).toEqual(['Hello', ' world'])
  expect(completion.choices[0]).toMatchObject({ finish_reason: 'stop', message: { content: 'Hello world' } })
})

/** Calls the tool first; when its result is there, says it. */
const toolUser: Handler = ({ json }) => {
  const messages = json?.messages as { role: string; content: string }[]
  const result = messages.find(({ role }) => role === 'tool')
  const message =
    result === undefined
      ? {
          role: 'assistant',
          content: null,
          tool_calls: [{ id: 'call_1', type: 'function', function: { name: 'add', arguments: '{"a":2,"b":3}' } }],
        }
      : { role: 'assistant', content: `It is ${result.content}.` }
  return jsonAnswer({
    id: 'chatcmpl-t',
    object: 'chat.completion',
    created: 1,
    model: 'gpt-4o-mini',
    choices: [{ index: 0, message, finish_reason: result === undefined ? 'tool_calls' : 'stop' }],
    usage: { prompt_tokens: 11, completion_tokens: 5, total_tokens: 16 },
  })
}

test('runTools makes its rounds, and each round is a call of its own.', async () => {
  const { client, upstream, db, acme } = await openAi()
  upstream.respond(toolUser)
  const runner = client.chat.completions.runTools({
    ...HELLO,
    tools: [
      {
        type: 'function',
        function: {
          name: 'add',
          description: 'Adds two numbers',
          parameters: { type: 'object', properties: { a: { type: 'number' }, b: { type: 'number' } } },
          parse: (text: string) => JSON.parse(text) as { a: number; b: number },
          function: ({ a, b }: { a: number; b: number }) => String(a + b),
        },
      },
    ],
  })
  expect(await runner.finalContent()).toBe('It is 5.')
  expect((await rowsOf(db.pool, acme.id)).map(({ credits_used }) => credits_used)).toEqual(['0.006975', '0.006975'])
})

test('OpenAI’s client reads structured output.', async () => {
  const { client, upstream } = await openAi()
  upstream.respond(chatAnswer({ text: ['{"city":"Oslo","people":700000}'] }))
  const format = zodResponseFormat(z.object({ city: z.string(), people: z.number() }), 'town')
  const completion = await client.chat.completions.parse({ ...HELLO, response_format: format })
  expect(completion.choices[0]?.message.parsed).toEqual({ city: 'Oslo', people: 700_000 })
  expect(upstream.requests.at(-1)?.json?.response_format).toEqual(JSON.parse(JSON.stringify(format)))
})

test('An abort in the middle of a stream stops upstream, and what was delivered is charged.', async () => {
  const { client, upstream, db, callsBefore } = await openAi()
  const never = new Promise<void>(() => {})
  upstream.respond(chatStream({ text: ['Hello', ' world', ' never'], gate: (i) => (i === 3 ? never : undefined) }))
  const { data: stream, response } = await client.chat.completions.create({ ...HELLO, stream: true }).withResponse()
  let text = ''
  for await (const chunk of stream) {
    text += chunk.choices[0]?.delta.content ?? ''
    if (text === 'Hello world') stream.controller.abort()
  }
  const request = await upstream.received(callsBefore + 1)
  await request.aborted
  await expectNothingHeld(db.pool)
  expect(await rowOfCall(db.pool, response.headers.get('x-litellm-call-id'))).toMatchObject({
    credits_used: '0.004050',
    provenance: 'estimated',
    outcome: 'client_disconnected',
  })
})

test('An abort before the response is the client’s own error, and the call is charged once.', async () => {
  const { client, upstream, db, acme, traffic, callsBefore } = await openAi()
  const gate = Promise.withResolvers<void>()
  upstream.respond(chatAnswer({ beforeHead: gate.promise }))
  const controller = new AbortController()
  const error = thrown(client.chat.completions.create(HELLO, { signal: controller.signal }))
  await upstream.received(callsBefore + 1)
  controller.abort()
  expect(await error).toBeInstanceOf(APIUserAbortError)
  gate.resolve()
  await expectNothingHeld(db.pool)
  expect(traffic.sent).toBe(1)
  expect(await rowsOf(db.pool, acme.id)).toMatchObject([{ credits_used: '0.006975', provenance: 'provider_usage' }])
})

test('A 401 is an AuthenticationError, which is not retried.', async () => {
  const { client, traffic } = await openAi()
  const error = await thrown(client.withOptions({ apiKey: `uc_${'0'.repeat(64)}` }).chat.completions.create(HELLO))
  expect(error).toBeInstanceOf(AuthenticationError)
  expect(error).toMatchObject({ status: 401, code: 'invalid_api_key', type: 'authentication_error' })
  expect(traffic.sent).toBe(1)
})

test('A 404 is a NotFoundError.', async () => {
  const { client } = await openAi()
  const error = await thrown(client.chat.completions.create({ ...HELLO, model: 'nonexistent' }))
  expect(error).toBeInstanceOf(NotFoundError)
  expect(error).toMatchObject({ status: 404, code: 'model_not_found', param: 'model' })
})

test('A 400 is a BadRequestError, ours and the provider’s.', async () => {
  const { client, upstream } = await openAi()
  const ours = await thrown(client.chat.completions.create({ ...HELLO, messages: [] }))
  expect(ours).toBeInstanceOf(BadRequestError)
  expect(ours).toMatchObject({ status: 400, code: 'invalid_request', param: 'messages' })
  upstream.respond(
    errorAnswer(400, {
      message: 'Invalid temperature',
      type: 'invalid_request_error',
      param: 'temperature',
      code: 'range',
    }),
  )
  const theirs = await thrown(client.chat.completions.create({ ...HELLO, temperature: 9 }))
  expect(theirs).toBeInstanceOf(BadRequestError)
  expect(theirs).toMatchObject({ status: 400, code: 'range', param: 'temperature', type: 'invalid_request_error' })
  expect((theirs as Error).message).toBe('400 Invalid temperature')
})

test('A 402 is an APIError with its status, which is not retried.', async () => {
  const { client, traffic, upstream, callsBefore } = await openAi({ allocated: 0 })
  const error = await thrown(client.chat.completions.create(HELLO))
  expect(error).toBeInstanceOf(APIError)
  expect(error).toMatchObject({ status: 402, code: 'insufficient_credits', type: 'insufficient_credits' })
  expect(traffic.sent).toBe(1)
  expect(upstream.tally.calls).toBe(callsBefore)
})

test('A 429 of the provider is a RateLimitError.', async () => {
  const { client, upstream } = await openAi({ maxRetries: 0 })
  upstream.respond(
    errorAnswer(429, { message: 'slow', code: 'rate_limit_exceeded' }, { headers: { 'retry-after': '60' } }),
  )
  const error = await thrown(client.chat.completions.create(HELLO))
  expect(error).toBeInstanceOf(RateLimitError)
  expect(error).toMatchObject({ status: 429, code: 'provider_rate_limited', type: 'rate_limit_error' })
  expect((error as APIError).headers?.get('retry-after')).toBe('60')
})

test('A 503 is an InternalServerError.', async () => {
  const { client, upstream } = await openAi({ maxRetries: 0 })
  upstream.respond(errorAnswer(401, { message: 'Incorrect API key provided: sk-test', code: 'invalid_api_key' }))
  const error = await thrown(client.chat.completions.create(HELLO))
  expect(error).toBeInstanceOf(InternalServerError)
  expect(error).toMatchObject({ status: 503, code: 'provider_account' })
  expect((error as Error).message).not.toContain('sk-test')
})

test('The client’s own retry after a 503 gets the response, and is charged once.', async () => {
  const { client, upstream, db, acme, traffic } = await openAi()
  let refused = false
  upstream.respond((request) => {
    if (refused) return chat()(request)
    refused = true
    return errorAnswer(503, { message: 'Overloaded.' })
  })
  const completion = await client.chat.completions.create(HELLO)
  expect(completion.choices[0]?.message.content).toBe('Hello world')
  expect(traffic.sent).toBe(2)
  expect(await balanceOf(db.pool, acme.id, 'alice')).toMatchObject({ used: '0.006975' })
})
