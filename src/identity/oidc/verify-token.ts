/** Whether a token is what it says: signed by the issuer it names, with a key of that issuer, for us, and good now. */
import { decodeJwt, errors, type JWTPayload, jwtVerify } from 'jose'
import type { OidcIssuer } from '../../config/config.ts'
import { TollgateError } from '../../http/errors.ts'
import { unauthorized } from '../credential.ts'
import { createIssuerKeys, IssuerUnavailable } from './issuer-keys.ts'

/** Signatures by public keys only: with a secret for both sides, a published key could be used to sign. */
const ALGORITHMS = ['RS256', 'ES256', 'EdDSA', 'Ed25519']
/** Between the clocks of an identity provider and ours. */
const CLOCK_SECONDS = 5
const FORM = /^[\w-]+\.[\w-]+\.[\w-]+$/

export interface Verified {
  issuer: OidcIssuer
  claims: JWTPayload & { exp: number }
}

/** @throws {TollgateError} 401, or 503 where the issuer's keys can't be had. */
export type VerifyToken = (token: string) => Promise<Verified>

/** By its form alone. */
export function isToken(credential: string): boolean {
  return credential.startsWith('eyJ') && FORM.test(credential)
}

export function createVerifyToken(issuers: readonly OidcIssuer[], now: () => number): VerifyToken {
  const keysOf = new Map(issuers.map((issuer) => [issuer.issuer, [issuer, createIssuerKeys(issuer, now)] as const]))

  return async (token) => {
    const [issuer, keys] = keysOf.get(statedIssuer(token)) ?? refuse('its issuer is not one of those accepted here')
    try {
      const { payload } = await jwtVerify(token, await keys(), {
        algorithms: ALGORITHMS,
        issuer: issuer.issuer,
        audience: [...issuer.audience],
        requiredClaims: ['exp'],
        clockTolerance: CLOCK_SECONDS,
        currentDate: new Date(now()),
      })
      return { issuer, claims: payload as Verified['claims'] }
    } catch (error) {
      throw refusalOf(error)
    }
  }
}

/** Believed only to choose whose keys must have signed. */
function statedIssuer(token: string): string {
  try {
    return decodeJwt(token).iss ?? ''
  } catch {
    return ''
  }
}

function refusalOf(error: unknown): unknown {
  if (error instanceof TollgateError) return error
  if (error instanceof IssuerUnavailable || error instanceof errors.JWKSInvalid) return unavailable(error)
  if (error instanceof errors.JWTExpired) return unauthorized('expired_token', 'This token has expired. Get a new one.')
  if (error instanceof errors.JWTClaimValidationFailed) return invalid(`its claim "${error.claim}" does not fit`)
  if (error instanceof errors.JOSEError) return invalid('its signature can not be verified')
  return error
}

function refuse(why: string): never {
  throw invalid(why)
}

function invalid(why: string): TollgateError {
  return unauthorized('invalid_token', `This token is not valid: ${why}. Get a new one from your identity provider.`)
}

function unavailable(cause: unknown): TollgateError {
  const message = 'The token could not be checked because its identity provider does not respond. Try again shortly.'
  return new TollgateError(503, 'identity_provider_unavailable', message, { headers: { 'Retry-After': '5' }, cause })
}
