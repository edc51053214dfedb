/**
 * LiteLLM's own members of a request, on every endpoint: what is honoured does what it says, what is refused says what to do instead, and
 * nothing of it reaches a provider.
 */
import { beforeEach, describe, expect, test } from 'vitest'
import { fold } from '../../providers/known-members/fold.ts'
import type { EndpointRequest } from '../../src/call/endpoint.ts'
import { LITELLM_MEMBERS } from '../../src/call/litellm-members.ts'
import { withAsked } from '../../src/call/take-asked.ts'
import { ENDPOINTS } from '../../src/endpoints/endpoints.ts'
import { wav } from '../providers/media/build.ts'
import { rowOfCall } from '../support/call-books.ts'
import { expectRefusal } from '../support/error-shape.ts'
import { useProduct } from '../support/product.ts'
import { type CallAnswer, modelOn, postChat } from '../support/tollgate.ts'
import { chatAnswer, errorAnswer, type Script } from '../support/upstream-answers.ts'

/** By their tags deployments are chosen here; those with this one serve whatever has none that fits. */
const DEFAULT = { tags: ['default'] }
const PRICE = { ...DEFAULT, input_cost_per_token: 0.000001, output_cost_per_token: 0.00002 }

const product = useProduct((url) => ({
  models: [
    ...['one', 'other', 'spare', 'backed'].map((name) => ({
      ...modelOn(url, name, PRICE),
      model_info: { id: `${name}-id` },
    })),
    modelOn(url, 'vectors', { ...DEFAULT, model: 'openai/text-embedding-3-small' }),
    modelOn(url, 'picture', { ...DEFAULT, model: 'openai/gpt-image-1' }),
    modelOn(url, 'ear', { ...DEFAULT, model: 'openai/whisper-1' }),
    modelOn(url, 'voice', { ...DEFAULT, model: 'openai/tts-1', input_cost_per_character: 0.000015 }),
    modelOn(url, 'judge', { ...DEFAULT, model: 'openai/omni-moderation-latest' }),
    modelOn(url, 'claude', { ...DEFAULT, model: 'anthropic/claude-haiku-4-5' }),
    modelOn(url, 'flash', { ...DEFAULT, model: 'gemini/gemini-2.5-flash' }),
    { ...modelOn(url, 'tagged', { ...PRICE, model: 'openai/paid', tags: ['paid'] }), model_info: { id: 'paid-id' } },
    { ...modelOn(url, 'tagged', { ...PRICE, model: 'openai/free', tags: ['free'] }), model_info: { id: 'free-id' } },
    ...[1, 2, 3].map((n) => ({ ...modelOn(url, 'three', { ...PRICE, order: n }), model_info: { id: `three-${n}` } })),
  ],
  router_settings: { enable_tag_filtering: true, disable_cooldowns: true, fallbacks: [{ backed: ['spare'] }] },
}))

let key = ''
beforeEach(async () => {
  const { keys } = await product.db.seedOrganization({ credits: 1_000, users: { alice: 1_000 } })
  key = keys.alice
})

const HELLO = [{ role: 'user', content: 'Hello' }]

/** What each endpoint needs at least; the model stands in the path of Google's. */
const LEAST: Readonly<Record<string, Record<string, unknown>>> = {
  '/v1/chat/completions': { model: 'one', messages: HELLO },
  '/api/v1/llm/chat/completions': { model: 'one', messages: HELLO },
  '/v1/messages': { model: 'claude', max_tokens: 10, messages: HELLO },
  '/v1/responses': { model: 'one', input: 'Hello' },
  '/v1/completions': { model: 'one', prompt: 'Hello' },
  '/v1/embeddings': { model: 'vectors', input: 'Hello' },
  '/v1/images/generations': { model: 'picture', prompt: 'A hat' },
  '/v1/images/edits': { model: 'picture', prompt: 'A hat' },
  '/api/v1/llm/image/generations': { model: 'picture', prompt: 'A hat' },
  '/v1/audio/transcriptions': { model: 'ear' },
  '/v1/audio/translations': { model: 'ear' },
  '/v1/audio/speech': { model: 'voice', input: 'Hello', voice: 'alloy' },
  '/v1/moderations': { model: 'judge', input: 'Hello' },
  '/v1beta/models/flash:generateContent': { contents: [{ role: 'user', parts: [{ text: 'Hello' }] }] },
}
const PATHS = Object.keys(LEAST)

