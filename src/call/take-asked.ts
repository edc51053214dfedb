/** Takes LiteLLM's own members out of a request before its endpoint reads it: nobody behind this can send one on. */
import type { IncomingHttpHeaders } from 'node:http'
import { parseExactJson } from '../../providers/exact-json.ts'
import { bareName, type Form } from '../../providers/flat-request.ts'
import { type Change, changeMembers, objectMembers } from '../../providers/json-members.ts'
import { fold } from '../../providers/known-members/fold.ts'
import { showPath } from '../../providers/known-members/shape.ts'
import { TollgateError } from '../http/errors.ts'
import { jsonOf } from '../http/form-body.ts'
import type { JsonObject } from '../http/json-object.ts'
import type { Endpoint, EndpointRequest, RoutingAsked } from './endpoint.ts'
import { type Asked, LITELLM_HEADERS, LITELLM_MEMBERS, readMetadata } from './litellm-members.ts'

/** What is left is the dialect's own. `asked`: null for nothing. */
export interface Taken<Body> {
  body: Body
  asked: RoutingAsked | null
}

type Own = Pick<Endpoint, 'isOwnMember'>

const METADATA = 'metadata'
/** By what they fold to. */
const FOLDED: ReadonlyMap<string, string> = new Map([...LITELLM_MEMBERS.keys()].map((name) => [fold(name), name]))

/** @throws {TollgateError} 400, naming the member or header that is wrong, refused, or written in a way some server takes for one. */
export function takeAsked(body: JsonObject, headers: IncomingHttpHeaders, endpoint: Own): Taken<JsonObject> {
  const asked: Asked = {}
  readHeaders(headers, asked)
  readEndUser(body.json.user, asked)
  const changes: Change[] = []
  for (const { key, valueStart, end } of body.members) {
    const value = body.json[key]
    if (isTaken(key, value, endpoint, asked)) changes.push({ key, remove: true })
    else if (key === METADATA && isObject(value)) {
      const strange = readMetadata(value, asked)
      if (strange.length > 0) changes.push(withoutIn(body.text.toString('utf8', valueStart, end), strange))
    }
  }
  return { body: changes.length === 0 ? body : changed(body, changes), asked: orNull(asked) }
}

/** The same of a form, whose texts may be JSON. @throws {TollgateError} 400. */
export function takeAskedOfForm(form: Form, headers: IncomingHttpHeaders, endpoint: Own): Taken<Form> {
  const asked: Asked = {}
  readHeaders(headers, asked)
  const json = jsonOf(form)
  readEndUser(json.user, asked)
  const taken = new Set<string>()
  for (const [name, value] of Object.entries(json)) {
    const meant = typeof value === 'string' ? (parseExactJson(value) ?? value) : value
    if (isTaken(name, meant, endpoint, asked)) taken.add(name)
  }
  for (const { field } of form.files) isTaken(bareName(field), '', endpoint, {})
  const fields = form.fields.filter(([name]) => !taken.has(bareName(name)))
  return { body: { ...form, fields }, asked: orNull(asked) }
}

/** The request, with what it asks of routing. */
export function withAsked(request: EndpointRequest, asks: RoutingAsked | null): EndpointRequest {
  if (asks === null) return request
  const { dropParams } = asks
  const { memory } = request
  return {
    ...request,
    asks,
    ...(memory === undefined
      ? {}
      : { memory: { ...memory, filled: (known) => withAsked(memory.filled(known), asks) } }),
    remoteMedia(deployments) {
      const remote = request.remoteMedia(deployments)
      if (remote === null) return null
      const open = () => {
        const { places, filled } = remote.open()
        return { places, filled: () => withAsked(filled(), asks) }
      }
      return { count: remote.count, param: remote.param, open }
    },
    termsOn: (deployment) => request.termsOn(dropParams === undefined ? deployment : { ...deployment, dropParams }),
  }
}

/** Reads it where it is LiteLLM's. */
function isTaken(name: string, value: unknown, endpoint: Own, asked: Asked): boolean {
  const read = LITELLM_MEMBERS.get(name)
  if (read === undefined) {
    refuseAlias(name)
    return false
  }
  if (endpoint.isOwnMember?.(name, value) === true) return false
  if (value !== null) read(value, name, asked)
  return true
}

/** Nearly all names are of this kind, and need no more. */
const PLAIN = /^[a-z_]{1,64}$/

function refuseAlias(name: string): void {
  const meant = FOLDED.get(PLAIN.test(name) ? name.replaceAll('_', '') : fold(name))
  if (meant === undefined) return
  const shown = showPath([name])
  const message = `'${shown}' is no member of a request. Write '${meant}' if that is meant, or leave it out.`
  throw new TollgateError(400, 'invalid_request', message, { param: shown })
}

/** The dialect's own member, which stays; a header comes before it. */
function readEndUser(user: unknown, asked: Asked): void {
  if (typeof user === 'string' && user !== '') asked.endUser ??= user
}

function readHeaders(headers: IncomingHttpHeaders, asked: Asked): void {
  for (const [name, read] of LITELLM_HEADERS) {
    const value = headers[name]
    if (typeof value === 'string') read(value, name, asked)
  }
}

function withoutIn(written: string, names: readonly string[]): Change {
  const value = parseExactJson(written) as Record<string, unknown>
  for (const name of names) delete value[name]
  return Object.keys(value).length === 0
    ? { key: METADATA, remove: true }
    : { key: METADATA, value: JSON.stringify(value) }
}

function changed({ text, members, json, cuts }: JsonObject, changes: readonly Change[]): JsonObject {
  const left = changeMembers(text, members, changes)
  const byKey = new Map(changes.map((change) => [change.key, change]))
  const entries = Object.entries(json).flatMap(([key, value]) => {
    const change = byKey.get(key)
    if (change === undefined) return [[key, value] as const]
    return 'remove' in change ? [] : [[key, JSON.parse(change.value) as unknown] as const]
  })
  return {
    text: left,
    members: objectMembers(left),
    json: Object.fromEntries(entries),
    ...(cuts === undefined ? {} : { cuts }),
  }
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function orNull(asked: Asked): RoutingAsked | null {
  return Object.keys(asked).length === 0 ? null : asked
}
