/**
 * Request -> Caller, before anything else of the request is looked at. Fails closed: a credential that can't be checked because the
 * database is away is a 503, never a 401, and never a pass. A caller that is known costs one hash: no query, no other cryptography.
 */
import { timingSafeEqual } from 'node:crypto'
import type { IncomingMessage } from 'node:http'
import type { UnknownKeys } from '../admission/unknown-keys.ts'
import type { Config } from '../config/config.ts'
import type { Database } from '../db/connect.ts'
import { TollgateError } from '../http/errors.ts'
import { requestPath } from '../http/request-path.ts'
import type { ClientOf } from '../http/trusted-proxies.ts'
import { hashKey, isApiKey } from './api-key.ts'
import type { Caller } from './caller.ts'
import { createChooseCaller } from './choose-caller.ts'
import { createConfiguredServices } from './configured-services.ts'
import { readKey, unauthorized } from './credential.ts'
import { findKeys, type KeyRecord, nameOf } from './find-key.ts'
import { createKeyBook } from './key-book.ts'
import { findMaster } from './master.ts'
import { isToken } from './oidc/verify-token.ts'
import type { People } from './people.ts'
import type { Principal } from './principal.ts'
import { requireNotBlocked, requireRoute } from './restrictions.ts'

export interface IdentifyOptions {
  database: Database
  people: People
  clientOf: ClientOf
  config: Pick<Config, 'masterKey' | 'keyHeader' | 'serviceKeys'>
  unknownKeys: UnknownKeys
  now: () => number
}

type Arriving = Pick<IncomingMessage, 'headers' | 'rawHeaders' | 'method' | 'socket' | 'url'>

/** @throws {TollgateError} 401, 403, 404, 429, 503. */
export type Identify = (request: Arriving) => Promise<Caller>

export function createIdentify(options: IdentifyOptions): Identify {
  const { database, config, people, clientOf, unknownKeys, now } = options
  const masterHash = config.masterKey === null ? null : hashKey(config.masterKey)
  const keys = createKeyBook({ findKeys: (hashes) => findKeys(database, hashes), unknownKeys, now })
  const findService = createConfiguredServices(config.serviceKeys, database, now)
  const choose = createChooseCaller(database, now)
  let master: Promise<Principal> | null = null

  async function masterPrincipal(): Promise<Principal> {
    master ??= findMaster(database)
    try {
      return await master
    } catch (error) {
      master = null
      throw error
    }
  }

  async function authenticate(request: Arriving): Promise<Principal> {
    const key = readKey(request, config.keyHeader)
    const { address } = clientOf(request)
    if (key === null) return people.sessions.find(request, address) ?? refuse(noCredential())
    const hash = hashKey(key)
    if (masterHash !== null && timingSafeEqual(hash, masterHash)) return masterPrincipal()
    const service = findService(hash)
    if (service !== null) return service
    if (isToken(key)) return people.findToken(key, nameOf(hash), address)
    if (!isApiKey(key)) throw unknownKey()
    return accept(await keys.find(hash, address), now())
  }

  return async function identify(request) {
    try {
      const caller = await choose(await authenticate(request), request.headers)
      if (caller.routes !== null) requireRoute(caller, requestPath(request.url ?? '/'))
      if (caller.spenders.length > 0) requireNotBlocked(caller)
      return caller
    } catch (error) {
      if (error instanceof TollgateError) throw error
      throw unavailable(error)
    }
  }
}

function accept(record: KeyRecord | null, now: number): Principal {
  if (record === null || !record.isActive) throw unknownKey()
  if (record.expiresAt === null || record.expiresAt.getTime() > now) return record.principal
  throw expired(record.expiresAt, record.principal.credential.kind === 'virtual_key')
}

function expired(at: Date, isVirtual: boolean): TollgateError {
  const { status, code, message, headers } = unauthorized(
    'expired_api_key',
    `This API key expired at ${at.toISOString()}. Ask for a new one.`,
  )
  // As LiteLLM's clients know it.
  const shown = isVirtual ? { type: 'expired_key', fields: { code: '401' } } : { type: 'authentication_error' }
  return new TollgateError(status, code, message, { headers, ...shown })
}

function refuse(error: TollgateError): never {
  throw error
}

function noCredential(): TollgateError {
  return unauthorized('missing_api_key', 'Authentication required. Send your key as: Authorization: Bearer <api-key>')
}

function unknownKey(): TollgateError {
  return unauthorized(
    'invalid_api_key',
    'Incorrect API key provided. Check it, or ask an admin of your organization for a new one.',
  )
}

function unavailable(cause: unknown): TollgateError {
  const message = 'The key could not be checked because the database is not available. Try again shortly.'
  return new TollgateError(503, 'identity_unavailable', message, { headers: { 'Retry-After': '2' }, cause })
}