const HARMLESS = {
  num_retries: 0,
  max_retries: 0,
  timeout: 20,
  request_timeout: 20.5,
  stream_timeout: 20,
  fallbacks: ['other'],
  context_window_fallbacks: [{ one: ['other'] }],
  content_policy_fallbacks: [{ model: 'other' }],
  disable_fallbacks: true,
  tags: ['team-7'],
  litellm_metadata: { tags: ['team-8'], trace_id: 'trace-9', guardrails: [] },
  guardrails: [],
  cache: { 'no-cache': true, ttl: 60 },
  caching: true,
  drop_params: true,
  mock_testing_fallbacks: false,
  mock_testing_context_fallbacks: false,
  mock_testing_content_policy_fallbacks: false,
  mock_testing_rate_limit_error: false,
  'no-log': true,
  litellm_call_id: 'call-10',
  litellm_trace_id: 'trace-11',
  litellm_session_id: 'session-12',
  litellm_request_debug: true,
}
const REFUSED = [...LITELLM_MEMBERS.keys()].filter((name) => !Object.hasOwn(HARMLESS, name))

/** What takes nothing but a form, and its file. */
const FILES: Readonly<Record<string, readonly [field: string, bytes: Buffer, type: string, name: string]>> = {
  '/v1/images/edits': ['image', Buffer.from('PNG'), 'image/png', 'hat.png'],
  '/v1/audio/transcriptions': ['file', wav(1), 'audio/wav', 'a.wav'],
  '/v1/audio/translations': ['file', wav(1), 'audio/wav', 'a.wav'],
}

function post(path: string, more: Record<string, unknown>, headers = {}): Promise<CallAnswer> {
  const body = { ...LEAST[path], ...more }
  const file = FILES[path]
  if (file === undefined) return postChat(product.tollgate, key, body, { path, headers })
  const form = new FormData()
  for (const [name, value] of Object.entries(body))
    form.append(name, typeof value === 'string' ? value : JSON.stringify(value))
  const [field, bytes, type, name] = file
  form.append(field, new Blob([new Uint8Array(bytes)], { type }), name)
  return postForm(path, form, headers)
}

async function postForm(path: string, form: FormData, headers = {}): Promise<CallAnswer> {
  const answer = await fetch(`${product.tollgate.url}${path}`, {
    method: 'POST',
    headers: { authorization: `Bearer ${key}`, ...headers },
    body: form,
  })
  const body = await answer.text()
  return { status: answer.status, headers: answer.headers, body, json: () => JSON.parse(body) }
}

/** What reached the provider since then. */
function respond(script: Script | ((model: string, before: number) => Script) = errorAnswer(400, { message: 'No.' })) {
  const { upstream } = product
  const from = upstream.requests.length
  const since = () => upstream.requests.slice(from)
  upstream.respond(({ json }) =>
    typeof script === 'function' ? script(String(json?.model), since().length - 1) : script,
  )
  return {
    bodies: () => since().map(({ body }) => body.toString()),
    models: () => since().map(({ json }) => json?.model),
  }
}

const chat = (more: Record<string, unknown>, headers = {}) => post('/v1/chat/completions', more, headers)

test('Every endpoint is tested in this file.', () => {
  expect(ENDPOINTS.map(({ paths }) => paths[0]).filter((path) => !PATHS.includes(path))).toEqual([])
})

describe.each(PATHS)('%s', (path) => {
  test(`Nothing of what LiteLLM's callers ask of a proxy goes upstream from ${path}.`, async () => {
    const reached = respond()
    await post(path, {})
    const answer = await post(path, HARMLESS, {
      'x-litellm-timeout': '20',
      'x-litellm-stream-timeout': '20',
      'x-litellm-num-retries': '0',
      'x-litellm-tags': 'team-13, team-14',
    })
    const [bare, full] = reached.bodies().map((body) => body.replaceAll(/tollgate-[0-9a-f]{32}/g, 'boundary'))
    expect(bare).toBeDefined()
    expect(full).toBe(bare)
    const row = await rowOfCall(product.db.pool, answer.headers.get('x-litellm-call-id'))
    expect(row).toMatchObject({ details: { tags: ['team-13', 'team-14', 'team-7', 'team-8'] } })
  })

  test(`What only the operator may say is refused by ${path}, by its name, and reaches nobody.`, async () => {
    const reached = respond()
    for (const name of REFUSED) {
      const answer = await post(path, { [name]: 'x' })
      expect([name, answer.status]).toEqual([name, 400])
      expect(answer.body).toContain(name)
    }
    expect(reached.bodies()).toEqual([])
  })

  test.each(['Num_Retries', 'numRetries', 'TIMEOUT', 'mockResponse', 'api-base', 'fallback\u017f'])(
    `A member that some server takes for one of LiteLLM's is refused by ${path}: %s.`,
    async (name) => {
      const reached = respond()
      const answer = await post(path, { [name]: 1 })
      expect(answer.status).toBe(400)
      expect(reached.bodies()).toEqual([])
    },
  )
})

