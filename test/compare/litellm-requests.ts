/** The requests that Tollgate and LiteLLM's proxy are both sent, and what the provider behind them does meanwhile. */
import { chat, errorAnswer, type Handler, jsonAnswer, type Script, textAnswer } from '../support/upstream-answers.ts'

export interface Asked {
  /** For people: what differs is counted by it. */
  kind: string
  method: string
  path: string
  /** Null: none is sent. @default the master key */
  key?: string | null
  headers?: Record<string, string>
  body?: unknown
  upstream: Script | Handler
}

const HELLO = [{ role: 'user', content: 'Hello' }]
const EMBEDDED = {
  object: 'list',
  data: [{ object: 'embedding', index: 0, embedding: [0.1, -0.2] }],
  model: 'priced',
  usage: { prompt_tokens: 4, total_tokens: 4 },
}
/** By the path that is asked for. */
const answers: Handler = (request) => (request.path.endsWith('/embeddings') ? jsonAnswer(EMBEDDED) : chat()(request))

const FAILURES: Readonly<Record<string, Script>> = {
  400: errorAnswer(400, { message: 'Unsupported value', type: 'invalid_request_error', param: 'temperature' }),
  'too long': errorAnswer(400, {
    message: "This model's maximum context length is 8192 tokens.",
    type: 'invalid_request_error',
    code: 'context_length_exceeded',
  }),
  401: errorAnswer(401, {
    message: 'Incorrect API key provided',
    type: 'invalid_request_error',
    code: 'invalid_api_key',
  }),
  403: errorAnswer(403, { message: 'Not allowed', type: 'permission_error' }),
  404: errorAnswer(404, {
    message: 'The model does not exist',
    type: 'invalid_request_error',
    code: 'model_not_found',
  }),
  408: errorAnswer(408, { message: 'Request timeout', type: 'timeout' }),
  422: errorAnswer(422, { message: 'Unprocessable', type: 'invalid_request_error' }),
  429: errorAnswer(
    429,
    { message: 'Rate limit reached', type: 'rate_limit_error' },
    { headers: { 'retry-after': '7' } },
  ),
  500: errorAnswer(500, { message: 'The server had an error', type: 'server_error' }),
  503: errorAnswer(503, { message: 'Overloaded', type: 'server_error' }),
  'no JSON': textAnswer(502, '<html>Bad gateway</html>'),
}

const post = (kind: string, path: string, body: unknown, more: Partial<Asked> = {}): Asked => ({
  ...{ kind, method: 'POST', path, body, upstream: answers },
  ...more,
})
const get = (kind: string, path: string, more: Partial<Asked> = {}): Asked => ({
  ...{ kind, method: 'GET', path, upstream: answers },
  ...more,
})

export function litellmRequests(): Asked[] {
  return [
    ...callsOf(),
    ...parametersOf(),
    ...failuresOf(),
    ...mistakesOf(),
    ...credentialsOf(),
    ...pathsOf(),
    ...readsOf(),
  ]
}

const BODIES = {
  chat: { path: '/v1/chat/completions', body: { model: 'priced', messages: HELLO }, streams: true },
  completions: { path: '/v1/completions', body: { model: 'completes', prompt: 'Hello' }, streams: true },
  messages: { path: '/v1/messages', body: { model: 'bridged', max_tokens: 50, messages: HELLO }, streams: true },
  embeddings: { path: '/v1/embeddings', body: { model: 'embeds', input: 'Hello' }, streams: false },
} satisfies Readonly<Record<string, { path: string; body: Record<string, unknown>; streams: boolean }>>

function callsOf(): Asked[] {
  return Object.entries(BODIES).flatMap(([name, { path, body, streams }]) => {
    const upstream = name === 'completions' ? completions : answers
    const whole = post(name, path, body, { upstream })
    if (!streams) return [whole]
    return [whole, post(`${name} stream`, path, { ...body, stream: true }, { upstream })]
  })
}

const completions: Handler = ({ json }) => {
  const head = { id: 'cmpl-1', object: 'text_completion', created: 1_700_000_000, model: 'completes' }
  const choices = [{ text: ' world', index: 0, logprobs: null, finish_reason: 'stop' }]
  const usage = { prompt_tokens: 3, completion_tokens: 2, total_tokens: 5 }
  if (json?.stream !== true) return jsonAnswer({ ...head, choices, usage })
  const frames = [`data: ${JSON.stringify({ ...head, choices })}\n\n`, 'data: [DONE]\n\n']
  return { headers: { 'content-type': 'text/event-stream' }, frames }
}

/** Members that callers send with a chat, one at a time, whole and streamed. */
function parametersOf(): Asked[] {
  const members: Record<string, unknown>[] = [
    ...[0, 1, 2].map((temperature) => ({ temperature })),
    ...[
      { top_p: 0.5 },
      { max_tokens: 5 },
      { max_completion_tokens: 5 },
      { stop: ['x'] },
      { stop: 'x' },
      { seed: 7 },
      { n: 2 },
    ],
    ...[
      { presence_penalty: 1 },
      { frequency_penalty: -1 },
      { logprobs: true, top_logprobs: 2 },
      { user: 'customer-1' },
    ],
    ...[
      { response_format: { type: 'json_object' } },
      { parallel_tool_calls: false, tools: [tool()] },
      { tools: [tool()], tool_choice: 'auto' },
    ],
    ...[
      { metadata: { tags: ['a', 'b'] } },
      { num_retries: 1 },
      { timeout: 30 },
      { stream_options: { include_usage: true } },
    ],
    ...[
      { fallbacks: ['other'] },
      { service_tier: 'auto' },
      { logit_bias: { 50256: -100 } },
      { store: false },
      { reasoning_effort: 'low' },
    ],
  ]
  return members.flatMap((member) => {
    const name = Object.keys(member).join(' and ')
    const body = { model: 'priced', messages: HELLO, ...member }
    const whole = 'stream_options' in member ? [] : [post(`chat with ${name}`, '/v1/chat/completions', body)]
    return [...whole, post(`chat stream with ${name}`, '/v1/chat/completions', { ...body, stream: true })]
  })
}

