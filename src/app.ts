/** Mounts every surface of the product and what all of them share: request id, errors. No handler is here. */
import { RESPONSE_ALREADY_SENT } from '@hono/node-server/utils/response'
import { OpenAPIHono } from '@hono/zod-openapi'
import type { Context } from 'hono'
import { createDocumentBytes } from './admission/document-bytes.ts'
import { createMistakenRequests } from './admission/mistaken-requests.ts'
import { RATE_HEADERS, type RateLimits } from './admission/rate-limits.ts'
import { createAccountSurface } from './api/account/surface.ts'
import { createAdminSurface } from './api/admin/surface.ts'
import type { AppFiles } from './api/app/app-files.ts'
import { createAppSurface } from './api/app/surface.ts'
import { createAuthSurface } from './api/auth/surface.ts'
import { createByokSurface } from './api/byok/surface.ts'
import { createCallerLimit } from './api/caller-limit.ts'
import { createDocsSurface } from './api/docs/surface.ts'
import { mountEvents } from './api/events/mount-events.ts'
import { createKeySurface } from './api/keys/surface.ts'
import { createLitellmSurface } from './api/litellm/surface.ts'
import { createLlmSurface } from './api/llm/surface.ts'
import { describeApi, type OpenApiDocument } from './api/openapi.ts'
import { createOperationsSurface } from './api/operations/surface.ts'
import { createOrgBillingSurface } from './api/org-billing/surface.ts'
import { createRunsSurface } from './api/runs/surface.ts'
import { mountSurface, type Surface } from './api/surface.ts'
import { unknownRoute } from './api/unknown-route.ts'
import { unservedRoute } from './api/unserved-route.ts'
import { createCallSurface, createUsageSurface } from './api/usage/surface.ts'
import { createWebhookSurface } from './api/webhooks/stripe.ts'
import { createStripe } from './billing/stripe.ts'
import type { CallDependencies } from './call/call-dependencies.ts'
import type { Quotes } from './call/quotes.ts'
import { serveCall } from './call/serve-call.ts'
import type { Config } from './config/config.ts'
import type { Database } from './db/connect.ts'
import { COUNTS } from './endpoints/count-tokens/counts.ts'
import { serveCount } from './endpoints/count-tokens/serve-count.ts'
import { ENDPOINTS, endpointsByPath, errorsByPath } from './endpoints/endpoints.ts'
import { generateOperation } from './endpoints/generate-content/openapi.ts'
import { serveGenerate } from './endpoints/generate-content/serve-generate.ts'
import { askedInPath, describedInPath, pathsWithModel } from './endpoints/model-in-path/model-in-path.ts'
import { createModelsSurface } from './endpoints/models/surface.ts'
import { type EndpointDependencies, mountEndpoint } from './endpoints/mount-endpoint.ts'
import { quotesOperation } from './endpoints/quotes/openapi.ts'
import { serveQuote } from './endpoints/quotes/serve-quote.ts'
import type { KeptResponses } from './endpoints/responses/kept-responses.ts'
import { createKeptResponsesSurface } from './endpoints/responses/kept-surface.ts'
import type { AppEnv } from './http/app-env.ts'
import type { Cors } from './http/cors.ts'
import { errorBody, type TollgateError, toTollgateError } from './http/errors.ts'
import type { Exchange } from './http/exchange.ts'
import { requestIdOf } from './http/request-id.ts'
import { requestPath } from './http/request-path.ts'
import { setSecurityHeaders } from './http/security-headers.ts'
import type { ClientOf } from './http/trusted-proxies.ts'
import type { Identify } from './identity/identify.ts'
import type { People } from './identity/people.ts'
import type { Health } from './observe/health.ts'
import type { Log } from './observe/log.ts'
import type { Metrics } from './observe/metrics.ts'
import type { MetricsAccess } from './observe/metrics-access.ts'
import { createRefusalLog } from './observe/refusal-log.ts'
import { createChanges } from './reports/changes.ts'
import type { Router } from './routing/route.ts'
import { createTestKey } from './vault/test-provider-key.ts'
import type { Vault } from './vault/vault.ts'