test('No name of LiteLLM is another of them to a server that reads names freely.', () => {
  const names = [...LITELLM_MEMBERS.keys()]
  expect(new Set(names.map(fold)).size).toBe(names.length)
})

test('What is asked for stays with the request when media are fetched into it, or what it names is filled in.', () => {
  const bare: EndpointRequest = {
    text: Buffer.from('{}'),
    model: 'one',
    stream: false,
    includeUsage: false,
    powerLevel: null,
    mentionsUsageQuestion: () => false,
    remoteMedia: () => ({ count: 1, param: 'messages', open: () => ({ places: [], filled: () => bare }) }),
    memory: { names: ['one'], filled: () => bare, given: () => [] },
    termsOn: () => {
      throw new Error('nobody is asked')
    },
  }
  const asked = withAsked(bare, { numRetries: 7 })
  expect(asked.remoteMedia([])?.open().filled().asks).toEqual({ numRetries: 7 })
  expect(asked.memory?.filled(new Map()).asks).toEqual({ numRetries: 7 })
  expect(asked.memory?.filled(new Map()).memory?.filled(new Map()).asks).toEqual({ numRetries: 7 })
})

describe('metadata', () => {
  test("Texts in metadata are the provider's, lists and objects LiteLLM's.", async () => {
    const reached = respond(chatAnswer({ model: 'exact' }))
    const metadata = { run: '7', tags: ['a', 'b'], spend_logs_metadata: { job: 1 }, guardrails: [] }
    const answer = await chat({ metadata })
    const bare = await chat({ metadata: { tags: ['a'] } })
    expect(reached.bodies().map((body) => JSON.parse(body).metadata)).toEqual([{ run: '7' }, undefined])
    expect([answer.status, bare.status]).toEqual([200, 200])
    expect(await rowOfCall(product.db.pool, answer.headers.get('x-litellm-call-id'))).toMatchObject({
      details: { tags: ['a', 'b'] },
    })
  })

  test.each([
    ['guardrails', { guardrails: ['pii'] }],
    ['metadata.guardrails', { metadata: { guardrails: ['pii'] } }],
    ['litellm_metadata.guardrails', { litellm_metadata: { guardrails: { pii: true } } }],
  ])('A caller who asks for protection by %s gets no call without it.', async (param, more) => {
    const reached = respond()
    expectRefusal(await chat(more), { status: 400, code: 'unsupported_parameter', param })
    expect(reached.bodies()).toEqual([])
  })
})

describe('a value that is wrong', () => {
  test.each([
    ['num_retries', { num_retries: -1 }],
    ['num_retries', { num_retries: '2' }],
    ['timeout', { timeout: 0 }],
    ['timeout', { timeout: '20' }],
    ['stream_timeout', { stream_timeout: 1e9 }],
    ['fallbacks', { fallbacks: [7] }],
    ['fallbacks', { fallbacks: [{ model: 'other', messages: [] }] }],
    ['fallbacks', { fallbacks: Array(21).fill('other') }],
    ['tags', { tags: { a: 1 } }],
    ['tags', { tags: ['x'.repeat(257)] }],
    ['metadata.tags', { metadata: { tags: [1] } }],
    ['cache', { cache: true }],
    ['caching', { caching: 1 }],
    ['disable_fallbacks', { disable_fallbacks: 'yes' }],
    ['drop_params', { drop_params: 'yes' }],
  ])('A wrong %s is refused by its name: %j.', async (param, more) => {
    expectRefusal(await chat(more), { status: 400, code: 'invalid_request', param })
  })

  test.each(['x-litellm-timeout', 'x-litellm-stream-timeout', 'x-litellm-num-retries'])(
    'A %s that is no number is refused by its name.',
    async (param) => {
      expectRefusal(await chat({}, { [param]: 'soon' }), { status: 400, code: 'invalid_request', param })
      expectRefusal(await chat({}, { [param]: '' }), { status: 400, code: 'invalid_request', param })
    },
  )

  test('A null asks for nothing, and is not sent upstream.', async () => {
    const reached = respond(chatAnswer({ model: 'exact' }))
    expect((await chat({ num_retries: null, api_base: null, fallbacks: null })).status).toBe(200)
    const [sent] = reached.bodies().map((body) => JSON.parse(body))
    expect(sent).toMatchObject({ model: 'one' })
    expect(Object.keys(sent).filter((name) => LITELLM_MEMBERS.has(name))).toEqual([])
  })
})

