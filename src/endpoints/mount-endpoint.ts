/** An LLM route: its description, and the exchange on Node's own request and response that it is served on. */
import { RESPONSE_ALREADY_SENT } from '@hono/node-server/utils/response'
import type { OpenAPIHono, RouteConfig } from '@hono/zod-openapi'
import { operationIdOf } from '../api/operation-id.ts'
import type { AppEnv } from '../http/app-env.ts'
import { TollgateError } from '../http/errors.ts'
import { type Exchange, openExchange } from '../http/exchange.ts'
import type { Log } from '../observe/log.ts'
import type { Metrics } from '../observe/metrics.ts'

export interface EndpointDependencies {
  draining: () => boolean
  /** The calls being served, for the drain to wait for. */
  running: Set<Promise<void>>
  /** Of the running calls, for the log. */
  requestIds: Map<string, string>
  metrics: Pick<Metrics, 'error'>
  log: Pick<Log, 'error'>
}

export interface MountedRoute {
  /** The first is the one to use; the others are the same for other clients. */
  paths: readonly [string, ...string[]]
  operation: Omit<RouteConfig, 'method' | 'path'>
  /** Where its clients look for the id of their request, besides X-Request-ID. */
  requestIdHeader?: string
  /** Responds on the exchange. @throws {TollgateError} as long as nothing was sent. */
  serve(exchange: Exchange): Promise<void>
}

export function mountEndpoint(
  app: OpenAPIHono<AppEnv>,
  { paths, operation, requestIdHeader, serve }: MountedRoute,
  { draining, running, requestIds, metrics, log }: EndpointDependencies,
): void {
  for (const path of paths) {
    const summary = path === paths[0] ? operation.summary : `The same as ${paths[0]}`
    const operationId = operationIdOf('post', path)
    app.openAPIRegistry.registerPath({ ...operation, operationId, summary: summary ?? path, method: 'post', path })
    app.post(path, async (c) => {
      const { incoming, outgoing } = c.env
      if (requestIdHeader !== undefined) outgoing.setHeader(requestIdHeader, c.get('requestId'))
      if (draining()) {
        throw new TollgateError(503, 'draining', 'This instance is shutting down. Try again.', {
          headers: { 'Retry-After': '1', Connection: 'close' },
        })
      }
      const callId = c.get('ownId')
      const requestId = c.get('requestId')
      requestIds.set(callId, requestId)
      const work = serve(
        openExchange(incoming, outgoing, callId, requestId, (err) => {
          metrics.error(outgoing, 'internal_error')
          log.error({ call_id: callId, err }, 'an unforeseen error ended this call')
        }),
      )
      running.add(work)
      try {
        await work
      } finally {
        running.delete(work)
        requestIds.delete(callId)
      }
      return RESPONSE_ALREADY_SENT
    })
  }
}
