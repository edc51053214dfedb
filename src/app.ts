/** Every route of the product. */
import { RESPONSE_ALREADY_SENT } from '@hono/node-server/utils/response'
import { OpenAPIHono } from '@hono/zod-openapi'
import type { Context } from 'hono'
import type { ApiRequest } from './api/admin/api-request.ts'
import {
  byokUsage,
  deleteByokKey,
  listByokKeys,
  listByokProviders,
  saveByokKey,
  testByokKey,
  toggleByokKey,
} from './api/admin/byok-keys.ts'
import { createMinuteLimit, type MinuteLimit } from './api/admin/minute-limit.ts'
import {
  deletePlatformKey,
  listPlatformKeys,
  refuseDecrypted,
  savePlatformKey,
  testPlatformKey,
} from './api/admin/platform-keys.ts'
import { createAdminSurface } from './api/admin/surface.ts'
import { createTestKey } from './api/admin/test-provider-key.ts'
import { createLlmSurface } from './api/llm/surface.ts'
import { createOrgBillingSurface } from './api/org-billing/surface.ts'
import { mountSurface } from './api/surface.ts'
import { createWebhookSurface } from './api/webhooks/stripe.ts'
import { findCall } from './billing/find-call.ts'
import { createStripe } from './billing/stripe.ts'
import { type ChatDependencies, chat, findRoute } from './call/chat.ts'
import { chooseKeys } from './call/choose-key.ts'
import { openExchange } from './call/exchange.ts'
import type { Deployment } from './config/config.ts'
import type { Database } from './db/connect.ts'
import type { AppEnv } from './http/app-env.ts'
import type { Cors } from './http/cors.ts'
import { docsPage } from './http/docs-page.ts'
import { errorBody, TollgateError, toTollgateError } from './http/errors.ts'
import { openApi } from './http/openapi.ts'
import { readJson } from './http/read-json.ts'
import { requestIdOf } from './http/request-id.ts'
import { requestPath } from './http/request-path.ts'
import { setSecurityHeaders } from './http/security-headers.ts'
import type { ClientOf } from './http/trusted-proxies.ts'
import { actorOf } from './identity/caller.ts'
import { type Permission, requirePermission } from './identity/permissions.ts'
import type { Health } from './observe/health.ts'
import type { MetricsAccess } from './observe/metrics-access.ts'
import { createRefusalLog } from './observe/refusal-log.ts'

export interface AppDependencies extends ChatDependencies {
  /** For everything that is no call: what is slow there waits for itself only. */
  reports: Database
  health: Health
  draining: () => boolean
  /** The calls being answered, for the drain to wait for. */
  running: Set<Promise<void>>
  /** Of the running calls, for the log. */
  requestIds: Map<string, string>
  mayReadMetrics: MetricsAccess
  cors: Cors
  clientOf: ClientOf
  newId: () => string
  version: string
}

/** Tests of keys a minute: for each user, and for each system administrator. */
const BYOK_TESTS = 5
const ADMIN_TESTS = 10
/** Changes of a caller's keys a minute. */
const BYOK_CHANGES = 20

/** A model in OpenAI's form. */
function modelObject(id: string): Record<string, unknown> {
  return { id, object: 'model', created: 0, owned_by: 'tollgate' }
}

/** What the adapter passes along with each request. */
function targetOf(bindings: Partial<AppEnv['Bindings']> | undefined): string {
  return bindings?.incoming?.url ?? '/'
}

