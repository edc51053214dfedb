/**
 * POST /v1/quotes: takes the body of a call and says what the call may cost, without making it. Nothing is held, fetched or stored. A
 * quote passes the same checks and limits as the call before its hold, so both refuse the same requests.
 */
import { type RateLimits, rateHeaders } from '../../admission/rate-limits.ts'
import { routeCall } from '../../call/admit.ts'
import type { CallDependencies } from '../../call/call-dependencies.ts'
import type { Endpoint, EndpointRequest } from '../../call/endpoint.ts'
import { powerLevelOf } from '../../call/power-level.ts'
import { figuresOf } from '../../call/quote-figures.ts'
import type { Quotes } from '../../call/quotes.ts'
import { withRequest } from '../../call/with-request.ts'
import type { Database } from '../../db/connect.ts'
import { TollgateError } from '../../http/errors.ts'
import { exactNumber } from '../../http/exact-number.ts'
import type { Exchange } from '../../http/exchange.ts'
import { requestQuery } from '../../http/request-query.ts'
import { respondJson } from '../../http/respond-json.ts'
import { actorOf, type Caller } from '../../identity/caller.ts'
import { requirePermission } from '../../identity/permissions.ts'
import { trimDecimal } from '../../metering/money.ts'
import { findUsualUsage } from '../../reports/usual-usage.ts'

export interface QuoteDependencies {
  calls: CallDependencies
  quotes: Quotes
  /** Connections for the history of callers: a slow query delays quotes only. */
  reports: Database
  rates: Pick<RateLimits, 'request'>
  /** Endpoints by path; the first is used where a request names none. */
  endpoints: Readonly<Record<string, Endpoint>>
}

/** Responds on the exchange. @throws {TollgateError} 400, 401, 403, 404, 408, 413, 415, 429, 503. */
export async function serveQuote(deps: QuoteDependencies, exchange: Exchange): Promise<void> {
  const { calls, rates, endpoints } = deps
  const caller = await calls.admission.identify(exchange.incoming)
  requirePermission(caller, 'llm:inference')
  const endpoint = endpointOf(endpoints, exchange)
  const rule = { name: 'quotes', most: calls.config.rateLimits.quotes, what: 'quotes' }
  const limits = rateHeaders(await rates.request(rule, actorOf(caller)))
  await withRequest(exchange, { deps: calls, endpoint, caller }, async (request) =>
    respondJson(exchange, await quoteOf(deps, endpoint, exchange, caller, request), limits),
  )
}

async function quoteOf(
  { calls, quotes, reports }: QuoteDependencies,
  endpoint: Endpoint,
  exchange: Exchange,
  caller: Caller,
  request: EndpointRequest,
): Promise<unknown> {
  const powerLevel = powerLevelOf(exchange.headers['x-power-level'], request.powerLevel)
  // A whole second, as it is written into the quote.
  const at = new Date(Math.floor(calls.clock.now().getTime() / 1000) * 1000)
  const { modelGroup, candidates } = await routeCall(calls, caller, request, { powerLevel, agreed: null, at })
  const usual = await findUsualUsage(reports, caller, modelGroup)
  const figures = figuresOf(candidates, usual)
  const { id, version, expiresAt } = await quotes.make({ caller, request, endpoint }, { powerLevel, candidates, at })
  return {
    object: 'quote',
    quote_id: id,
    model: request.model,
    power_level: powerLevel,
    max_credits: credits(figures.most),
    expected_credits: credits(figures.expected),
    held_credits: credits(figures.held),
    expected: {
      basis: usual === null ? 'estimate' : 'history',
      calls: usual?.calls ?? 0,
      input_tokens: figures.expectedInput,
      output_tokens: figures.expectedOutput,
    },
    price: { version, reference: candidates[0]!.price.reference },
    created_at: at.toISOString(),
    expires_at: expiresAt.toISOString(),
  }
}

/** @throws {TollgateError} 400. */
function endpointOf(endpoints: Readonly<Record<string, Endpoint>>, { incoming }: Exchange): Endpoint {
  const query = requestQuery(incoming)
  const [usual = ''] = Object.keys(endpoints)
  const path = query.get('endpoint') ?? usual
  const endpoint = Object.hasOwn(endpoints, path) ? endpoints[path] : undefined
  if (endpoint !== undefined) return endpoint
  const known = Object.keys(endpoints).join(', ')
  throw new TollgateError(400, 'unknown_endpoint', `No quotes are made for this endpoint. Name one of ${known}.`, {
    param: 'endpoint',
  })
}

function credits(microcredits: bigint) {
  return exactNumber(trimDecimal(microcredits, 6))
}
