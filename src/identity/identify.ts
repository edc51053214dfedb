/**
 * Credential -> Caller. Fails closed: a credential that can't be checked because the database is away is a 503, never a 401,
 * and never a pass.
 */
import { timingSafeEqual } from 'node:crypto'
import type { IncomingMessage } from 'node:http'
import type { UnknownKeys } from '../admission/unknown-keys.ts'
import type { Database } from '../db/connect.ts'
import { TollgateError } from '../http/errors.ts'
import { hashKey, isApiKey } from './api-key.ts'
import type { Caller } from './caller.ts'
import { findKeys, type KeyRecord } from './find-key.ts'
import { createKeyBook } from './key-book.ts'
import { findMasterCaller } from './master.ts'

export interface IdentifyOptions {
  database: Database
  masterKey: string | null
  unknownKeys: UnknownKeys
  now: () => number
}

export type Identify = (request: Pick<IncomingMessage, 'headers' | 'socket'>) => Promise<Caller>

export function createIdentify({ database, masterKey, unknownKeys, now }: IdentifyOptions): Identify {
  const masterHash = masterKey === null ? null : hashKey(masterKey)
  const keys = createKeyBook({ findKeys: (hashes) => findKeys(database, hashes), unknownKeys, now })
  let master: Promise<Caller> | null = null

  async function masterCaller(): Promise<Caller> {
    master ??= findMasterCaller(database)
    try {
      return await master
    } catch (error) {
      master = null
      throw error
    }
  }

  return async function identify({ headers, socket }) {
    const credential = bearer(headers.authorization)
    const hash = hashKey(credential)
    try {
      if (masterHash !== null && timingSafeEqual(hash, masterHash)) return await masterCaller()
      if (!isApiKey(credential)) throw unknownKey()
      return accept(await keys.find(hash, socket.remoteAddress ?? ''), now())
    } catch (error) {
      if (error instanceof TollgateError) throw error
      throw new TollgateError(
        503,
        'identity_unavailable',
        'The key could not be checked because the database is not available. Try again shortly.',
        {
          headers: { 'Retry-After': '2' },
          cause: error,
        },
      )
    }
  }
}

function bearer(authorization: string | undefined): string {
  if (authorization === undefined) {
    throw unauthorized('missing_api_key', 'Authentication required. Send your key as: Authorization: Bearer <api-key>')
  }
  const match = /^bearer +(\S+) *$/i.exec(authorization)
  if (match?.[1] === undefined) {
    throw unauthorized('invalid_authorization', 'Invalid authorization format. Use: Authorization: Bearer <api-key>')
  }
  return match[1]
}

function accept(record: KeyRecord | null, now: number): Caller {
  if (record === null || !record.isActive) throw unknownKey()
  if (record.expiresAt !== null && record.expiresAt.getTime() <= now) {
    throw unauthorized(
      'expired_api_key',
      `This API key expired at ${record.expiresAt.toISOString()}. Ask for a new one.`,
    )
  }
  if (record.organizationStatus !== 'active') {
    throw new TollgateError(
      403,
      'organization_suspended',
      'This organization is not active. Ask its owner or the operator.',
    )
  }
  return record.caller
}

function unknownKey(): TollgateError {
  return unauthorized(
    'invalid_api_key',
    'Incorrect API key provided. Check it, or ask an admin of your organization for a new one.',
  )
}

function unauthorized(code: string, message: string): TollgateError {
  return new TollgateError(401, code, message, {
    type: 'authentication_error',
    headers: { 'WWW-Authenticate': 'Bearer' },
  })
}