function tool() {
  const parameters = { type: 'object', properties: { city: { type: 'string' } } }
  return { type: 'function', function: { name: 'weather', description: 'Weather', parameters } }
}

function failuresOf(): Asked[] {
  return Object.entries(BODIES).flatMap(([name, { path, body, streams }]) =>
    Object.entries(FAILURES).flatMap(([failure, upstream]) => {
      const whole = post(`${name}, provider says ${failure}`, path, body, { upstream })
      if (!streams) return [whole]
      return [whole, post(`${name} stream, provider says ${failure}`, path, { ...body, stream: true }, { upstream })]
    }),
  )
}

function mistakesOf(): Asked[] {
  const path = '/v1/chat/completions'
  const wrong: Readonly<Record<string, unknown>> = {
    'no model': { messages: HELLO },
    'an unknown model': { model: 'nobody-has-this', messages: HELLO },
    'no messages': { model: 'priced' },
    'empty messages': { model: 'priced', messages: [] },
    'messages that are no list': { model: 'priced', messages: 'Hello' },
    'a role that is none': { model: 'priced', messages: [{ role: 'nobody', content: 'x' }] },
    'a model that is a number': { model: 7, messages: HELLO },
    'a stream that is a text': { model: 'priced', messages: HELLO, stream: 'yes' },
    'max_tokens below 0': { model: 'priced', messages: HELLO, max_tokens: -1 },
    'a list instead of an object': [1, 2],
    'an empty object': {},
    'half an object': '{"model": "priced", ',
    'no JSON': 'Hello',
  }
  const chats = Object.entries(wrong).map(([name, body]) => post(`chat with ${name}`, path, body))
  const others = Object.entries(BODIES).flatMap(([name, one]) =>
    name === 'chat'
      ? []
      : [
          post(`${name} with an unknown model`, one.path, { ...one.body, model: 'nobody-has-this' }),
          post(`${name} with an empty object`, one.path, {}),
        ],
  )
  return [...chats, ...others]
}

function credentialsOf(): Asked[] {
  const body = { model: 'priced', messages: HELLO }
  const keys = { none: null, 'one that is no key': 'hello', 'an unknown one': 'sk-unknown-key-of-nobody-at-all' }
  const paths = ['/v1/chat/completions', '/v1/messages', '/v1/embeddings']
  const wrong = Object.entries(keys).flatMap(([name, key]) => [
    ...paths.map((path) => post(`key: ${name}`, path, { ...body, max_tokens: 5, input: 'x' }, { key })),
    ...['/v1/models', '/model/info', '/key/info', '/user/info', '/spend/logs'].map((path) =>
      get(`key: ${name}`, path, { key }),
    ),
  ])
  const names = ['x-api-key', 'api-key', 'x-litellm-api-key', 'x-goog-api-key', 'Ocp-Apim-Subscription-Key']
  const elsewhere = names.map((name) =>
    post(`key in ${name}`, '/v1/chat/completions', body, { key: null, headers: { [name]: 'MASTER' } }),
  )
  return [...wrong, ...elsewhere]
}

function pathsOf(): Asked[] {
  const body = { model: 'priced', messages: HELLO }
  return [
    ...['/chat/completions', '/openai/deployments/priced/chat/completions', '/engines/priced/chat/completions'].map(
      (path) => post(`path ${path}`, path, body),
    ),
    post('path /embeddings', '/embeddings', BODIES.embeddings.body),
    ...['/v1/nothing', '/nothing', '/v1/chat'].map((path) => get(`path ${path}`, path)),
    get('the wrong method', '/v1/chat/completions'),
    post('call id of the caller', '/v1/chat/completions', body, { headers: { 'x-litellm-call-id': 'of-the-caller' } }),
    post('time-out of the caller', '/v1/chat/completions', body, { headers: { 'x-litellm-timeout': '30' } }),
  ]
}

function readsOf(): Asked[] {
  const public_ = ['/health/liveliness', '/health/liveness', '/health/readiness']
  const own = [
    '/v1/models',
    '/models',
    '/v1/models/priced',
    '/v1/models/nobody-has-this',
    '/model/info',
    '/v1/model/info',
    '/model_group/info',
  ]
  const body = { model: 'priced', messages: HELLO }
  return [
    ...public_.map((path) => get(`read ${path}`, path, { key: null })),
    ...own.map((path) => get(`read ${path}`, path)),
    post('spend/calculate', '/spend/calculate', body),
    post('token_counter', '/utils/token_counter', body),
    ...['fake', 'stale'].map((id) => get('model info by id', `/model/info?litellm_model_id=${id}`)),
  ]
}
