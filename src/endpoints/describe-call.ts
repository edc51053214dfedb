/** What OpenAPI says of every call of a model, whatever its endpoint. */
import type { RouteConfig } from '@hono/zod-openapi'
import { CREDENTIAL, errorSchema } from '../api/describe-route.ts'

const text = (description: string) => ({ schema: { type: 'string' as const }, description })
export const error = (description: string) => ({
  description,
  content: { 'application/json': { schema: errorSchema } },
})

export const callParameters: NonNullable<RouteConfig['parameters']> = [
  {
    name: 'X-Power-Level',
    in: 'header',
    schema: { type: 'string', enum: ['eco', 'balanced', 'precision'] },
    description: 'Multiplies the price: eco 0.5, balanced 1, precision 2. Precedes the same member of the body.',
  },
  {
    name: 'X-Org-ID',
    in: 'header',
    ...text('The id of the organization that pays, for callers who belong to several.'),
  },
  {
    name: 'X-User-ID',
    in: 'header',
    ...text('The member who pays, for services that may act as members.'),
  },
  {
    name: 'X-Tollgate-Quote',
    in: 'header',
    ...text('A quote_id of POST /v1/quotes for the same body: its rates, markup and level are those of this call.'),
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

export const callHeaders = {
  'X-Cost-Incurred': text('Credits charged, six decimals. Not on streams.'),
  'X-Credits-Remaining': text('Credits you have left, three decimals. Not on streams.'),
  'X-Cost-Provenance': text('How the cost is known.'),
  'x-litellm-call-id': text('For GET /v1/calls/{call_id}.'),
  'X-BYOK': {
    schema: { type: 'string' as const, enum: ['true', 'false'] },
    description: 'Whether your own key paid the provider (named in X-BYOK-Provider). Nothing is charged then.',
  },
  'X-Max-Tokens-Applied': text('The output cap that was set because no more was covered.'),
  'X-RateLimit-Limit': text(
    'Where calls of a key, a user, an organization or a plan are limited in a minute: the limit that has least left.',
  ),
  'X-RateLimit-Remaining': text('What is left of it.'),
  'X-RateLimit-Reset': text('When its minute ends, in seconds since 1970.'),
  'X-Tollgate-Waited': text('Milliseconds the call waited for your running calls, which held the credits it needs.'),
}

export const callFailures = {
  400: error(
    'A malformed request, an unknown member (named in `param`), a model without a known price, or a quote that is not for this call or has expired.',
  ),
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
}

type Operation = Omit<RouteConfig, 'method' | 'path'>
type Properties = Readonly<Record<string, Readonly<Record<string, unknown>>>>

/** A JSON object in which nobody lists all members. */
export function openBody(properties: Properties, required: readonly string[]): NonNullable<RouteConfig['request']> {
  const schema = { type: 'object' as const, required: [...required], additionalProperties: true, properties }
  return { body: { required: true, content: { 'application/json': { schema } } } }
}

const filledText = { type: 'string', minLength: 1 }
const tokens = { type: 'array', minItems: 1, items: { type: 'integer', minimum: 0 } }

/** A text, a list of texts, tokens, or a list of those. */
export function textsOrTokens(most: number): Readonly<Record<string, unknown>> {
  const listOf = (items: unknown) => ({ type: 'array', minItems: 1, maxItems: most, items })
  return { anyOf: [filledText, listOf(filledText), tokens, listOf(tokens)] }
}

export const MESSAGES: Properties = { messages: { type: 'array', minItems: 1, items: { type: 'object' } } }

interface Described {
  summary: string
  description: string
  response: string
}

/** Of a call whose request names a model. @param asked the members besides that are described, all of them required. */
export function callOperation(described: Described, asked: Properties = MESSAGES): Operation {
  const properties = { model: { type: 'string' }, ...asked, stream: { type: 'boolean' } }
  return operationOf(described, openBody(properties, ['model', ...Object.keys(asked)]))
}

/** @param isStreamed its response may be a stream. */
export function operationOf(
  { summary, description, response }: Described,
  request: NonNullable<RouteConfig['request']>,
  isStreamed = true,
): Operation {
  return {
    tags: ['Chat completions'],
    summary,
    description,
    security: CREDENTIAL,
    parameters: callParameters,
    request,
    responses: {
      200: {
        description: response,
        headers: callHeaders,
        content: {
          'application/json': { schema: { type: 'object' } },
          ...(isStreamed ? { 'text/event-stream': { schema: { type: 'string' } } } : {}),
        },
      },
      ...callFailures,
    },
  }
}
