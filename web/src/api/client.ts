/**
 * Calls our own routes by their types. Numbers that a float can't hold exactly arrive as text: amounts are decimals, never floats. What
 * the API refuses is thrown as an ApiError with the API's own words.
 */
import { ApiError, errorOf } from './api-error.ts'
import type { paths } from './schema.d.ts'

type Method = 'get' | 'post' | 'put' | 'patch' | 'delete'
export type Path = keyof paths
type Operation<P extends Path, M extends Method> = NonNullable<paths[P][M & keyof paths[P]]>
type Parameters<O> = O extends { parameters: infer Known } ? Known : never
type Member<T, Name extends string> = T extends { [K in Name]?: infer Value } ? Exclude<Value, undefined> : never
type Json<T> = T extends { content: { 'application/json': infer Body } } ? Body : never

/** The body of a successful answer. */
export type Answer<P extends Path, M extends Method = 'get'> =
  Operation<P, M> extends { responses: infer Responses } ? Json<Responses[keyof Responses & (200 | 201)]> : never
export type Query<P extends Path, M extends Method = 'get'> = Member<Parameters<Operation<P, M>>, 'query'>
export type Body<P extends Path, M extends Method> =
  Operation<P, M> extends { requestBody?: infer Request } ? Json<NonNullable<Request>> : never

interface Input<P extends Path, M extends Method> {
  path?: Member<Parameters<Operation<P, M>>, 'path'>
  query?: Query<P, M>
  body?: Body<P, M>
  headers?: Readonly<Record<string, string>>
  signal?: AbortSignal
}

/** Says that the request is from our own pages: other sites can't send this header without being asked first. */
const OWN = { 'X-Requested-With': 'tollgate-web' }

/** @throws {ApiError} */
export async function api<P extends Path, M extends Method>(
  method: M,
  path: P,
  input: Input<P, M> = {},
): Promise<Answer<P, M>> {
  return (await exchange(method, path, input)).body
}

/** The same with the headers of the answer. @throws {ApiError} */
export async function exchange<P extends Path, M extends Method>(
  method: M,
  path: P,
  input: Input<P, M> = {},
): Promise<{ body: Answer<P, M>; headers: Headers }> {
  const { body, headers, signal } = input
  const response = await reach(addressOf(path, input.path, input.query), {
    method: method.toUpperCase(),
    headers: {
      Accept: 'application/json',
      ...OWN,
      ...(body === undefined ? {} : { 'Content-Type': 'application/json' }),
      ...headers,
    },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    ...(signal === undefined ? {} : { signal }),
  })
  const text = await response.text()
  if (!response.ok) throw errorOf(response, text)
  return { body: (text === '' ? null : parseExactly(text)) as Answer<P, M>, headers: response.headers }
}

/** The address of a route with its parameters, for links and downloads. */
export function addressOf(path: string, params: object = {}, query: object = {}): string {
  const filled = path.replaceAll(/\{(\w+)\}/g, (_, name: string) =>
    encodeURIComponent(String((params as Record<string, unknown>)[name])),
  )
  const asked = Object.entries(query).filter(([, value]) => value !== undefined && value !== null && value !== '')
  const search = new URLSearchParams(asked.map(([name, value]) => [name, String(value)])).toString()
  return search === '' ? filled : `${filled}?${search}`
}

async function reach(address: string, init: RequestInit): Promise<Response> {
  try {
    return await fetch(address, init)
  } catch (cause) {
    if (cause instanceof DOMException && cause.name === 'AbortError') throw cause
    throw new ApiError(0, 'unreachable', 'The server does not answer. Check that it runs, then try again.', null, cause)
  }
}

interface Source {
  source: string
}

/** JSON, with every number that is not a safe whole one as the text it was sent as. */
export function parseExactly(text: string): unknown {
  const keep = (_: string, value: unknown, context?: Source) =>
    typeof value === 'number' && !Number.isSafeInteger(value) ? (context?.source ?? String(value)) : value
  return (JSON.parse as (text: string, reviver: typeof keep) => unknown)(text, keep)
}