export function createApp(deps: AppDependencies): OpenAPIHono<AppEnv> {
  const app = new OpenAPIHono<AppEnv>({ getPath: (_, options) => requestPath(targetOf(options?.env)) })
  const refusals = createRefusalLog(deps.log)

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
    // Before anybody is asked who they are: browsers send no credential with a preflight.
    if (deps.cors.preflight(incoming, outgoing)) return c.body(null, 204)
    deps.cors.open(incoming, outgoing)
    return next()
  })

  for (const path of ['/v1/chat/completions', '/chat/completions']) app.post(path, complete)
  for (const path of ['/v1/models', '/models']) app.get(path, listModels)
  app.get('/v1/models/:model{.+}', showModel)
  app.get('/v1/calls/:call_id', async (c) => {
    const caller = await deps.identify(c.env.incoming)
    return c.json(await findCall(deps.reports, caller, c.req.param('call_id')))
  })

  const keys = {
    ...deps,
    database: deps.reports,
    testKey: createTestKey(deps.config),
    testLimit: minuteLimitOf(ADMIN_TESTS, 'tests'),
  }
  const platform = '/api/v1/admin/platform-keys'
  app.get(platform, (c) => asPermitted(c, 'platform_keys:manage', () => listPlatformKeys(keys)))
  app.put(`${platform}/:key`, (c) =>
    asPermitted(c, 'platform_keys:manage', (request) => savePlatformKey(keys, request)),
  )
  app.delete(`${platform}/:key`, (c) =>
    asPermitted(c, 'platform_keys:manage', (request) => deletePlatformKey(keys, request)),
  )
  app.post(`${platform}/:key/test`, (c) =>
    asPermitted(c, 'platform_keys:manage', (request) => testPlatformKey(keys, request)),
  )
  app.get(`${platform}/:key/decrypted`, (c) => asPermitted(c, 'platform_keys:manage', refuseDecrypted))
  mountSurface(app, createAdminSurface(deps), deps)
  const stripe = deps.config.billing.stripe === null ? null : createStripe(deps.config.billing.stripe)
  mountSurface(app, createOrgBillingSurface({ ...deps, stripe }), deps)
  mountSurface(app, createLlmSurface({ ...deps, stripe }), deps)
  mountSurface(app, createWebhookSurface({ ...deps, stripe }), deps)

  const ownKeys = {
    ...keys,
    testLimit: minuteLimitOf(BYOK_TESTS, 'tests'),
    changeLimit: minuteLimitOf(BYOK_CHANGES, 'changes'),
  }
  const byok = '/api/v1/llm/byok'
  app.get(`${byok}/providers`, (c) => c.json(listByokProviders()))
  app.get(`${byok}/keys`, (c) => asCaller(c, (request) => listByokKeys(ownKeys, request)))
  app.post(`${byok}/keys`, (c) => asCaller(c, (request) => saveByokKey(ownKeys, request)))
  app.delete(`${byok}/keys/:provider`, (c) => asCaller(c, (request) => deleteByokKey(ownKeys, request)))
  app.post(`${byok}/keys/:provider/toggle`, (c) => asCaller(c, (request) => toggleByokKey(ownKeys, request)))
  app.post(`${byok}/keys/:provider/test`, (c) => asCaller(c, (request) => testByokKey(ownKeys, request)))
  app.get(`${byok}/keys/:provider/usage`, (c) => asCaller(c, (request) => byokUsage(ownKeys, request)))

  for (const path of ['/health/liveliness', '/health/liveness']) app.get(path, (c) => c.json("I'm alive!"))
  app.get('/health/readiness', async (c) => {
    const { ready, reason } = await deps.health.ready()
    return c.json({ status: ready ? 'ready' : 'not ready', reason }, ready ? 200 : 503)
  })
  app.get('/metrics', async (c) => {
    deps.mayReadMetrics(c.env.incoming)
    const { contentType, text } = await deps.metrics.print()
    return c.body(text, 200, { 'Content-Type': contentType })
  })
  const api = openApi(deps.version)
  const apiText = Buffer.from(JSON.stringify(api))
  const docs = Buffer.from(String(docsPage(api)))
  app.get('/openapi.json', (c) => c.body(apiText, 200, { 'Content-Type': 'application/json' }))
  app.get('/docs', (c) => c.body(docs, 200, { 'Content-Type': 'text/html; charset=UTF-8' }))

  app.notFound((c) => render(c, new TollgateError(404, 'not_found', 'Not Found')))
  app.onError((error, c) => render(c, error))
  return app

  async function complete(c: Context<AppEnv>): Promise<Response> {
    const { incoming, outgoing } = c.env
    if (deps.draining()) {
      throw new TollgateError(503, 'draining', 'This instance is shutting down. Try again.', {
        headers: { 'Retry-After': '1', Connection: 'close' },
      })
    }
    const callId = c.get('ownId')
    deps.requestIds.set(callId, c.get('requestId'))
    const work = chat(
      deps,
      openExchange(incoming, outgoing, callId, c.get('requestId'), (err) => {
        deps.metrics.error(outgoing, 'internal_error')
        deps.log.error({ call_id: callId, err }, 'an error nobody foresaw ended this call')
      }),
    )
    deps.running.add(work)
    try {
      await work
    } finally {
      deps.running.delete(work)
      deps.requestIds.delete(callId)
    }
    return RESPONSE_ALREADY_SENT
  }

  function minuteLimitOf(most: number, what: string): MinuteLimit {
    return createMinuteLimit(most, what, () => deps.now().getTime())
  }

  type Work = (request: ApiRequest) => Record<string, unknown> | Promise<Record<string, unknown>>

  /** Who asks comes before what is asked. */
  async function asCaller(c: Context<AppEnv>, work: Work): Promise<Response> {
    const { incoming } = c.env
    const caller = await deps.identify(incoming)
    const answer = await work({
      caller,
      param: (name) => c.req.param(name) ?? '',
      query: (name) => c.req.query(name),
      body: () => readJson(incoming),
      change: { actor: actorOf(caller), ip: incoming.socket.remoteAddress ?? null, requestId: c.get('requestId') },
    })
    return c.json(answer)
  }

  function asPermitted(c: Context<AppEnv>, permission: Permission, work: Work): Promise<Response> {
    return asCaller(c, (request) => {
      requirePermission(request.caller, permission)
      return work(request)
    })
  }

  async function listModels(c: Context<AppEnv>): Promise<Response> {
    const caller = await deps.identify(c.env.incoming)
    const keysFor = await chooseKeys(deps.vault, caller, deps.config.deployments)
    const canCall = (deployment: Deployment) => {
      try {
        return keysFor(deployment).length > 0
      } catch {
        return false
      }
    }
    return c.json({ object: 'list', data: deps.router.listModels(canCall).map(modelObject) })
  }

  async function showModel(c: Context<AppEnv>): Promise<Response> {
    await deps.identify(c.env.incoming)
    const model = c.req.param('model') ?? ''
    findRoute(deps.router, model)
    return c.json(modelObject(model))
  }

  function render(c: Context<AppEnv>, thrown: unknown): Response {
    const error = toTollgateError(thrown)
    const requestId = c.get('requestId')
    deps.metrics.error(c.env.outgoing, error.code)
    if (error.limit !== null) deps.metrics.refused(error.limit)
    const line = {
      request_id: requestId,
      call_id: c.get('ownId'),
      status: error.status,
      code: error.code,
      path: c.req.path,
    }
    // What a provider did is in the line of the call.
    if (error.status >= 500 && !error.code.startsWith('provider_')) {
      refusals.failed({ ...line, err: error.cause ?? error }, error.message)
    } else refusals.refused(line)
    if (c.env.outgoing.headersSent) {
      c.env.outgoing.destroy()
      return RESPONSE_ALREADY_SENT
    }
    for (const [name, value] of Object.entries(error.headers)) c.header(name, value)
    c.header('X-Request-ID', requestId)
    c.header('x-litellm-call-id', c.get('ownId'))
    return c.body(JSON.stringify(errorBody(error)), error.status as 400, {
      'Content-Type': 'application/json; charset=utf-8',
    })
  }
}
