/** The route of quotes, for OpenAPI. */
import { type RouteConfig, z } from '@hono/zod-openapi'
import { CREDENTIAL } from '../../api/describe-route.ts'
import { exactNumberSchema } from '../../api/exact-number-schema.ts'
import { error, openBody } from '../describe-call.ts'

const credits = (description: string) => exactNumberSchema.openapi({ description })

const quote = z
  .object({
    object: z.literal('quote'),
    quote_id: z.string().openapi({ description: 'Send it as the header X-Tollgate-Quote of the call.' }),
    model: z.string(),
    power_level: z.enum(['eco', 'balanced', 'precision']),
    max_credits: credits('The most the call can cost, whichever deployment serves it. 0 where your own key pays.'),
    expected_credits: credits('What the call will probably cost.'),
    held_credits: credits('What is set aside when it starts. Less may be enough; a stream may take more as it runs.'),
    expected: z.object({
      basis: z.enum(['history', 'estimate']).openapi({ description: 'history: your own calls of this model.' }),
      calls: z.number().openapi({ description: 'How many of your calls that is based on.' }),
      input_tokens: z.number(),
      output_tokens: z.number(),
    }),
    price: z.object({
      version: z.string().openapi({ description: 'Changes when rates, fees, markup or level change.' }),
      reference: z.string().openapi({ description: 'The source of the rates.' }),
    }),
    created_at: z.iso.datetime(),
    expires_at: z.iso.datetime(),
  })
  .openapi('Quote')

/** @param endpoints the paths whose requests can be quoted. */
export function quotesOperation([usual, ...others]: readonly string[]): Omit<RouteConfig, 'method' | 'path'> {
  return {
    tags: ['Chat completions'],
    summary: 'What a call may cost, without making it',
    description:
      'Takes the body of a call. Nothing is held, fetched or stored, and no balance moves. Sent with the same body by the same user as `X-Tollgate-Quote` until it expires, once or several times, the quote fixes the rates, the markup and the power level of that call; never the total, and never below what the provider takes at the time of the call. A call with a quote goes to no deployment that was not quoted.',
    security: CREDENTIAL,
    parameters: [
      {
        name: 'endpoint',
        in: 'query',
        schema: { type: 'string', enum: [usual ?? '', ...others], default: usual ?? '' },
        description: 'The endpoint that the body is for.',
      },
      {
        name: 'X-Power-Level',
        in: 'header',
        schema: { type: 'string', enum: ['eco', 'balanced', 'precision'] },
        description: 'As in the call.',
      },
    ],
    request: openBody({ model: { type: 'string' } }, ['model']),
    responses: {
      200: { description: 'The quote.', content: { 'application/json': { schema: quote } } },
      400: error('The call would be refused for the same reason, or `endpoint` is unknown.'),
      401: error('No credential, or one that is not valid.'),
      402: error('You have no credits, so no large body is read.'),
      403: error('This key may not call this model, or your plan needs a key of your own.'),
      404: error('There is no such model.'),
      408: error('The body did not arrive in time.'),
      413: error('The body is too large.'),
      415: error('The body is compressed, or its content type is not JSON.'),
      429: error(
        'Too many quotes in a minute (`tollgate.rate_limits.quotes_per_minute`), or calls at once; see Retry-After.',
      ),
      500: error('An unexpected error.'),
      503: error('The database is not available, or no key of the provider is configured.'),
    },
  }
}
