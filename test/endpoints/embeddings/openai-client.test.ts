/**
 * OpenAI's own client on POST /v1/embeddings, with each provider behind it: what reaches the provider, what the client makes of the
 * response, what is booked. $0.02 a million tokens for `small`, and half of it on top.
 */
import type OpenAI from 'openai'
import { beforeAll, describe, expect, test, vi } from 'vitest'
import { rowsOf } from '../../support/call-books.ts'
import { lastRequestOf, seedPayer } from '../../support/openai-payer.ts'
import { useProduct } from '../../support/product.ts'
import { tellApart } from '../../support/tell-apart.ts'
import { modelOn, postChat } from '../../support/tollgate.ts'
import { type Answer, errorAnswer, type Handler, jsonAnswer } from '../../support/upstream-answers.ts'

type Json = Record<string, unknown>

const product = useProduct((url) => ({
  models: [
    modelOn(url, 'small', { model: 'openai/text-embedding-3-small' }),
    modelOn(url, 'gemini', { model: 'gemini/gemini-embedding-001' }),
    modelOn(url, 'gemini-compatible', { model: 'gemini/gemini-embedding-001', api_base: `${url}/openai` }),
    modelOn(url, 'routed', { model: 'openrouter/openai/text-embedding-3-small' }),
    modelOn(url, 'tei', { model: 'huggingface/BAAI/bge-m3', input_cost_per_token: 0.00000001 }),
    {
      ...modelOn(url, 'local', { model: 'openai/vectors-of-ours', input_cost_per_token: 0.0000001 }),
      model_info: { id: 'local', mode: 'embedding' },
    },
    { ...modelOn(url, 'talker', { model: 'openai/embedded-chat' }), model_info: { id: 'talker', mode: 'chat' } },
    modelOn(url, 'unpriced', { model: 'openai/some-embedding' }),
    modelOn(url, 'mocked', { model: 'openai/text-embedding-3-small', mock_response: 'x' }),
    modelOn(url, 'dropping', {
      model: 'openai/text-embedding-3-small',
      drop_params: true,
      temperature: 0.5,
      dimensions: 4,
    }),
    modelOn(url, 'claude', { model: 'anthropic/claude-haiku-4-5' }),
  ],
  router_settings: { num_retries: 0 },
}))

// What four bytes a number can hold.
const VECTOR = [0.5, -0.25, 1]
const BASE64 = Buffer.from(new Float32Array(VECTOR).buffer).toString('base64')

/** As many vectors as inputs, in the form that is asked for, and so many tokens. */
function embeds(tokens: number, more: Json = {}): Handler {
  return ({ json }) => {
    const { input, encoding_format: encoding } = json ?? {}
    const inputs = Array.isArray(input) && typeof input[0] !== 'number' ? input : [input]
    const embedding = encoding === 'base64' ? BASE64 : VECTOR
    const data = inputs.map((_, index) => ({ object: 'embedding', index, embedding }))
    const usage = { prompt_tokens: tokens, total_tokens: tokens }
    return jsonAnswer({ object: 'list', data, model: 'text-embedding-3-small', usage, ...more })
  }
}

let orgId: string
let key: string
let client: OpenAI

async function payer(upstream: Handler | Answer, credits = 1_000): Promise<void> {
  ;({ orgId, key, client } = await seedPayer(product, upstream, credits))
}

beforeAll(() => payer(embeds(1)))

const lastRequest = () => lastRequestOf(product)

async function booked(): Promise<Json[]> {
  return (await rowsOf(product.db.pool, orgId)).map(
    ({ outcome, provenance, credits_used, service_name, service_type }) => {
      return { outcome, provenance, charge: credits_used, service_type, service_name }
    },
  )
}

const row = (charge: string, more: Json = {}): Json => {
  return {
    outcome: 'answered',
    provenance: 'provider_usage',
    charge,
    service_type: 'embedding',
    service_name: 'small',
    ...more,
  }
}

