/** Requests nobody would send: bodies, headers and paths, as a caller might who means harm or whose client is broken. */
import fc from 'fast-check'
import { HOSTILE_BODIES } from '../support/hostile-bodies.ts'

export interface FuzzedRequest {
  method: string
  path: string
  headers: Record<string, string>
  body: Buffer
  withKey: boolean
}

/** By dialect and rule; see test/attack/config.ts. */
export const MODELS = ['gpt-4o-mini', 'claude', 'flash', 'grok', 'llama', 'routed', 'dropping', 'everything', 'stairs']

const MEMBERS = [
  ...[
    'messages',
    'tools',
    'tool_choice',
    'stream',
    'stream_options',
    'max_tokens',
    'max_completion_tokens',
    'n',
    'stop',
  ],
  ...['response_format', 'modalities', 'audio', 'prediction', 'web_search_options', 'metadata', 'logit_bias', 'user'],
  ...[
    'reasoning_effort',
    'reasoning',
    'thinking',
    'extra_body',
    'functions',
    'function_call',
    'service_tier',
    'models',
  ],
  ...[
    'plugins',
    'provider',
    'usage',
    'store',
    'seed',
    'parallel_tool_calls',
    'temperature',
    'top_p',
    'top_k',
    'logprobs',
  ],
  ...['top_logprobs', 'safety_settings', 'power_level', 'background', 'mcp_servers', 'cache_control', '__proto__'],
]
const INNER = [
  ...[
    'role',
    'content',
    'name',
    'type',
    'text',
    'image_url',
    'url',
    'file',
    'file_data',
    'input_audio',
    'data',
    'format',
  ],
  ...[
    'tool_calls',
    'tool_call_id',
    'id',
    'function',
    'arguments',
    'parameters',
    'schema',
    'json_schema',
    '$ref',
    'refusal',
  ],
  ...['thinking_blocks', 'signature', 'extra_content', 'google', 'allowed_tools', 'mode', 'detail', 'images', 'audio'],
]
const WORDS = [
  ...[
    'text',
    'image_url',
    'input_audio',
    'file',
    'function',
    'user',
    'assistant',
    'tool',
    'system',
    'developer',
    'auto',
  ],
  ...[
    'none',
    'required',
    'json_object',
    'json_schema',
    'web_search',
    'wav',
    'data:image/png;base64,iVBORw0KGgo=',
    '#/$defs/a',
  ],
  ...[
    'call_1',
    'call_1__sig_AAAA',
    'call_1__gsig_AAAA',
    'call_1__gsigt_',
    'http://127.0.0.1:1/x.png',
    '{"a":1}',
    '{',
    '%E0%A4%A',
  ],
]

/** Any UTF-16 at all, halves of pairs among it. */
const text = fc.oneof(
  { weight: 4, arbitrary: fc.constantFrom(...WORDS) },
  { weight: 2, arbitrary: fc.string({ unit: 'binary', maxLength: 20 }) },
  fc.array(fc.integer({ min: 0, max: 0xffff }), { maxLength: 8 }).map((units) => String.fromCharCode(...units)),
)
const scalar = fc.oneof(
  text,
  fc.integer(),
  fc.double({ noNaN: true, noDefaultInfinity: true }),
  fc.boolean(),
  fc.constant(null),
)
const { value } = fc.letrec<{ value: unknown }>((tie) => ({
  value: fc.oneof(
    { maxDepth: 5, withCrossShrink: true },
    { weight: 3, arbitrary: scalar },
    fc.array(tie('value'), { maxLength: 4 }),
    fc.dictionary(fc.oneof({ weight: 6, arbitrary: fc.constantFrom(...INNER) }, text), tie('value'), { maxKeys: 5 }),
  ),
}))
const mostly = <T>(usual: fc.Arbitrary<T>) => fc.oneof({ weight: 5, arbitrary: usual as fc.Arbitrary<unknown> }, value)

