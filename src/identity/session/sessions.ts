/**
 * Session cookies. A session in use is asked for once a second, ahead of the calls that need it; one that was removed is refused a second
 * later everywhere, and at once where it was removed. Fails closed: where the store is away, a session is a 503 and never a pass.
 */
import { randomBytes } from 'node:crypto'
import type { IncomingMessage } from 'node:http'
import { parse } from 'hono/utils/cookie'
import { LRUCache } from 'lru-cache'
import type { UnknownKeys } from '../../admission/unknown-keys.ts'
import type { SessionSettings } from '../../config/config.ts'
import { TollgateError } from '../../http/errors.ts'
import type { RequireSameSite } from '../../http/same-site.ts'
import { hashKey } from '../api-key.ts'
import { unauthorized } from '../credential.ts'
import { nameOf } from '../find-key.ts'
import { type FindPrincipal, type Vouched, vouch } from '../person.ts'
import type { Principal } from '../principal.ts'
import { createRemembered } from '../remembered.ts'
import { personOfSession } from './session-data.ts'
import type { SessionStore } from './session-store.ts'

const TOKEN_BYTES = 32
const REMEMBERED_MAX = 50_000
/** Longer than a session is remembered. */
const REMOVED_MS = 5_000
const REMOVED_MAX = 10_000
/** What a cookie may hold that names a key of a store. */
const TOKEN = /^[\x21-\x7e]{1,512}$/

export interface Sessions {
  /** Null where the request has no session cookie. @throws {TollgateError} 401, 403, 429, 503. @throws what the database throws. */
  find(request: Pick<IncomingMessage, 'method' | 'headers' | 'socket'>, address: string): Promise<Principal> | null
  /** Of a request; null where it has none. */
  tokenIn(cookies: string | undefined): string | null
  /** @param data of the session, see session-data.ts. @returns its token, for the cookie. @throws {TollgateError} 503. */
  begin(data: unknown): Promise<string>
  /** @throws {TollgateError} 503. */
  end(token: string): Promise<void>
}

export interface SessionsOptions {
  settings: Pick<SessionSettings, 'cookie' | 'seconds' | 'adminRoles'>
  store: SessionStore
  findPrincipal: FindPrincipal
  requireSameSite: RequireSameSite
  unknownKeys: UnknownKeys
  now: () => number
}

export function createSessions(options: SessionsOptions): Sessions {
  const { settings, store, findPrincipal, requireSameSite, unknownKeys, now } = options
  const remembered = createRemembered<Vouched>({ max: REMEMBERED_MAX, now })
  const removed = new LRUCache<string, number>({ max: REMOVED_MAX })
  const met = new LRUCache<string, true>({ max: REMEMBERED_MAX })
  let lookups = 0

  async function load(token: string): Promise<Vouched> {
    const data = await store.find(token).catch(refuse)
    const person = personOfSession(data, settings.adminRoles)
    if (person === null) throw unknownSession()
    return vouch(person, { kind: 'session', id: null, name: null })
  }

  /** Who tried too many sessions that nobody has is asked about only while no other is; one that was good once passes from anywhere. */
  async function meet(name: string, token: string, address: string): Promise<Vouched> {
    if (lookups > 0 && !met.has(name)) unknownKeys.refuse(address)
    lookups += 1
    try {
      const vouched = await load(token)
      met.set(name, true)
      return vouched
    } finally {
      lookups -= 1
    }
  }

  async function identify(token: string, address: string): Promise<Vouched> {
    const name = nameOf(hashKey(token))
    if ((removed.get(name) ?? 0) > now()) throw unknownSession()
    try {
      return await remembered(name, () => meet(name, token, address))
    } catch (error) {
      if (!(error instanceof TollgateError) || error.status !== 401) throw error
      unknownKeys.count(address)
      unknownKeys.refuse(address)
      throw error
    }
  }

  function tokenIn(cookies: string | undefined): string | null {
    return cookies === undefined ? null : (parse(cookies, settings.cookie)[settings.cookie] ?? null)
  }

  /** A page of another host of our domain can add a cookie of this name, of a session it knows. */
  function refuseTwo(cookies = ''): void {
    if (cookies.indexOf(settings.cookie) === cookies.lastIndexOf(settings.cookie)) return
    const pairs = cookies.split(';').map((pair) => pair.trim())
    if (new Set(pairs.filter((pair) => pair.startsWith(`${settings.cookie}=`))).size > 1) throw twoSessions()
  }

  async function find(request: Parameters<Sessions['find']>[0], token: string, address: string): Promise<Principal> {
    refuseTwo(request.headers.cookie)
    if (!TOKEN.test(token)) throw unknownSession()
    const vouched = await identify(token, address)
    requireSameSite(request)
    return findPrincipal(vouched)
  }

  return {
    tokenIn,
    find(request, address) {
      const token = tokenIn(request.headers.cookie)
      return token === null ? null : find(request, token, address)
    },
    async begin(data) {
      // A new one each time: nobody can be logged in to a session that somebody else knows.
      const token = randomBytes(TOKEN_BYTES).toString('base64url')
      await store.save(token, data, settings.seconds).catch(refuse)
      return token
    },
    async end(token) {
      await store.remove(token).catch(refuse)
      removed.set(nameOf(hashKey(token)), now() + REMOVED_MS)
    },
  }
}

function unknownSession(): TollgateError {
  return unauthorized('invalid_session', 'Invalid or expired session. Please login again.')
}

function twoSessions(): TollgateError {
  return unauthorized(
    'ambiguous_session',
    'Two cookies of this request name different sessions. Delete the cookies of this site and login again.',
  )
}

function refuse(cause: unknown): never {
  const message =
    'Sessions can not be checked, begun or ended: where they are kept does not respond. Try again shortly.'
  throw new TollgateError(503, 'sessions_unavailable', message, { headers: { 'Retry-After': '2' }, cause })
}