describe('OpenAI', () => {
  test('OpenAI is asked for base64 as its client asks, which reads the numbers; all bytes pass except model, usage and cost.', async () => {
    await payer(embeds(1_000))
    const { data, model, usage } = await client.embeddings.create({ model: 'small', input: 'Hello world' })
    expect([data[0]?.embedding, model]).toEqual([VECTOR, 'small'])
    expect(usage).toEqual({ prompt_tokens: 1_000, total_tokens: 1_000, cost: 0.00003 })
    expect(lastRequest()).toMatchObject({
      path: '/v1/embeddings',
      json: { model: 'text-embedding-3-small', input: 'Hello world', encoding_format: 'base64' },
    })
    expect(await booked()).toEqual([row('0.030000')])
  })

  test.each<[string, OpenAI.EmbeddingCreateParams['input'], number]>([
    ['a list of texts', ['Hello', 'world'], 2],
    ['a list of tokens', [9906, 1917], 1],
    ['lists of tokens', [[9906], [1917, 0]], 2],
  ])('OpenAI embeds %s, as it was written.', async (_, input, vectors) => {
    await payer(embeds(3))
    const { data } = await client.embeddings.create({ model: 'small', input, encoding_format: 'float', dimensions: 3 })
    expect(data.map(({ embedding }) => embedding)).toEqual(Array(vectors).fill(VECTOR))
    expect(lastRequest().json).toEqual({
      model: 'text-embedding-3-small',
      input,
      encoding_format: 'float',
      dimensions: 3,
    })
    expect(await booked()).toEqual([row('0.000090')])
  })

  test('A request for embeddings is sent as it came, but for the name of the model and what is ours.', async () => {
    await payer(embeds(1))
    const body = '{ "input":[9906 , 1917],"power_level":"eco", "model" : "small","user": "u\\u0031" ,"stream":false}'
    expect((await postChat(product.tollgate, key, body, { path: '/embeddings' })).status).toBe(200)
    expect(lastRequest().body.toString()).toBe(
      '{ "input":[9906 , 1917], "model" : "text-embedding-3-small","user": "u\\u0031"}',
    )
  })

  test('Embeddings are held for what texts can be and for each token of a list, and the quote says so.', async () => {
    await payer(embeds(1))
    const quoteOf = async (input: unknown) => {
      const path = '/v1/quotes?endpoint=/v1/embeddings'
      const answer = await postChat(product.tollgate, key, { model: 'small', input }, { path })
      return answer.json() as { held_credits: number; expected: Json; max_credits: number }
    }
    const tokens = await quoteOf(Array(10_000).fill(1))
    // Two more for each, which servers that are not OpenAI's own may add.
    expect([tokens.held_credits, tokens.expected]).toMatchObject([0.30006, { input_tokens: 10_002, output_tokens: 0 }])
    const lists = await quoteOf([Array(5_000).fill(1), Array(5_000).fill(2)])
    expect(lists.held_credits).toBe(0.30012)
    const words = await quoteOf('word '.repeat(10_000))
    expect(words.held_credits).toBeGreaterThanOrEqual(0.3)
    expect(words.max_credits).toBeGreaterThanOrEqual(words.held_credits)
  })

  test('Embeddings of which no usage is stated are counted: words by the vocabulary, tokens one by one.', async () => {
    await payer(embeds(0, { usage: undefined }))
    const { usage } = await client.embeddings.create({ model: 'small', input: ['Hello world', ' and more'] })
    expect(usage).toEqual({ prompt_tokens: 4, total_tokens: 4, cost: 0.00000012 })
    await client.embeddings.create({ model: 'small', input: [1, 2, 3] })
    expect(await booked()).toEqual([
      row('0.000120', { provenance: 'estimated' }),
      row('0.000090', { provenance: 'estimated' }),
    ])
  })

  test('A batch of long texts may state more than one context window.', async () => {
    await payer(embeds(20_000))
    await client.embeddings.create({ model: 'small', input: Array(4).fill('word '.repeat(5_000)) })
    expect(await booked()).toEqual([row('0.600000')])
  })

  test('A default of the operator that embeddings do not take is left out; the others are sent.', async () => {
    await payer(embeds(1))
    await client.embeddings.create({ model: 'dropping', input: 'a', thinking: 1 } as OpenAI.EmbeddingCreateParams)
    expect(lastRequest().json).toEqual({
      model: 'text-embedding-3-small',
      input: 'a',
      encoding_format: 'base64',
      dimensions: 4,
    })
  })

  test('An error of embeddings keeps its status and words, and nothing is charged.', async () => {
    const message = 'Requested 453357 tokens, max 300000 tokens per request'
    await payer(errorAnswer(400, { message, type: 'max_tokens_per_request', code: 'max_tokens_per_request' }))
    await expect(client.embeddings.create({ model: 'small', input: 'a' })).rejects.toMatchObject({
      status: 400,
      error: { message },
    })
    expect(await booked()).toEqual([row('0.000000', { outcome: 'failed', provenance: null })])
  })

  test('A caller without credits for embeddings is told so, and the client does not try again.', async () => {
    await payer(embeds(1), 0)
    await expect(client.embeddings.create({ model: 'small', input: 'a' })).rejects.toMatchObject({
      status: 402,
      code: 'insufficient_credits',
    })
    expect([product.upstream.requests, await booked()]).toEqual([[], []])
  })

  test('A caller who leaves before the embeddings are there is charged for them.', async () => {
    let release = () => {}
    const beforeHead = new Promise<void>((resolve) => {
      release = resolve
    })
    await payer((request) => ({ ...(embeds(7)(request) as Answer), beforeHead }))
    const leave = new AbortController()
    const call = client.embeddings.create({ model: 'small', input: 'a' }, { signal: leave.signal })
    await product.upstream.received(1)
    leave.abort()
    await expect(call).rejects.toThrow('aborted')
    await tellApart(product.tollgate)
    release()
    await vi.waitFor(async () => expect(await booked()).toEqual([row('0.000210', { outcome: 'client_disconnected' })]))
  })

  test('Embeddings with an Idempotency-Key are charged once.', async () => {
    await payer(embeds(1_000))
    const options = { headers: { 'Idempotency-Key': 'the-same' } }
    for (let time = 0; time < 2; time += 1)
      expect((await client.embeddings.create({ model: 'small', input: 'a' }, options)).usage.total_tokens).toBe(1_000)
    expect([product.upstream.requests.length, await booked()]).toEqual([1, [row('0.030000')]])
  })
})

