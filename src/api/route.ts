/**
 * A management route: one definition validates the request, types the handler and documents both. A handler does not know Hono: it takes
 * values that were checked, and returns the value that becomes the JSON body. README.md has an example.
 */
import type { IncomingHttpHeaders, IncomingMessage } from 'node:http'
import type { z } from '@hono/zod-openapi'
import { readJson } from '../http/read-json.ts'
import type { Client } from '../http/trusted-proxies.ts'
import { actorOf, type Caller } from '../identity/caller.ts'
import type { Permission } from '../identity/permissions.ts'
import type { Change } from '../vault/vault.ts'
import { checkInput, checkParams } from './check-input.ts'
import { Reply } from './reply.ts'

type None = z.ZodObject<Record<never, never>>

/** What a handler is given, after the checks. */
export interface ApiRequest<Params, Query, Body> {
  params: Params
  query: Query
  body: Body
  headers: IncomingHttpHeaders
  requestId: string
  client: Client
}

/** The same for a caller who is known and may do this. */
export interface CallerRequest<Params = unknown, Query = unknown, Body = unknown>
  extends ApiRequest<Params, Query, Body> {
  caller: Caller
  /** Who made a change, for the audit log. */
  change: Change
}

interface Definition<P extends z.ZodType, Q extends z.ZodType, B extends z.ZodType, R extends z.ZodType> {
  method: 'get' | 'post' | 'put' | 'patch' | 'delete'
  /** The whole path, in OpenAPI's form: `/api/v1/admin/platform-keys/{key}`. */
  path: string
  /** The last parameter of the path takes the whole rest, slashes included. */
  restOfPath?: boolean
  /** A few words: the title of the operation in /docs. */
  summary: string
  description?: string
  params?: P
  query?: Q
  /** The schema of a JSON object. Without one no body is read. */
  body?: B
  returns: R
  /** The status of the response, 200 by default. */
  status?: number
  /** The media type of a response that is not JSON; `returns` is a string then. */
  produces?: string
  /** What each status means here. 401, 403, and what validation refuses are described without being named. */
  errors?: Readonly<Record<number, string>>
  /** The schema of errors, where they do not have the common shape. */
  errorSchema?: z.ZodType
  /** Other responses than the usual one, by status. */
  also?: Readonly<Record<number, { description: string; schema: z.ZodType }>>
}

type Handled<R extends z.ZodType> = z.output<R> | Reply<z.output<R>>

export interface OpenDefinition<P extends z.ZodType, Q extends z.ZodType, B extends z.ZodType, R extends z.ZodType>
  extends Definition<P, Q, B, R> {
  /** For a route that checks another proof than a caller's credential. @throws {TollgateError} 401. */
  check?(incoming: IncomingMessage): void
  handle(request: ApiRequest<z.output<P>, z.output<Q>, z.output<B>>): Handled<R> | Promise<Handled<R>>
}

export interface CallerDefinition<P extends z.ZodType, Q extends z.ZodType, B extends z.ZodType, R extends z.ZodType>
  extends Definition<P, Q, B, R> {
  may: Permission
  /** The path parameter that holds an organization: `may` is asked for that one, not for the caller's own. */
  organization?: string
  handle(request: CallerRequest<z.output<P>, z.output<Q>, z.output<B>>): Handled<R> | Promise<Handled<R>>
}

/** A request before any check. */
export interface Arrival {
  incoming: IncomingMessage
  params: Readonly<Record<string, string>>
  query: URLSearchParams
  requestId: string
  client: Client
  /** Counts the request, once it is known to be valid. @throws {TollgateError} 429. */
  admit?: () => Promise<void>
}

export interface Route extends Definition<z.ZodType, z.ZodType, z.ZodType, z.ZodType> {
  /** Null where the route requires no credential. */
  may: Permission | null
  organization?: string
  /** @param caller null where `may` is. @throws {TollgateError} `invalidStatus` for a request that does not fit the schemas. */
  respond(arrival: Arrival, caller: Caller | null, invalidStatus: number): Promise<Reply<unknown>>
}

/** A route for callers who may do what it does. */
export function route<
  R extends z.ZodType,
  P extends z.ZodType = None,
  Q extends z.ZodType = None,
  B extends z.ZodType = None,
>(definition: CallerDefinition<P, Q, B, R>): Route {
  return {
    ...definition,
    async respond(arrival, caller, invalidStatus) {
      // mountSurface identifies before it calls a route that names a permission.
      if (caller === null) throw new Error(`${definition.path} was reached without a caller`)
      const input = await readInput(definition, arrival, invalidStatus)
      const { address } = arrival.client
      const ip = address === '' ? null : address
      await arrival.admit?.()
      const change = { actor: actorOf(caller), ip, requestId: arrival.requestId }
      return toReply(definition, await definition.handle({ ...input, caller, change }))
    },
  }
}

/** A route that needs no credential, such as /health/liveness. */
export function openRoute<
  R extends z.ZodType,
  P extends z.ZodType = None,
  Q extends z.ZodType = None,
  B extends z.ZodType = None,
>(definition: OpenDefinition<P, Q, B, R>): Route {
  return {
    ...definition,
    may: null,
    async respond(arrival, _, invalidStatus) {
      definition.check?.(arrival.incoming)
      return toReply(definition, await definition.handle(await readInput(definition, arrival, invalidStatus)))
    },
  }
}

async function readInput<P extends z.ZodType, Q extends z.ZodType, B extends z.ZodType>(
  definition: Pick<Definition<P, Q, B, z.ZodType>, 'params' | 'query' | 'body'>,
  { incoming, params, query, requestId, client }: Arrival,
  invalidStatus: number,
): Promise<ApiRequest<z.output<P>, z.output<Q>, z.output<B>>> {
  return {
    params: checkParams(definition.params, params, invalidStatus),
    query: checkInput(definition.query, valuesOf(query), invalidStatus),
    body: checkInput(definition.body, definition.body === undefined ? {} : await readJson(incoming), invalidStatus),
    headers: incoming.headers,
    requestId,
    client,
  }
}

/** A repeated parameter becomes a list, which the schema of a single value refuses. */
function valuesOf(query: URLSearchParams): Record<string, string | string[]> {
  return Object.fromEntries(
    [...new Set(query.keys())].map((name) => {
      const values = query.getAll(name)
      return [name, values.length === 1 ? (values[0] ?? '') : values]
    }),
  )
}

function toReply<T>({ status = 200 }: { status?: number }, result: T | Reply<T>): Reply<T> {
  return result instanceof Reply ? result : new Reply(result, { status })
}
