/** Mounts an LLM route: its description, and the exchange (Node's own request and response) that serves it. */
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
  /** The calls that are being served; the drain waits for them. */
  running: Set<Promise<void>>
  /** The context of the running call, for the log. */
  requestIds: Map<string, string>
  metrics: Pick<Metrics, 'error'>
  log: Pick<Log, 'error'>
}

export interface MountedRoute {
  /** The paths in OpenAPI's form. The first is the one to use; the others are for other clients. */
  paths: readonly [string, ...string[]]
  operation: Omit<RouteConfig, 'method' | 'path'>
  /** The header in which its clients look for the request id, besides X-Request-ID. */
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
    app.post(honoPath(path), async (c) => {
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

/** `/v1beta/models/{model}` as Hono writes it; names of models hold slashes. */
function honoPath(path: string): string {
  return path.replaceAll(/\{(\w+)\}/g, ':$1{.+}')
}