describe('Another provider', () => {
  test('Google is asked natively, text by text, and what it does not state is counted.', async () => {
    await payer(jsonAnswer({ embeddings: [{ values: VECTOR }, { values: VECTOR }] }))
    const { data, usage } = await client.embeddings.create({
      model: 'gemini',
      input: ['Hello world', 'a'],
      dimensions: 3,
    })
    expect(data.map(({ embedding }) => embedding)).toEqual([VECTOR, VECTOR])
    const part = (text: string) => ({
      model: 'models/gemini-embedding-001',
      content: { parts: [{ text }] },
      outputDimensionality: 3,
    })
    expect(lastRequest()).toMatchObject({
      path: '/v1/models/gemini-embedding-001:batchEmbedContents',
      json: { requests: [part('Hello world'), part('a')] },
    })
    // $0.15 a million.
    expect(usage).toMatchObject({ total_tokens: 3, cost: 0.000000675 })
    expect(await booked()).toEqual([row('0.000675', { provenance: 'estimated', service_name: 'gemini' })])
  })

  test('What Google states of its newest models is charged.', async () => {
    const usageMetadata = { promptTokenCount: 100, promptTokenDetails: [{ modality: 'TEXT', tokenCount: 100 }] }
    await payer(jsonAnswer({ embeddings: [{ values: VECTOR }], usageMetadata }))
    await client.embeddings.create({ model: 'gemini', input: 'x'.repeat(400) })
    expect(await booked()).toEqual([row('0.022500', { service_name: 'gemini' })])
  })

  test('Google behind its compatible endpoint sends lists where base64 was asked for: the client gets what it asked for.', async () => {
    await payer((request) => embeds(2)({ ...request, json: { ...request.json, encoding_format: 'float' } }))
    const { data } = await client.embeddings.create({ model: 'gemini-compatible', input: 'Hello' })
    expect([data[0]?.embedding, lastRequest().path]).toEqual([VECTOR, '/v1/openai/embeddings'])
  })

  test('OpenRouter is told what may be taken at most, and its bill is what is charged.', async () => {
    await payer(embeds(1_000, { usage: { prompt_tokens: 1_000, total_tokens: 1_000, cost: 0.00002 } }))
    const { usage } = await client.embeddings.create({ model: 'routed', input: 'Hello' })
    expect(lastRequest().json?.provider).toEqual({ max_price: { prompt: 0.02 } })
    expect(usage).toEqual({ prompt_tokens: 1_000, total_tokens: 1_000, cost: 0.00003 })
    expect(await booked()).toEqual([row('0.030000', { provenance: 'provider_cost', service_name: 'routed' })])
  })

  test('A container of HuggingFace is asked for embeddings in OpenAI’s dialect.', async () => {
    await payer(embeds(1_000))
    await client.embeddings.create({ model: 'tei', input: 'a'.repeat(2_000) })
    expect([lastRequest().path, lastRequest().json?.model]).toEqual(['/v1/embeddings', 'BAAI/bge-m3'])
    // $0.01 a million.
    expect(await booked()).toEqual([row('0.015000', { service_name: 'tei' })])
  })

  test('A server of the operator’s is asked where he says that it embeds; a price for input is enough.', async () => {
    await payer(embeds(100))
    await client.embeddings.create({ model: 'local', input: 'a'.repeat(500) })
    expect(await booked()).toEqual([row('0.015000', { service_name: 'local' })])
  })

  test('A deployment with a mock_response answers a request for embeddings in both forms.', async () => {
    await payer(embeds(1))
    for (const form of ['float', 'base64', undefined] as const) {
      const encoding = form === undefined ? {} : { encoding_format: form }
      const { data } = await client.embeddings.create({
        model: 'mocked',
        input: ['a', 'b'],
        dimensions: 3,
        ...encoding,
      })
      const expected =
        form === 'base64' ? Buffer.from(new Float32Array([1, 0, 0]).buffer).toString('base64') : [1, 0, 0]
      expect(data.map(({ embedding }) => embedding)).toEqual([expected, expected])
    }
    expect(product.upstream.requests).toEqual([])
  })
})

