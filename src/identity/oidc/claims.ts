/** Reads the claims of a token that was verified. */
import type { JWTPayload } from 'jose'
import type { OidcIssuer } from '../../config/config.ts'
import type { Person } from '../person.ts'

/** As the column has it. */
const USER_MAX = 255
/** Each is a look-up. */
const ORGANIZATIONS_MAX = 32

/** @returns null where the claim that names the user is missing, or can't be a user's id. */
export function personOf(issuer: OidcIssuer, claims: JWTPayload): Person | null {
  const userId = claimAt(claims, issuer.userClaim)
  if (typeof userId !== 'string' || userId === '' || userId.length > USER_MAX || userId.includes('\0')) return null
  const roles = issuer.rolesClaim === null ? [] : textsOf(claimAt(claims, issuer.rolesClaim))
  return {
    userId,
    email: typeof claims.email === 'string' ? claims.email : null,
    isSystemAdmin: roles.some((role) => issuer.adminRoles.includes(role)),
    organizations: organizationsOf(issuer, claims),
  }
}

/** Null where the issuer says nothing of organizations: every membership counts. */
function organizationsOf({ organizationClaim }: OidcIssuer, claims: JWTPayload): readonly string[] | null {
  const claim = organizationClaim === null ? undefined : claimAt(claims, organizationClaim)
  if (claim === undefined || claim === null) return null
  // Keycloak writes groups as paths, and organizations as a list of names or as an object whose members are named so.
  const names = typeof claim === 'string' ? [claim] : Array.isArray(claim) ? claim : Object.keys(claim)
  const texts = names.filter((name) => typeof name === 'string').map((name) => name.replace(/^\//, ''))
  return [...new Set(texts)].filter((name) => name !== '' && !name.includes('\0')).slice(0, ORGANIZATIONS_MAX)
}

/**
 * `realm_access.roles` is the member `roles` of the member `realm_access`, unless a member has the whole name: names of claims are often
 * URLs, and of clients often host names.
 */
export function claimAt(value: unknown, path: string): unknown {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return undefined
  if (Object.hasOwn(value, path)) return (value as Record<string, unknown>)[path]
  for (let dot = path.indexOf('.'); dot >= 0; dot = path.indexOf('.', dot + 1)) {
    const head = path.slice(0, dot)
    const found = Object.hasOwn(value, head)
      ? claimAt((value as Record<string, unknown>)[head], path.slice(dot + 1))
      : undefined
    if (found !== undefined) return found
  }
  return undefined
}

/** A list of texts, or one text of words as `scope` is. */
function textsOf(claim: unknown): string[] {
  if (typeof claim === 'string') return claim.split(/\s+/)
  return Array.isArray(claim) ? claim.filter((entry) => typeof entry === 'string') : []
}
