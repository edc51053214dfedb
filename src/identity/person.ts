/**
 * Somebody whom an identity provider or a session vouches for. What they may do is what the rows of members say now: a member who is
 * removed can do nothing a second later, however long the token or the session is good.
 */
import type { Database } from '../db/connect.ts'
import type { Credential } from './caller.ts'
import { NO_LIMITS } from './no-limits.ts'
import type { Principal } from './principal.ts'
import { createRemembered } from './remembered.ts'
import { NO_SPENDERS } from './spender.ts'
import { findMemberships, findStanding, type Standing } from './standing.ts'

export interface Person {
  userId: string
  email: string | null
  isSystemAdmin: boolean
  /** Names or ids of the only organizations the credential is for; null: every one the person is a member of. */
  organizations: readonly string[] | null
}

/** A person, and what proved who they are. Made once for each token or session, so that finding it again costs no more than a look-up. */
export interface Vouched {
  person: Person
  credential: Credential
  /** Of what is remembered. */
  name: string
}

export function vouch(person: Person, credential: Credential): Vouched {
  return { person, credential, name: JSON.stringify([person, credential]) }
}

const REMEMBERED_MAX = 100_000

/** @throws what the database throws. */
export type FindPrincipal = (vouched: Vouched) => Promise<Principal>

export function createFindPrincipal(database: Database, now: () => number): FindPrincipal {
  const remembered = createRemembered<Principal>({ max: REMEMBERED_MAX, now })

  async function standingsOf({ userId, organizations, isSystemAdmin }: Person): Promise<Standing[]> {
    if (organizations === null) return findMemberships(database, userId)
    const found = await Promise.all(organizations.map((name) => findStanding(database, name, userId)))
    // The operator acts in the organization `default` without being a member, as the master key does.
    return found
      .filter((one) => one !== null)
      .filter((one) => one.role !== 'none' || (isSystemAdmin && one.isDefaultOrganization))
  }

  async function load({ person, credential }: Vouched): Promise<Principal> {
    return {
      userId: person.userId,
      email: person.email,
      credential,
      keyId: null,
      isSystemAdmin: person.isSystemAdmin,
      standings: await standingsOf(person),
      scopes: null,
      models: null,
      routes: null,
      limits: NO_LIMITS,
      spenders: NO_SPENDERS,
      actAs: 'none',
      callers: new Map(),
    }
  }

  return (vouched) => remembered(vouched.name, () => load(vouched))
}
