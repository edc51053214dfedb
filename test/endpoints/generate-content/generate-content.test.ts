/**
 * Gemini's own surface, as its clients ask for it: Gemini behind it, whose bytes pass, and a provider of OpenAI's dialect, whose are
 * translated. Every call is on the books at its price. `test/clients/gemini/` has Google's own clients over the same routes.
 */
import { describe, expect, test } from 'vitest'
import { expectBooked as expectRows } from '../../support/call-books.ts'
import { useProduct } from '../../support/product.ts'
import { modelOn } from '../../support/tollgate.ts'
import {
  type Answer,
  chatAnswer,
  errorAnswer,
  type Handler,
  jsonAnswer,
  rawStream,
} from '../../support/upstream-answers.ts'

type Json = Record<string, unknown>

const MODEL = 'gemini-2.5-flash'
const product = useProduct((url) => ({
  models: [
    modelOn(url, MODEL, { model: `gemini/${MODEL}` }),
    modelOn(url, 'alias', { model: `gemini/${MODEL}` }),
    modelOn(url, 'gpt', { model: 'openai/gpt-4o-mini' }),
    modelOn(url, 'embedder', { model: 'gemini/gemini-embedding-001' }),
  ],
  router_settings: { num_retries: 0 },
  tollgate: { tool_fees: { web_search: 0.035 }, tool_surcharges: { web_search: 0.05 } },
}))

interface Payer {
  orgId: string
  key: string
}

async function payer(upstream: Handler | Answer, credits: number | string = 10_000): Promise<Payer> {
  product.upstream.respond(upstream)
  product.upstream.requests.length = 0
  const { id, keys } = await product.db.seedOrganization({ credits: 10_000, users: { alice: credits } })
  return { orgId: id, key: keys.alice }
}

async function ask({ key }: Payer, place: string, body: unknown, headers: Record<string, string> = {}) {
  const response = await fetch(`${product.tollgate.url}/v1beta/models/${place}`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', 'x-goog-api-key': key, ...headers },
    body: typeof body === 'string' ? body : JSON.stringify(body),
  })
  const text = await response.text()
  return { status: response.status, headers: response.headers, text, json: () => JSON.parse(text) as Json }
}

const expectBooked = ({ orgId }: Payer, rows: readonly Json[]) => expectRows(product.db.pool, orgId, rows)

const HELLO = { contents: [{ role: 'user', parts: [{ text: 'Say hello' }] }] }
const USAGE = { promptTokenCount: 100, candidatesTokenCount: 20, thoughtsTokenCount: 30, totalTokenCount: 150 }
// 100 tokens at $0.30 a million, 50 at $2.50, and half of it on top.
const ROW = { outcome: 'answered', provenance: 'provider_usage', charge: '0.232500' }
const COST = 0.0002325

const part = (text: string, more: Json = {}) => ({
  content: { parts: [{ text }], role: 'model' },
  index: 0,
  ...more,
})
const body = (candidate: Json, usageMetadata: Json = USAGE) => ({
  candidates: [candidate],
  usageMetadata,
  modelVersion: MODEL,
  responseId: 'r1',
})
const frame = (value: Json) => `data: ${JSON.stringify(value)}\r\n\r\n`
const FIRST = frame(body(part('Hel'), { promptTokenCount: 100, totalTokenCount: 100 }))
const LAST = body(part('lo', { finishReason: 'STOP' }))
const gemini: Handler = ({ path }) =>
  path.includes(':stream') ? rawStream([FIRST, frame(LAST)]) : jsonAnswer(body(part('Hello', { finishReason: 'STOP' })))

const withCost = { ...LAST, usageMetadata: { ...USAGE, cost: COST } }