describe('what is asked for', () => {
  const servedBy = ({ headers }: CallAnswer) => headers.get('x-litellm-model-id')
  const failing = errorAnswer(500, { message: 'boom' })
  const only = (served: string) => (model: string) => (model === served ? chatAnswer({ model: 'exact' }) : failing)

  test('Fallbacks of a request replace the operator’s, and are tried in their order.', async () => {
    const reached = respond(only('three'))
    const answer = await chat({ model: 'backed', fallbacks: ['other', { model: 'three' }] })
    expect(reached.models()).toEqual(['backed', 'other', 'three'])
    expect(answer.headers.get('x-litellm-attempted-fallbacks')).toBe('2')
    expect(answer.headers.get('x-litellm-model-group')).toBe('three')
  })

  test('A fallback may be written as the operator writes it, or name one deployment.', async () => {
    respond(only('other'))
    expect(servedBy(await chat({ model: 'backed', fallbacks: [{ backed: ['other-id'] }] }))).toBe('other-id')
  })

  test('Without fallbacks nothing stands in.', async () => {
    const reached = respond(failing)
    expect((await chat({ model: 'backed', disable_fallbacks: true })).status).toBe(503)
    expect(reached.models()).toEqual(['backed'])
  })

  test('A fallback that is no model is refused before anything is asked.', async () => {
    const reached = respond()
    expectRefusal(await chat({ fallbacks: ['nothing'] }), { status: 404, code: 'model_not_found', param: 'fallbacks' })
    expect(reached.models()).toEqual([])
  })

  test('Fallbacks can be tried out: the group that the request names is not called.', async () => {
    const reached = respond(chatAnswer({ model: 'exact' }))
    expect(servedBy(await chat({ model: 'backed', mock_testing_fallbacks: true }))).toBe('spare-id')
    const more = { mock_testing_context_fallbacks: true, context_window_fallbacks: [{ one: ['other'] }] }
    expect(servedBy(await chat(more))).toBe('other-id')
    expect(reached.models()).toEqual(['spare', 'other'])
  })

  test.each([
    ['body', { num_retries: 1 }, {}],
    ['header', { num_retries: 2 }, { 'x-litellm-num-retries': '1' }],
  ])('As many other deployments are tried as the %s says.', async (_, more, headers) => {
    const reached = respond(failing)
    await chat({ model: 'three', ...more }, headers)
    expect(reached.models()).toHaveLength(2)
  })

  test.each([
    ['tags', { tags: ['paid'] }, {}],
    ['metadata.tags', { metadata: { tags: ['paid'] } }, {}],
    ['x-litellm-tags', {}, { 'x-litellm-tags': 'paid' }],
  ])('A deployment is chosen by %s.', async (_, more, headers) => {
    respond(chatAnswer({ model: 'exact' }))
    expect(servedBy(await chat({ model: 'tagged', ...more }, headers))).toBe('paid-id')
    expectRefusal(await chat({ model: 'tagged', tags: ['none'] }), {
      status: 400,
      code: 'no_deployment_with_tag',
      param: 'tags',
    })
  })

  test.each([
    ['JSON', false, { timeout: 0.2 }, {}],
    ['JSON', false, {}, { 'x-litellm-timeout': '0.2' }],
    ['stream', true, { stream_timeout: 0.2 }, {}],
    ['stream', true, { timeout: 60 }, { 'x-litellm-stream-timeout': '0.2' }],
  ])('A %s call ends when the time is over that it asks for, and costs nothing.', async (_, stream, more, headers) => {
    const reached = respond('silence')
    const answer = await chat({ stream, disable_fallbacks: true, ...more }, headers)
    expectRefusal(answer, { status: 503, code: 'provider_timeout' })
    expect(reached.models()).toEqual(['one'])
    const row = await rowOfCall(product.db.pool, answer.headers.get('x-litellm-call-id'))
    expect(row).toMatchObject({ credits_used: '0.000000', outcome: 'failed' })
  })

  test('A parameter that the provider does not take is left out where the request says so.', async () => {
    const reached = respond(chatAnswer({ model: 'exact' }))
    expectRefusal(await chat({ made_up: 1 }), { status: 400, code: 'unsupported_parameter', param: 'made_up' })
    expect((await chat({ made_up: 1, drop_params: true })).status).toBe(200)
    expect(reached.bodies().map((body) => Object.hasOwn(JSON.parse(body), 'made_up'))).toEqual([false])
  })
})
