/**
 * Tokens of identity providers. One that was verified is known by its hash for a minute, never past its expiry: until then its caller
 * costs no cryptography. Only good tokens are remembered, so strangers' take nothing from them, and those are counted for the address
 * they came from.
 */
import { LRUCache } from 'lru-cache'
import type { UnknownKeys } from '../../admission/unknown-keys.ts'
import type { OidcIssuer } from '../../config/config.ts'
import { TollgateError } from '../../http/errors.ts'
import { unauthorized } from '../credential.ts'
import { type FindPrincipal, type Vouched, vouch } from '../person.ts'
import type { Principal } from '../principal.ts'
import { personOf } from './claims.ts'
import { createVerifyToken } from './verify-token.ts'

const KNOWN_MS = 60_000
const KNOWN_MAX = 50_000

export interface TokensOptions {
  issuers: readonly OidcIssuer[]
  findPrincipal: FindPrincipal
  unknownKeys: UnknownKeys
  now: () => number
}

/** @param name of the token's hash. @throws {TollgateError} 401, 429, 503. @throws what the database throws. */
export type FindToken = (token: string, name: string, address: string) => Promise<Principal>

export function createFindToken({ issuers, findPrincipal, unknownKeys, now }: TokensOptions): FindToken {
  const verify = createVerifyToken(issuers, now)
  const known = new LRUCache<string, { vouched: Vouched; until: number }>({ max: KNOWN_MAX })
  const running = new Map<string, Promise<Vouched>>()

  async function meet(token: string, name: string): Promise<Vouched> {
    const at = now()
    const { issuer, claims } = await verify(token)
    const person = personOf(issuer, claims)
    if (person === null)
      throw unauthorized(
        'invalid_token',
        `This token names no user: its claim "${issuer.userClaim}" holds no usable id.`,
      )
    const vouched = vouch(person, { kind: 'token', id: null, name: issuer.issuer })
    known.set(name, { vouched, until: Math.min(claims.exp * 1000, at + KNOWN_MS) })
    return vouched
  }

  async function meetOnce(token: string, name: string, address: string): Promise<Vouched> {
    const asked = running.get(name) ?? meet(token, name).finally(() => running.delete(name))
    running.set(name, asked)
    try {
      return await asked
    } catch (error) {
      // A token that was good once is no guess.
      if (!(error instanceof TollgateError) || error.code !== 'invalid_token') throw error
      unknownKeys.count(address)
      unknownKeys.refuse(address)
      throw error
    }
  }

  return async (token, name, address) => {
    const found = known.get(name)
    if (found !== undefined && found.until > now()) return findPrincipal(found.vouched)
    return findPrincipal(await meetOnce(token, name, address))
  }
}