export interface AppDependencies extends Pick<EndpointDependencies, 'draining' | 'running' | 'requestIds'> {
  calls: CallDependencies
  quotes: Quotes
  keptResponses: KeptResponses
  config: Config
  identify: Identify
  rates: RateLimits
  router: Router
  vault: Vault
  log: Log
  metrics: Metrics
  now: () => Date
  /** Connections for everything that is not a call: a slow report delays reports only. */
  reports: Database
  health: Health
  mayReadMetrics: MetricsAccess
  cors: Cors
  clientOf: ClientOf
  people: People
  newId: () => string
  version: string
  /** Of the app for browsers; null where it was not built. */
  appFiles: AppFiles | null
}

/** Tests of keys a minute: for each user, and for each system administrator. */
const BYOK_TESTS = 5
const ADMIN_TESTS = 10
/** Changes of a caller's keys a minute. */
const BYOK_CHANGES = 20

/** Under these paths a credential is checked before anybody learns which routes exist. */
const CLOSED = /^\/(?:v1|v1beta|api)(?:\/|$)/

export function createApp(deps: AppDependencies): OpenAPIHono<AppEnv> {
  const app = new OpenAPIHono<AppEnv>({ getPath: (_, options) => requestPath(targetOf(options?.env)) })
  const render = createRenderer(deps)

  app.use(async function requestId(c, next) {
    const ownId = deps.newId()
    c.set('ownId', ownId)
    c.set(
      'requestId',
      requestIdOf(c.env.incoming.headers['x-request-id'], () => ownId),
    )
    c.header('X-Request-ID', c.get('requestId'))
    await next()
  })
  app.use(async function edges(c, next) {
    const { incoming, outgoing } = c.env
    setSecurityHeaders(outgoing, deps.clientOf(incoming).isHttps)
    // Before the credential is checked: browsers send none with a preflight.
    if (deps.cors.preflight(incoming, outgoing)) return c.body(null, 204)
    deps.cors.open(incoming, outgoing)
    return next()
  })

  for (const { endpoint, besides: _, ...place } of ENDPOINTS)
    mountEndpoint(app, { ...place, serve: (exchange) => serveCall(deps.calls, endpoint, exchange) }, deps)
  for (const mounted of ENDPOINTS) {
    const paths = pathsWithModel(mounted)
    // Names of models hold slashes, so which route was matched does not say which endpoint is asked: the path does.
    const serve = (exchange: Exchange) =>
      serveCall(deps.calls, askedInPath(exchange.incoming.url ?? '', ENDPOINTS) ?? mounted.endpoint, exchange)
    if (paths !== null) mountEndpoint(app, { paths, operation: describedInPath(mounted), serve }, deps)
  }
  const endpoints = endpointsByPath()
  const quotes = {
    paths: ['/v1/quotes', '/api/v1/llm/quotes'] as const,
    operation: quotesOperation(Object.keys(endpoints)),
    serve: (exchange: Exchange) => serveQuote({ ...deps, endpoints }, exchange),
  }
  mountEndpoint(app, quotes, deps)
  for (const { endpoint, show, ...place } of COUNTS)
    mountEndpoint(app, { ...place, serve: (exchange) => serveCount(deps.calls, endpoint, exchange, show) }, deps)
  const generates = {
    paths: ['/v1beta/models/{model}', '/v1/models/{model}'] as const,
    operation: generateOperation,
    serve: (exchange: Exchange) => serveGenerate(deps.calls, exchange),
  }
  mountEndpoint(app, generates, deps)
  // Made at the first request for it: it takes longer than the rest of the start.
  const document = () => describeApi(app, { version: deps.version, groups, credentials })
  const surfaces = createSurfaces(deps, document)
  const monotonic = () => deps.calls.clock.monotonic()
  const bounds = { mistakes: createMistakenRequests(monotonic), documents: createDocumentBytes(monotonic) }
  for (const surface of surfaces) mountSurface(app, surface, { ...deps, ...bounds })
  const later = (milliseconds: number, run: () => void) => void setTimeout(run, milliseconds).unref()
  mountEvents(app, 'Usage', { ...deps, changes: createChanges({ database: deps.reports, later }) })
  const groups = [{ name: 'Chat completions', description: 'Calls of models, charged.' }, ...surfaces]
  const credentials = { cookie: deps.config.sessions.cookie, keyHeader: deps.config.keyHeader }

  app.notFound(async (c) => {
    const { method, path } = c.req
    const unserved = unservedRoute(method, path)
    if (unserved !== null || CLOSED.test(path)) await deps.identify(c.env.incoming)
    throw unserved ?? unknownRoute(app, method, path)
  })
  app.onError((error, c) => render(c, error))
  return app
}

