/** The OpenAPI description of what this server answers. */
import { keyPaths } from './openapi-keys.ts'

const bearer = [{ key: [] }]
const json = (schema: Record<string, unknown>) => ({ 'application/json': { schema } })
const error = (description: string) => ({ description, content: json({ $ref: '#/components/schemas/Error' }) })

export type OpenApi = ReturnType<typeof openApi>

export function openApi(version: string) {
  return {
    openapi: '3.1.0',
    info: {
      title: 'Tollgate',
      version,
      description: 'OpenAI-compatible proxy that meters every call against prepaid credits. One credit is $0.001.',
    },
    components: {
      securitySchemes: {
        key: { type: 'http', scheme: 'bearer', description: 'An API key (`uc_` and 64 hex digits) or the master key.' },
      },
      schemas: { Error: errorSchema, Call: callSchema },
    },
    paths: {
      '/v1/chat/completions': { post: chatOperation },
      '/v1/models': {
        get: {
          summary: 'The models you can ask for',
          security: bearer,
          responses: { 200: { description: "A list in OpenAI's form." }, 401: error('No or wrong key.') },
        },
      },
      '/v1/models/{model}': {
        get: {
          summary: 'One model',
          security: bearer,
          parameters: [{ name: 'model', in: 'path', required: true, schema: { type: 'string' } }],
          responses: {
            200: { description: 'The model.' },
            401: error('No or wrong key.'),
            404: error('Unknown model.'),
          },
        },
      },
      '/v1/calls/{call_id}': {
        get: {
          summary: 'What a call cost, and why',
          description:
            'Your own calls; an admin of an organization sees all of theirs. The id is in the x-litellm-call-id header of every answer.',
          security: bearer,
          parameters: [{ name: 'call_id', in: 'path', required: true, schema: { type: 'string', format: 'uuid' } }],
          responses: {
            200: { description: 'The call.', content: json({ $ref: '#/components/schemas/Call' }) },
            401: error('No or wrong key.'),
            404: error('No such call of yours.'),
          },
        },
      },
      ...keyPaths,
      '/metrics': {
        get: {
          summary: "The process's numbers, for Prometheus",
          description: 'Open to this machine; else with the master key or TOLLGATE_METRICS_TOKEN.',
          security: bearer,
          responses: { 200: { description: 'Text in the format of Prometheus.' }, 401: error('No or wrong key.') },
        },
      },
      '/health/liveness': {
        get: { summary: 'The same as /health/liveliness', responses: { 200: { description: 'Alive.' } } },
      },
      '/health/liveliness': { get: { summary: 'The process runs', responses: { 200: { description: 'Alive.' } } } },
      '/health/readiness': {
        get: {
          summary: 'Calls can be taken',
          responses: {
            200: { description: 'Ready.' },
            503: { description: 'The database does not answer, or the process is shutting down.' },
          },
        },
      },
    },
  }
}

const errorSchema = {
  type: 'object',
  required: ['error', 'detail'],
  properties: {
    error: {
      type: 'object',
      required: ['message', 'type', 'param', 'code'],
      properties: {
        message: { type: 'string', description: 'What is wrong and what to do.' },
        type: { type: 'string' },
        param: { type: ['string', 'null'] },
        code: { type: ['string', 'null'], description: 'Stable.' },
        required: { type: 'string', description: 'Credits the call needs at least (402).' },
        available: { type: 'string', description: 'Credits there are (402).' },
      },
    },
    detail: { type: 'string', description: 'The message again.' },
  },
}