describe('Gemini', () => {
  test('Gemini gets the bytes that were sent, and its response passes, with what it cost.', async () => {
    const alice = await payer(gemini)
    const sent =
      '{ "contents":[{"role":"user","parts":[{"text":"Say h\\u00ebllo"}]}], "generationConfig": {"temperature": 1.0, "maxOutputTokens":500}}'
    const answer = await ask(alice, `../../v1/models/${MODEL}:generateContent`, sent)
    expect([answer.status, answer.json()]).toEqual([
      200,
      { ...body(part('Hello', { finishReason: 'STOP' })), usageMetadata: { ...USAGE, cost: COST } },
    ])
    const [request] = product.upstream.requests
    expect([request?.path, request?.headers['x-goog-api-key'], request?.body.toString()]).toEqual([
      `/v1/models/${MODEL}:generateContent`,
      'sk-test-upstream',
      sent,
    ])
    expect(answer.headers.get('x-cost-incurred')).toBe('0.232500')
    await expectBooked(alice, [ROW])
  })

  test('A stream passes byte for byte; its last event shows the cost, and is there once the call is booked.', async () => {
    const alice = await payer(gemini)
    const { text, headers } = await ask(alice, `${MODEL}:streamGenerateContent?alt=sse`, HELLO)
    expect(text).toBe(`${FIRST}data: ${JSON.stringify(withCost)}\n\n`)
    expect(headers.get('content-type')).toBe('text/event-stream; charset=utf-8')
    expect(product.upstream.requests[0]?.path).toBe(`/v1/models/${MODEL}:streamGenerateContent?alt=sse`)
    await expectBooked(alice, [ROW])
  })

  test('Without alt=sse a stream is one JSON array of the same events.', async () => {
    const alice = await payer(gemini)
    const answer = await ask(alice, `${MODEL}:streamGenerateContent`, HELLO)
    expect(answer.headers.get('content-type')).toBe('application/json; charset=utf-8')
    expect(answer.json()).toEqual([body(part('Hel'), { promptTokenCount: 100, totalTokenCount: 100 }), withCost])
    await expectBooked(alice, [ROW])
  })

  test('What comes after a finish reason is shown, and the name is the one that was asked for.', async () => {
    const after = body(part('!', { finishReason: 'STOP' }))
    const alice = await payer(rawStream([FIRST, frame(LAST), frame(after)]))
    const { text } = await ask(alice, 'alias:streamGenerateContent?alt=sse', HELLO)
    const shown = text.split('\n\n').flatMap((event) => event.split('\r\n\r\n'))
    const events = shown.filter((event) => event !== '').map((event) => JSON.parse(event.slice(6)) as Json)
    expect(events.map(({ modelVersion }) => modelVersion)).toEqual(['alias', 'alias', 'alias'])
    expect(events.at(-1)).toEqual({ ...after, modelVersion: 'alias', usageMetadata: { ...USAGE, cost: COST } })
    await expectBooked(alice, [ROW])
  })

  test('Members may be spelled in the other way that Google reads; they are sent in one.', async () => {
    const alice = await payer(gemini)
    const snake = {
      contents: { parts: { text: 'Say hello' } },
      system_instruction: { parts: { text: 'Be brief.' } },
      generation_config: { max_output_tokens: 77, thinking_config: { thinking_budget: 0 } },
      tools: { function_declarations: [{ name: 'f', parameters: { type: 'OBJECT', properties: { my_name: {} } } }] },
    }
    expect((await ask(alice, `${MODEL}:generateContent`, snake)).status).toBe(200)
    expect(product.upstream.requests[0]?.json).toEqual({
      contents: { parts: { text: 'Say hello' } },
      systemInstruction: { parts: { text: 'Be brief.' } },
      generationConfig: { maxOutputTokens: 77, thinkingConfig: { thinkingBudget: 0 } },
      tools: { functionDeclarations: [{ name: 'f', parameters: { type: 'OBJECT', properties: { my_name: {} } } }] },
    })
    await expectBooked(alice, [ROW])
  })

  test('A caller who can cover less gets as much as is covered, and a thinking budget is lowered with it.', async () => {
    const alice = await payer(gemini, 3)
    const config = { maxOutputTokens: 8_000, thinkingConfig: { thinkingBudget: 6_000, includeThoughts: true } }
    const answer = await ask(alice, `${MODEL}:generateContent`, { ...HELLO, generationConfig: config })
    const cap = Number(answer.headers.get('x-max-tokens-applied'))
    expect([answer.status, cap]).toEqual([200, 798])
    expect(product.upstream.requests[0]?.json?.generationConfig).toEqual({
      maxOutputTokens: cap,
      thinkingConfig: { thinkingBudget: Math.floor(cap * 0.8), includeThoughts: true },
    })
    await expectBooked(alice, [ROW])
  })

  test('A stream that is cut off ends in Google’s error, and what was delivered is charged.', async () => {
    const alice = await payer(rawStream([FIRST], { cutAfter: Buffer.byteLength(FIRST) }))
    const { text } = await ask(alice, `${MODEL}:streamGenerateContent?alt=sse`, HELLO)
    const error = JSON.parse(text.slice(FIRST.length).replace('data: ', '')) as { error: Json }
    expect(error.error).toMatchObject({ code: 503, status: 'UNAVAILABLE' })
    const array = await ask(alice, `${MODEL}:streamGenerateContent`, HELLO)
    expect(array.json()).toMatchObject([{ candidates: [{}] }, { error: { code: 503 } }])
    // The prompt's hundred tokens, as they were stated, and one of output.
    const cut = { outcome: 'cut_off', provenance: 'estimated', charge: '0.048750' }
    await expectBooked(alice, [cut, cut])
  })

  test('The refusals of Gemini come in Google’s envelope, and cost nothing.', async () => {
    const refusal = { error: { code: 400, message: 'Invalid value at contents', status: 'INVALID_ARGUMENT' } }
    const alice = await payer(jsonAnswer(refusal, { status: 400 }))
    const answer = await ask(alice, `${MODEL}:generateContent`, HELLO)
    expect([answer.status, answer.json()]).toMatchObject([
      400,
      { error: { code: 400, message: 'Invalid value at contents', status: 'INVALID_ARGUMENT' } },
    ])
    await expectBooked(alice, [{ outcome: 'failed', provenance: null, charge: '0.000000' }])
  })
})