const part = fc.record(
  {
    type: mostly(fc.constantFrom('text', 'image_url', 'input_audio', 'file', 'refusal')),
    text: mostly(text),
    image_url: mostly(fc.record({ url: text })),
    file: value,
    input_audio: value,
  },
  { requiredKeys: ['type'] },
)
const call = fc.record(
  {
    id: mostly(fc.constantFrom('call_1', 'call_2', '', 'call_1__sig_q1Y')),
    type: mostly(fc.constant('function')),
    function: mostly(fc.record({ name: text, arguments: mostly(fc.constantFrom('{}', '{"a":1.0}', '[', '')) })),
  },
  { requiredKeys: [] },
)
const message = fc.record(
  {
    role: mostly(fc.constantFrom('user', 'assistant', 'system', 'tool', 'developer', 'function')),
    content: mostly(fc.oneof(text, fc.array(mostly(part), { maxLength: 3 }))),
    tool_calls: mostly(fc.array(mostly(call), { maxLength: 3 })),
    tool_call_id: mostly(fc.constantFrom('call_1', 'call_2', '')),
    name: value,
    thinking_blocks: value,
    extra_content: value,
  },
  { requiredKeys: ['role', 'content'] },
)
const request = fc
  .record({
    model: fc.oneof({ weight: 9, arbitrary: fc.constantFrom<unknown>(...MODELS) }, value),
    messages: mostly(fc.array(mostly(message), { minLength: 1, maxLength: 5 })),
    more: fc.dictionary(fc.oneof({ weight: 5, arbitrary: fc.constantFrom(...MEMBERS) }, text), value, { maxKeys: 4 }),
  })
  .map(({ model, messages, more }) => Buffer.from(JSON.stringify({ ...more, model, messages })))

/** Good JSON with bytes changed, left out or repeated. */
function broken(bytes: fc.Arbitrary<Buffer>): fc.Arbitrary<Buffer> {
  const change = fc.record({ at: fc.nat(), drop: fc.nat(8), put: fc.uint8Array({ maxLength: 4 }) })
  return fc.tuple(bytes, fc.array(change, { minLength: 1, maxLength: 4 })).map(([whole, changes]) =>
    changes.reduce((buffer, { at, drop, put }) => {
      const place = at % (buffer.length + 1)
      return Buffer.concat([buffer.subarray(0, place), put, buffer.subarray(place + drop)])
    }, whole),
  )
}

const hostile = fc
  .record({
    shape: fc.constantFrom(...HOSTILE_BODIES),
    bytes: fc.integer({ min: 10, max: 8_000 }),
    model: fc.constantFrom(...MODELS),
  })
  .map(({ shape, bytes, model }) => shape.make(bytes, model))

const body = fc.oneof(
  { weight: 6, arbitrary: request },
  { weight: 2, arbitrary: hostile },
  { weight: 2, arbitrary: broken(request) },
  broken(hostile),
  fc.uint8Array({ maxLength: 200 }).map((bytes) => Buffer.from(bytes)),
)

/** What a header can hold on the wire. */
const headerText = fc
  .array(fc.oneof(fc.integer({ min: 0x20, max: 0x7e }), fc.integer({ min: 0x80, max: 0xff })), { maxLength: 40 })
  .map((codes) => String.fromCharCode(...codes).trim())
const NAMES = [
  ...[
    'x-request-id',
    'idempotency-key',
    'x-power-level',
    'authorization',
    'x-api-key',
    'content-type',
    'content-encoding',
  ],
  ...[
    'accept',
    'accept-encoding',
    'origin',
    'cookie',
    'x-forwarded-for',
    'forwarded',
    'range',
    'if-none-match',
    'traceparent',
  ],
]
/** Mostly none that decide before the body is looked at. */
const headers = fc.oneof(
  { weight: 3, arbitrary: fc.constant<Record<string, string>>({}) },
  fc.dictionary(fc.constantFrom(...NAMES), headerText, { maxKeys: 3, noNullPrototype: true }),
)

const CHAT = '/v1/chat/completions'
const segment = fc.oneof(headerText, text).map((piece) => encodeURIComponent(piece.toWellFormed()))
const path = fc.oneof(
  { weight: 40, arbitrary: fc.constant(CHAT) },
  segment.map((one) => `/v1/models/${one}`),
  segment.map((one) => `/v1/calls/${one}`),
  segment.map((one) => `/api/v1/llm/byok/keys/${one}`),
  segment.map((one) => `/api/v1/llm/byok/keys/${one}/toggle`),
  segment.map((one) => `/api/v1/admin/audit-log?limit=${one}&subject=${one}`),
  fc.constantFrom(
    '/api/v1/llm/byok/keys',
    '/v1/models',
    '/%',
    '/v1/models/%ED%A0%80',
    '//v1//models',
    '/health/readiness',
  ),
  segment.map((one) => `/${one}`),
)

export const fuzzedRequest: fc.Arbitrary<FuzzedRequest> = fc
  .record({
    path,
    method: fc.oneof(
      { weight: 8, arbitrary: fc.constant('POST') },
      fc.constantFrom('GET', 'PUT', 'DELETE', 'PATCH', 'HEAD'),
    ),
    headers,
    body,
    withKey: fc.integer({ min: 0, max: 19 }).map((roll) => roll > 0),
  })
  .map((one) => ({ ...one, method: one.path === CHAT ? 'POST' : one.method }))
