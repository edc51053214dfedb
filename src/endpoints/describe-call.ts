/** What OpenAPI says about every call of a model, whatever its endpoint. */
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
    description:
      'Multiplies the price: eco 0.5, balanced 1, precision 2. Takes precedence over the same member of the body.',
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
    name: 'X-Tollgate-Run',
    in: 'header',
    ...text('The id of a run, from POST /v1/runs: the call counts on its budget too.'),
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
      'A request with the same key and body gets 409 while the call runs, and then the same JSON response for 24 hours. For a finished stream, and for a response that is not kept (above 256 kB, or not among the newest 1,000 of the user), it gets 409 with the call id.',
  },
]

export const callHeaders = {
  'X-Cost-Incurred': text('Credits charged, six decimals. Not on streams.'),
  'X-Credits-Remaining': text('Credits you have left, three decimals. Not on streams.'),
  'X-Cost-Provenance': text('How the cost is known.'),
  'x-litellm-call-id': text('For GET /v1/calls/{call_id}.'),
  'X-BYOK': {
    schema: { type: 'string' as const, enum: ['true', 'false'] },
    description: 'true: your own key paid the provider (named in X-BYOK-Provider), and nothing was charged.',
  },
  'X-Max-Tokens-Applied': text('The output cap that was set because your credits covered no more.'),
  'X-RateLimit-Limit': text(
    'Calls your tier has in the day or the month, whichever leaves less. Without a quota: the limit of a minute that has least left, where there is one, else unlimited.',
  ),
  'X-RateLimit-Remaining': text('What is left of that limit.'),
  'X-RateLimit-Reset': text('When its day, month or minute ends, in seconds since 1970.'),
  'X-RateLimit-Tier': text('The tier whose quota counts.'),
  'X-Tollgate-Waited': text(
    'Milliseconds the call waited for running calls, which held what it needs of your credits or of a limit.',
  ),
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
  422: error(
    "budget_exceeded: a budget that LiteLLM's routes set is used up. Another status where budget_exceeded_status_code says so.",
  ),
  429: error(
    'A limit is reached; see Retry-After. budget_exceeded: it is used up. budget_in_flight: running calls hold the rest of it.',
  ),
  500: error('An unexpected error.'),
  503: error('The provider or the database is not available; see Retry-After.'),
}

type Operation = Omit<RouteConfig, 'method' | 'path'>
type Properties = Readonly<Record<string, Readonly<Record<string, unknown>>>>

/** A JSON object that may have more members than are listed. */
export function openBody(properties: Properties, required: readonly string[]): NonNullable<RouteConfig['request']> {
  const schema = { type: 'object' as const, required: [...required], additionalProperties: true, properties }
  return { body: { required: true, content: { 'application/json': { schema } } } }
}

/** A multipart form that may have more fields than are listed. */
export function formBody(properties: Properties, required: readonly string[]): NonNullable<RouteConfig['request']> {
  const schema = { type: 'object' as const, required: [...required], additionalProperties: true, properties }
  return { body: { required: true, content: { 'multipart/form-data': { schema } } } }
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

/** The operation of a call whose request names a model. @param asked the other described members, all of them required. */
export function callOperation(described: Described, asked: Properties = MESSAGES): Operation {
  const properties = { model: { type: 'string' }, ...asked, stream: { type: 'boolean' } }
  return operationOf(described, openBody(properties, ['model', ...Object.keys(asked)]))
}

/** @param isStreamed true if the response may be a stream. */
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
          // Without a schema: a document of version 3.1 has none for single events, and readers take one of the whole for theirs.
          ...(isStreamed ? { 'text/event-stream': {} } : {}),
        },
      },
      ...callFailures,
    },
  }
}