describe('A request for embeddings', () => {
  const small = { model: 'small', input: 'a' }
  test.each<[string, Json, string, string]>([
    ['a stream', { ...small, stream: true }, 'stream', 'unsupported_parameter'],
    ['no input', { model: 'small' }, 'input', 'invalid_request'],
    ['an empty text', { ...small, input: '' }, 'input', 'invalid_request'],
    ['an empty list', { ...small, input: [] }, 'input', 'invalid_request'],
    ['an empty text in a list', { ...small, input: ['a', ''] }, 'input[1]', 'invalid_request'],
    ['an empty list of tokens', { ...small, input: [[1], []] }, 'input[1]', 'invalid_request'],
    ['tokens among texts', { ...small, input: ['a', 1] }, 'input[1]', 'invalid_request'],
    ['a text among tokens', { ...small, input: [1, 'a'] }, 'input', 'invalid_request'],
    ['lists among texts', { ...small, input: ['a', [1]] }, 'input[1]', 'invalid_request'],
    ['lists in lists of lists', { ...small, input: [[[1]]] }, 'input[0]', 'invalid_request'],
    ['an object', { ...small, input: [{ text: 'a' }] }, 'input', 'invalid_request'],
    ['a token below nothing', { ...small, input: [-1] }, 'input', 'invalid_request'],
    ['a part of a token', { ...small, input: [1.5] }, 'input', 'invalid_request'],
    ['a number that is no token', { ...small, input: [2 ** 53] }, 'input', 'invalid_request'],
    ['too many texts', { ...small, input: Array(2_049).fill('a') }, 'input', 'invalid_request'],
    ['another form', { ...small, encoding_format: 'int8' }, 'encoding_format', 'invalid_request'],
    ['no dimensions', { ...small, dimensions: 0 }, 'dimensions', 'invalid_request'],
    ['an input in another case', { ...small, Input: ['more'] }, 'Input', 'invalid_request'],
    ['a member that nobody knows', { ...small, documents: ['more'] }, 'documents', 'unsupported_parameter'],
    ['tokens to Google', { ...small, model: 'gemini', input: [1] }, 'input', 'unsupported_parameter'],
    [
      'too many texts to Google',
      { ...small, model: 'gemini', input: Array(101).fill('a') },
      'input',
      'unsupported_parameter',
    ],
    ['a model for chat', { ...small, model: 'gpt-4o-mini' }, 'model', 'unsupported_endpoint'],
    ['a model that the operator says is for chat', { ...small, model: 'talker' }, 'model', 'unsupported_endpoint'],
    ['a provider without any', { ...small, model: 'claude' }, 'model', 'unsupported_endpoint'],
    ['a model without a price', { ...small, model: 'unpriced' }, 'model', 'unknown_price'],
  ])('Embeddings are refused by name before anything is called or held: %s.', async (_, body, param, code) => {
    await payer(embeds(1))
    const answer = await postChat(product.tollgate, key, body, { path: '/v1/embeddings' })
    expect([answer.status, answer.json()]).toMatchObject([400, { error: { param, code } }])
    expect([product.upstream.requests, await booked()]).toEqual([[], []])
  })

  test.each(['/v1/chat/completions', '/v1/messages'])(
    'A chat with a model that embeds is refused on %s.',
    async (path) => {
      await payer(embeds(1))
      const body = { model: 'small', max_tokens: 5, messages: [{ role: 'user', content: 'Hi' }] }
      const answer = await postChat(product.tollgate, key, body, { path })
      expect([answer.status, answer.json()]).toMatchObject([
        400,
        { error: { param: 'model', code: 'unsupported_endpoint' } },
      ])
      expect([product.upstream.requests, await booked()]).toEqual([[], []])
    },
  )
})

test('Models that embed are listed with the price of what is read.', async () => {
  const answer = await fetch(`${product.tollgate.url}/api/v1/llm/models?search=small`, {
    headers: { authorization: `Bearer ${key}` },
  })
  const { data } = (await answer.json()) as { data: Json[] }
  expect(data).toMatchObject([{ id: 'small', pricing: { input: 0.02, output: 0 } }])
})