function createSurfaces(deps: AppDependencies, document: () => OpenApiDocument): readonly Surface[] {
  const { config } = deps
  const testKey = createTestKey(config)
  const stripe = config.billing.stripe === null ? null : createStripe(config.billing.stripe)
  const limit = (name: string, most: number, what: string) => createCallerLimit(deps.rates, { name, most, what })
  return [
    createModelsSurface(deps),
    createKeptResponsesSurface(deps.keptResponses),
    createCallSurface(deps),
    createUsageSurface(deps),
    createRunsSurface({ ...deps, runs: deps.calls.runs }),
    createOrgBillingSurface({ ...deps, stripe }),
    createLlmSurface({ ...deps, prices: deps.calls.money.prices, stripe }),
    createWebhookSurface({ ...deps, stripe }),
    createLitellmSurface({
      ...deps,
      prices: deps.calls.money.prices,
      document,
      isAway: (id) => deps.calls.routing.traffic.standing(id).isAway,
    }),
    createByokSurface({
      ...deps,
      testKey,
      testLimit: limit('byok tests', BYOK_TESTS, 'tests'),
      changeLimit: limit('byok changes', BYOK_CHANGES, 'changes'),
    }),
    createAdminSurface({ ...deps, testKey, testLimit: limit('platform key tests', ADMIN_TESTS, 'tests') }),
    createAccountSurface(deps),
    createKeySurface(deps),
    createAuthSurface(deps),
    createOperationsSurface(deps),
    createDocsSurface(deps.version, document),
    createAppSurface(deps.version, deps.appFiles),
  ]
}

/** What the adapter passes with each request. */
function targetOf(bindings: Partial<AppEnv['Bindings']> | undefined): string {
  return bindings?.incoming?.url ?? '/'
}

type Render = (c: Context<AppEnv>, thrown: unknown) => Response

/** The one place that renders an error, in the dialect of the endpoint that was asked, counts it and logs it. */
function createRenderer({ metrics, log, now }: Pick<AppDependencies, 'metrics' | 'log' | 'now'>): Render {
  const refusals = createRefusalLog(log)
  const formAt = errorsByPath(errorBody)
  return (c, thrown) => {
    const error = toTollgateError(thrown)
    const requestId = c.get('requestId')
    metrics.error(c.env.outgoing, error.code)
    if (error.limit !== null) metrics.refused(error.limit)
    const line = {
      request_id: requestId,
      call_id: c.get('ownId'),
      status: error.status,
      code: error.code,
      path: c.req.path,
    }
    // The call's own log line says what a provider did.
    if (error.status >= 500 && !error.code.startsWith('provider_')) {
      refusals.failed({ ...line, err: error.cause ?? error }, error.message)
    } else refusals.refused(line)
    if (c.env.outgoing.headersSent) {
      c.env.outgoing.destroy()
      return RESPONSE_ALREADY_SENT
    }
    const form = formAt(c.req.path)
    if (error.status === 429)
      for (const name of [...RATE_HEADERS, ...form.rateHeaders]) c.env.outgoing.removeHeader(name)
    const headers = { ...final(error), ...comeBack(error, now()), ...form.headers(error), ...error.headers }
    for (const [name, value] of Object.entries(headers)) c.header(name, value)
    c.header('X-Request-ID', requestId)
    c.header('x-litellm-call-id', c.get('ownId'))
    const told = form.as(error, c.env.incoming.headers)
    return c.body(JSON.stringify(form.body(told)), told.status as 400, {
      'Content-Type': 'application/json; charset=utf-8',
    })
  }
}

/** Of a client's mistakes, only these pass by themselves; what else does says so. */
const PASSING: ReadonlySet<number> = new Set([408, 409, 425, 429])

/** Some clients repeat a 401 for a minute, silently, unless they are told that it won't help. */
function final({ status }: TollgateError): Record<string, string> {
  return status < 500 && !PASSING.has(status) ? { 'x-should-retry': 'false' } : {}
}

/** Every 429 says when to come back in both ways that clients read. */
function comeBack({ status, headers }: TollgateError, now: Date): Record<string, string> {
  const seconds = Number(headers['Retry-After'])
  if (status !== 429 || !(seconds > 0)) return {}
  return { 'X-RateLimit-Reset': `${Math.floor(now.getTime() / 1000) + Math.ceil(seconds)}` }
}