const WEATHER = {
  functionDeclarations: [
    { name: 'weather', parameters: { type: 'OBJECT', properties: { city: { type: 'STRING', nullable: true } } } },
  ],
}
const call = (args: string) => ({
  index: 0,
  id: 'call_9',
  type: 'function',
  function: { name: 'weather', arguments: args },
})

describe('Others', () => {
  const OPENAI = { prompt_tokens: 100, completion_tokens: 20, total_tokens: 120 }
  // 100 tokens at $0.15 a million, 20 at $0.60, and half of it on top.
  const CHARGED = { outcome: 'answered', provenance: 'provider_usage', charge: '0.040500' }
  const SHOWN = { promptTokenCount: 100, candidatesTokenCount: 20, totalTokenCount: 120, cost: 0.0000405 }

  test('A conversation with functions is sent to another model as a chat completion, and answered in Gemini’s words.', async () => {
    const message = { role: 'assistant', content: 'Wait.', tool_calls: [call('{"city":"Rome","n":1.0}')] }
    const choices = [{ index: 0, message, finish_reason: 'tool_calls' }]
    const alice = await payer(jsonAnswer({ id: 'c', object: 'chat.completion', choices, usage: OPENAI }))
    const answer = await ask(alice, 'gpt:generateContent', {
      contents: [
        {
          role: 'user',
          parts: [{ text: 'How is it?' }, { inlineData: { mimeType: 'image/png', data: 'iVBORw0KGgo=' } }],
        },
        {
          role: 'model',
          parts: [{ text: 'Hm.', thought: true }, { functionCall: { name: 'weather', args: { city: 'Pisa' } } }],
        },
        { role: 'user', parts: [{ functionResponse: { name: 'weather', response: { output: 'dry' } } }] },
      ],
      systemInstruction: { parts: [{ text: 'Be brief.' }] },
      tools: [WEATHER],
      toolConfig: { functionCallingConfig: { mode: 'ANY', allowedFunctionNames: ['weather'] } },
      generationConfig: { temperature: 0.5, topK: 64, maxOutputTokens: 90, stopSequences: ['.'], presencePenalty: 0 },
      safetySettings: [],
    })
    expect(product.upstream.requests[0]?.json).toEqual({
      model: 'gpt-4o-mini',
      messages: [
        { role: 'system', content: 'Be brief.' },
        {
          role: 'user',
          content: [
            { type: 'text', text: 'How is it?' },
            { type: 'image_url', image_url: { url: 'data:image/png;base64,iVBORw0KGgo=' } },
          ],
        },
        {
          role: 'assistant',
          content: null,
          tool_calls: [{ id: 'call_1', type: 'function', function: { name: 'weather', arguments: '{"city":"Pisa"}' } }],
        },
        { role: 'tool', tool_call_id: 'call_1', content: '{"output":"dry"}' },
      ],
      max_completion_tokens: 90,
      max_tokens: 90,
      temperature: 0.5,
      stop: ['.'],
      tools: [
        {
          type: 'function',
          function: {
            name: 'weather',
            parameters: { type: 'object', properties: { city: { type: ['string', 'null'] } } },
          },
        },
      ],
      tool_choice: 'required',
    })
    expect([answer.status, answer.json()]).toEqual([
      200,
      {
        candidates: [
          {
            content: {
              parts: [
                { text: 'Wait.' },
                { functionCall: { id: 'call_9', name: 'weather', args: { city: 'Rome', n: 1 } } },
              ],
              role: 'model',
            },
            finishReason: 'STOP',
            index: 0,
          },
        ],
        modelVersion: 'gpt',
        responseId: expect.any(String),
        usageMetadata: SHOWN,
      },
    ])
    expect(answer.text).toContain('"n":1.0')
    await expectBooked(alice, [CHARGED])
  })

  test('A stream of another model shows each text as it comes, and its calls and usage at the end.', async () => {
    const chunk = (delta: Json, finish: string | null = null) =>
      `data: ${JSON.stringify({ id: 'c', object: 'chat.completion.chunk', choices: [{ index: 0, delta, finish_reason: finish }] })}\n\n`
    const usage = `data: ${JSON.stringify({ id: 'c', object: 'chat.completion.chunk', choices: [], usage: OPENAI })}\n\n`
    const frames = [
      chunk({ role: 'assistant', content: 'Wait' }),
      chunk({ tool_calls: [call('{"city":')] }),
      chunk({ tool_calls: [{ index: 0, function: { arguments: '"Rome"}' } }] }),
      chunk({}, 'tool_calls'),
      usage,
      'data: [DONE]\n\n',
    ]
    const alice = await payer(rawStream(frames))
    const { text } = await ask(alice, 'gpt:streamGenerateContent?alt=sse', { ...HELLO, tools: [WEATHER] })
    const events = text.trimEnd().split('\n\n')
    expect(events.map((event) => JSON.parse(event.slice(6)) as Json)).toMatchObject([
      { candidates: [{ content: { parts: [{ text: 'Wait' }], role: 'model' }, index: 0 }], modelVersion: 'gpt' },
      {
        candidates: [
          {
            content: { parts: [{ functionCall: { id: 'call_9', name: 'weather', args: { city: 'Rome' } } }] },
            finishReason: 'STOP',
          },
        ],
        usageMetadata: SHOWN,
      },
    ])
    await expectBooked(alice, [CHARGED])
  })

  test.each<[string, Json]>([
    ['tools[0].googleSearch', { tools: [{ googleSearch: {} }] }],
    ['generationConfig.speechConfig', { generationConfig: { speechConfig: {} } }],
    ['cachedContent', { cachedContent: 'cachedContents/1' }],
    ['contents[0].parts[0].executableCode', { contents: [{ role: 'model', parts: [{ executableCode: {} }] }] }],
  ])('What only Gemini can honour is refused by its name: %s.', async (param, more) => {
    const alice = await payer(chatAnswer())
    const answer = await ask(alice, 'gpt:generateContent', { ...HELLO, ...more })
    const { error } = answer.json() as { error: Json & { details: Json[] } }
    expect([answer.status, error.status, error.details[0]]).toMatchObject([
      400,
      'INVALID_ARGUMENT',
      { reason: 'unsupported_parameter', metadata: { param } },
    ])
    expect(product.upstream.requests).toEqual([])
  })
})