const callSchema = {
  type: 'object',
  properties: {
    call_id: { type: 'string', format: 'uuid' },
    request_id: { type: ['string', 'null'], description: 'The X-Request-ID you sent.' },
    status: { enum: ['running', 'settled', 'released', 'recovered'] },
    outcome: { enum: ['answered', 'stopped', 'failed', 'client_disconnected', 'cut_off'] },
    model: { type: 'string' },
    credits: { type: 'string', description: 'What was charged, in credits.' },
    cost: { type: 'string', description: 'The same in dollars.' },
    api_cost: { type: 'string', description: 'What the provider takes, in dollars.' },
    markup: { type: 'string', description: 'What was put on top, in dollars.' },
    provenance: { enum: ['provider_cost', 'provider_usage', 'estimated', 'recovered', 'disputed', null] },
    usage: { type: ['object', 'null'], description: "Tokens, in OpenAI's form." },
    details: { type: 'object', description: 'Provider, deployment, price, timing.' },
    settled_at: { type: 'string', format: 'date-time' },
  },
}

const chatOperation = {
  summary: 'A chat completion (also at /chat/completions)',
  description:
    "OpenAI's request and answer. Members that the provider is known to take are passed on as they are; others, members that stand twice and names that differ from a known one in case only are refused by name. `power_level` (eco, balanced, precision) may stand in the body or in X-Power-Level. Streams end with `data: [DONE]`; with `stream_options.include_usage` the usage frame carries `usage.cost`, the dollars charged.",
  security: bearer,
  parameters: [
    {
      name: 'X-Power-Level',
      in: 'header',
      schema: { enum: ['eco', 'balanced', 'precision'] },
      description: 'Multiplies the price: eco 0.5, balanced 1, precision 2. Wins over the body.',
    },
    {
      name: 'X-Request-ID',
      in: 'header',
      schema: { type: 'string' },
      description: 'Echoed and recorded; never a billing key.',
    },
    {
      name: 'Idempotency-Key',
      in: 'header',
      schema: { type: 'string', maxLength: 255 },
      description:
        'The same key and body again: 409 while the call runs, then the same JSON answer for 24 hours; a finished stream, and an answer that is not kept (above 256 kB, or not among the newest 1,000 of the user), answers 409 with its call id.',
    },
  ],
  requestBody: {
    required: true,
    content: json({
      type: 'object',
      required: ['model', 'messages'],
      additionalProperties: true,
      properties: {
        model: { type: 'string' },
        messages: { type: 'array', minItems: 1, items: { type: 'object' } },
        stream: { type: 'boolean' },
      },
    }),
  },
  responses: {
    200: {
      description: "OpenAI's chat completion, or a stream of its chunks.",
      headers: {
        'X-Cost-Incurred': {
          schema: { type: 'string' },
          description: 'Credits charged, six decimals. Not on streams.',
        },
        'X-Credits-Remaining': {
          schema: { type: 'string' },
          description: 'Credits you have left, three decimals. Not on streams.',
        },
        'X-Cost-Provenance': { schema: { type: 'string' }, description: 'How the cost is known.' },
        'x-litellm-call-id': { schema: { type: 'string' }, description: 'For GET /v1/calls/{call_id}.' },
        'X-BYOK': {
          schema: { enum: ['true', 'false'] },
          description: 'Whether your own key paid the provider (named in X-BYOK-Provider); nothing is charged then.',
        },
        'X-Max-Tokens-Applied': {
          schema: { type: 'string' },
          description: 'The output cap that was set because no more was covered.',
        },
        'X-Tollgate-Waited': {
          schema: { type: 'string' },
          description: 'Milliseconds the call waited for your running calls, which held the credits it needs.',
        },
      },
    },
    400: error(
      'Malformed request, a member that is not known here (named in `param`), or a model without a known price.',
    ),
    401: error('No or wrong key.'),
    402: error(
      'insufficient_credits; credits_in_flight: your running calls hold them (Retry-After); byok_quota_exceeded: your own account.',
    ),
    403: error(
      'No credit allocation; the organization is not active; plan_inactive: its plan; byok_key_missing, byok_key_rejected: the key you brought.',
    ),
    404: error('Unknown model.'),
    409: error('The Idempotency-Key is taken.'),
    413: error('The body is too large.'),
    415: error('Not JSON.'),
    429: error('A limit; see Retry-After.'),
    503: error('The provider or the database is not available; see Retry-After.'),
  },
}
