/** The route of chat completions as OpenAPI describes it. */
import type { RouteConfig } from '@hono/zod-openapi'
import { CREDENTIAL, errorSchema } from '../../api/describe-route.ts'

const text = (description: string) => ({ schema: { type: 'string' as const }, description })
const error = (description: string) => ({ description, content: { 'application/json': { schema: errorSchema } } })

const parameters: RouteConfig['parameters'] = [
  {
    name: 'X-Power-Level',
    in: 'header',
    schema: { type: 'string', enum: ['eco', 'balanced', 'precision'] },
    description: 'Multiplies the price: eco 0.5, balanced 1, precision 2. Precedes the same member of the body.',
  },
  {
    name: 'X-Request-ID',
    in: 'header',
    ...text('Returned and recorded. It is never a billing key.'),
  },
  {
    name: 'Idempotency-Key',
    in: 'header',
    schema: { type: 'string', maxLength: 255 },
    description:
      'The same key and body again: 409 while the call runs, then the same JSON response for 24 hours. A finished stream, and a response that is not kept (above 256 kB, or not among the newest 1,000 of the user), is 409 with its call id.',
  },
]

const headers = {
  'X-Cost-Incurred': text('Credits charged, six decimals. Not on streams.'),
  'X-Credits-Remaining': text('Credits you have left, three decimals. Not on streams.'),
  'X-Cost-Provenance': text('How the cost is known.'),
  'x-litellm-call-id': text('For GET /v1/calls/{call_id}.'),
  'X-BYOK': {
    schema: { type: 'string' as const, enum: ['true', 'false'] },
    description: 'Whether your own key paid the provider (named in X-BYOK-Provider). Nothing is charged then.',
  },
  'X-Max-Tokens-Applied': text('The output cap that was set because no more was covered.'),
  'X-Tollgate-Waited': text('Milliseconds the call waited for your running calls, which held the credits it needs.'),
}

export const chatCompletionsOperation: Omit<RouteConfig, 'method' | 'path'> = {
  tags: ['Chat completions'],
  summary: 'A chat completion',
  description:
    "OpenAI's request and response. Members that the provider is known to accept are passed on as they are; others, duplicate members and names that differ from a known one in case only are refused by name. `power_level` (eco, balanced, precision) may be in the body or in X-Power-Level. Streams end with `data: [DONE]`; with `stream_options.include_usage` the usage frame carries `usage.cost`, the dollars charged.",
  security: CREDENTIAL,
  parameters,
  request: {
    body: {
      required: true,
      content: {
        'application/json': {
          schema: {
            type: 'object',
            required: ['model', 'messages'],
            additionalProperties: true,
            properties: {
              model: { type: 'string' },
              messages: { type: 'array', minItems: 1, items: { type: 'object' } },
              stream: { type: 'boolean' },
            },
          },
        },
      },
    },
  },
  responses: {
    200: {
      description: "OpenAI's chat completion, or a stream of its chunks.",
      headers,
      content: {
        'application/json': { schema: { type: 'object' } },
        'text/event-stream': { schema: { type: 'string' } },
      },
    },
    400: error('A malformed request, an unknown member (named in `param`), or a model without a known price.'),
    401: error('No credential, or one that is not valid.'),
    402: error(
      'insufficient_credits. credits_in_flight: your running calls hold them; see Retry-After. byok_quota_exceeded: the account of your own key.',
    ),
    403: error(
      'No credit allocation, or the organization is not active. plan_inactive: its plan. byok_key_missing, byok_key_rejected: the key you brought.',
    ),
    404: error('There is no such model.'),
    408: error('The body did not arrive in time.'),
    409: error('The Idempotency-Key is in use.'),
    413: error('The body is too large.'),
    415: error('The body is compressed, or its content type is not JSON.'),
    429: error('A limit; see Retry-After.'),
    500: error('An error that was not foreseen.'),
    503: error('The provider or the database is not available; see Retry-After.'),
  },
}

export const chatWithMetadataOperation: Omit<RouteConfig, 'method' | 'path'> = {
  ...chatCompletionsOperation,
  summary: 'A chat completion, with what it cost in the response',
  description: `${chatCompletionsOperation.description} A JSON response has \`_metadata\` besides: provider_used, cost_incurred and credits_remaining in credits, transaction_id, power_level, user_tier, using_byok, byok_provider.`,
}