describe('Refused', () => {
  test.each<[string, string, Json | string, number, string, string]>([
    [
      'both spellings of a cap',
      MODEL,
      { generationConfig: { maxOutputTokens: 1, max_output_tokens: 9 } },
      400,
      'invalid_request',
      'INVALID_ARGUMENT',
    ],
    [
      'a name that only looks like a cap',
      MODEL,
      { generationConfig: { MaxOutputTokens: 9 } },
      400,
      'invalid_request',
      'INVALID_ARGUMENT',
    ],
    [
      'a cap in quotes',
      MODEL,
      { generationConfig: { maxOutputTokens: '9' } },
      400,
      'invalid_request',
      'INVALID_ARGUMENT',
    ],
    [
      'a cap of 0, which is none',
      MODEL,
      { generationConfig: { maxOutputTokens: 0 } },
      400,
      'invalid_request',
      'INVALID_ARGUMENT',
    ],
    [
      'more candidates than there are',
      MODEL,
      { generationConfig: { candidateCount: 9 } },
      400,
      'invalid_request',
      'INVALID_ARGUMENT',
    ],
    [
      'a cache of the operator’s',
      MODEL,
      { cached_content: 'cachedContents/1' },
      400,
      'unsupported_parameter',
      'INVALID_ARGUMENT',
    ],
    [
      'a tool without a price',
      MODEL,
      { tools: [{ fileSearch: { fileSearchStoreNames: ['x'] } }] },
      400,
      'unsupported_parameter',
      'INVALID_ARGUMENT',
    ],
    [
      'a search without a surcharge',
      MODEL,
      { tools: [{ google_search: {}, codeExecution: {} }] },
      400,
      'unbounded_tool',
      'INVALID_ARGUMENT',
    ],
    ['another model in the body', MODEL, { model: 'models/other' }, 400, 'invalid_request', 'INVALID_ARGUMENT'],
    ['a model that is not there', 'nobody', {}, 404, 'model_not_found', 'NOT_FOUND'],
  ])('Nothing is sent for %s.', async (_, model, more, status, reason, word) => {
    const alice = await payer(gemini)
    const answer = await ask(alice, `${model}:generateContent`, { ...HELLO, ...(more as Json) })
    const { error } = answer.json() as { error: Json }
    expect([answer.status, error]).toMatchObject([
      status,
      { code: status, status: word, details: expect.arrayContaining([expect.objectContaining({ reason })]) },
    ])
    expect(product.upstream.requests).toEqual([])
  })

  test('A key may stand in the address; two keys that differ are refused.', async () => {
    const alice = await payer(gemini)
    const at = (key: string) => `${MODEL}:generateContent?key=${key}`
    const post = (query: string, more: Record<string, string>) =>
      fetch(`${product.tollgate.url}/v1beta/models/${query}`, {
        method: 'POST',
        headers: { 'content-type': 'application/json', ...more },
        body: JSON.stringify(HELLO),
      })
    expect((await post(at(alice.key), {})).status).toBe(200)
    expect(product.upstream.requests[0]?.path).toBe(`/v1/models/${MODEL}:generateContent`)
    const two = await post(at(alice.key), { 'x-goog-api-key': 'sk-another' })
    expect([two.status, await two.json()]).toMatchObject([401, { error: { status: 'UNAUTHENTICATED' } }])
    const elsewhere = await fetch(`${product.tollgate.url}/v1/models?key=${alice.key}`)
    expect(elsewhere.status).toBe(401)
    const none = await post(`${MODEL}:generateContent`, {})
    expect([none.status, await none.json()]).toMatchObject([401, { error: { code: 401 } }])
    expect(product.tollgate.output()).not.toContain(alice.key)
  })

  test('A caller without credits is told so before anything is sent, and a bad key of ours is not reported as the caller’s.', async () => {
    const poor = await payer(gemini, 0)
    const answer = await ask(poor, `${MODEL}:streamGenerateContent?alt=sse`, HELLO)
    expect([answer.status, answer.json()]).toMatchObject([402, { error: { code: 402, status: 'FAILED_PRECONDITION' } }])
    const bad = await payer(errorAnswer(403, { message: 'API key not valid' }))
    const failed = await ask(bad, `${MODEL}:generateContent`, HELLO)
    expect([failed.status, failed.json()]).toMatchObject([503, { error: { code: 503, status: 'UNAVAILABLE' } }])
    expect(failed.text).not.toContain('API key')
  })
})

describe('Other methods', () => {
  test('Tokens are counted for a caller without credits, and no provider is called.', async () => {
    const poor = await payer(gemini, 0)
    const plain = await ask(poor, `${MODEL}:countTokens`, HELLO)
    const whole = await ask(poor, `${MODEL}:countTokens`, {
      generateContentRequest: { model: `models/${MODEL}`, ...HELLO },
    })
    expect([plain.json(), whole.json()]).toEqual([{ totalTokens: 3 }, { totalTokens: 3 }])
    expect(product.upstream.requests).toEqual([])
  })

  test('Texts are embedded one by one and many at once.', async () => {
    const embeddings = (texts: number) => ({ embeddings: Array.from({ length: texts }, () => ({ values: [0.5, 1] })) })
    const alice = await payer(({ json }) =>
      jsonAnswer(embeddings(Array.isArray(json?.requests) ? json.requests.length : 0)),
    )
    const content = { parts: [{ text: 'Hello world' }] }
    const one = await ask(alice, 'embedder:embedContent', {
      content,
      taskType: 'RETRIEVAL_QUERY',
      output_dimensionality: 2,
    })
    expect([one.status, one.json()]).toMatchObject([200, { embedding: { values: [0.5, 1] } }])
    const requests = [{ model: 'models/embedder', content }, { content }]
    const many = await ask(alice, 'embedder:batchEmbedContents', { requests })
    expect(many.json()).toMatchObject({ embeddings: [{ values: [0.5, 1] }, { values: [0.5, 1] }] })
    expect(product.upstream.requests[0]?.json).toEqual({
      requests: [
        {
          model: 'models/gemini-embedding-001',
          content: { parts: [{ text: 'Hello world' }] },
          taskType: 'RETRIEVAL_QUERY',
          outputDimensionality: 2,
        },
      ],
    })
    // Two tokens at $0.15 a million, and half of it on top; then four.
    await expectBooked(alice, [
      { outcome: 'answered', provenance: 'estimated', charge: '0.000450' },
      { outcome: 'answered', provenance: 'estimated', charge: '0.000900' },
    ])
  })

  test('Models are listed in Gemini’s form; the error for an unknown method names those there are.', async () => {
    const alice = await payer(gemini)
    const get = async (path: string) => {
      const response = await fetch(`${product.tollgate.url}${path}`, { headers: { 'x-goog-api-key': alice.key } })
      return [response.status, (await response.json()) as Json] as const
    }
    const listed = { name: 'models/embedder', supportedGenerationMethods: ['embedContent', 'batchEmbedContents'] }
    expect(await get('/v1beta/models?pageSize=50')).toMatchObject([
      200,
      { models: expect.arrayContaining([expect.objectContaining(listed)]) },
    ])
    expect(await get(`/v1beta/models/${MODEL}`)).toMatchObject([200, { name: `models/${MODEL}` }])
    expect(await get('/v1/models')).toEqual(await get('/v1beta/models'))
    const unserved = await ask(alice, `${MODEL}:predictLongRunning`, HELLO)
    expect([unserved.status, unserved.json()]).toMatchObject([501, { error: { status: 'UNIMPLEMENTED' } }])
    expect(unserved.headers.get('x-should-retry')).toBe('false')
  })

  test('An Idempotency-Key is bound to the model too: the same body elsewhere is another request.', async () => {
    const alice = await payer(gemini)
    const once = { 'idempotency-key': 'k-1' }
    const first = await ask(alice, `${MODEL}:generateContent`, HELLO, once)
    const again = await ask(alice, `${MODEL}:generateContent`, HELLO, once)
    expect([again.status, again.text]).toEqual([200, first.text])
    const elsewhere = await ask(alice, 'alias:generateContent', HELLO, once)
    expect([elsewhere.status, elsewhere.json()]).toMatchObject([409, { error: { status: 'ABORTED' } }])
    await expectBooked(alice, [ROW])
  })
})
