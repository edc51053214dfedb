/**
 * Which organization a principal acts in, and as whom. `X-Org-ID` names the organization, else the credential's own, else the default
 * membership. `X-User-ID` names the member who pays, for services that may.
 */
import type { IncomingHttpHeaders } from 'node:http'
import type { Database } from '../db/connect.ts'
import { isUuid } from '../db/uuid.ts'
import { TollgateError } from '../http/errors.ts'
import type { Caller } from './caller.ts'
import { callerIn, type Principal } from './principal.ts'
import { createRemembered } from './remembered.ts'
import { findStanding, type Standing } from './standing.ts'

/** Members that services act as, and organizations that administrators name. */
const REMEMBERED_MAX = 100_000
/** As the column has it. */
const USER_MAX = 255

/** A promise only where something has to be looked up. @throws {TollgateError} 403, 404. */
export type ChooseCaller = (principal: Principal, headers: IncomingHttpHeaders) => Caller | Promise<Caller>

export function createChooseCaller(database: Database, now: () => number): ChooseCaller {
  const remembered = createRemembered<Standing | null>({ max: REMEMBERED_MAX, now })
  const find = (organization: string, user: string) =>
    remembered(`${organization} ${user}`, () => findStanding(database, organization, user))

  async function elsewhere(principal: Principal, organization: string): Promise<Caller> {
    const standing = isUuid(organization) ? await find(organization.toLowerCase(), principal.userId) : null
    if (standing === null) throw noOrganization()
    if (!principal.isSystemAdmin) throw otherOrganization()
    return callerIn(principal, standing)
  }

  async function asMember(principal: Principal, standing: Standing, user: string): Promise<Caller> {
    if (principal.actAs === 'none') throw mayNotAct()
    const member = user.length > USER_MAX || user.includes('\0') ? null : await find(standing.organizationId, user)
    if (member === null || member.role === 'none') throw noMember()
    // A member's rights are not the service's: it may do what a service may, and the member pays.
    return callerIn(principal, standing, user)
  }

  /** An application that names members lost the name of this one: the call is not charged to the service instead. */
  function nameless(principal: Principal, standing: Standing | null): Caller {
    if (principal.actAs === 'members') throw noMember()
    return callerIn(principal, standing)
  }

  return (principal, headers) => {
    const named = headers['x-org-id']
    const organization = typeof named === 'string' && named !== '' ? named : null
    const standing =
      organization === null
        ? (principal.standings[0] ?? null)
        : principal.standings.find((one) => one.organizationId === organization.toLowerCase())
    if (standing === undefined) return elsewhere(principal, organization ?? '')
    if (standing !== null && !standing.isActive && !principal.isSystemAdmin) throw suspended()
    const user = headers['x-user-id']
    if (principal.credential.kind !== 'service_key' || typeof user !== 'string') return callerIn(principal, standing)
    if (user === '') return nameless(principal, standing)
    if (user === principal.userId || standing === null) return callerIn(principal, standing)
    return asMember(principal, standing, user)
  }
}

function suspended(): TollgateError {
  return new TollgateError(
    403,
    'organization_suspended',
    'This organization is not active. Ask its owner or the operator.',
  )
}

function noOrganization(): TollgateError {
  return new TollgateError(
    404,
    'organization_not_found',
    'X-Org-ID names no organization. Send the id of one of yours.',
  )
}

function otherOrganization(): TollgateError {
  return new TollgateError(
    403,
    'not_a_member',
    'Not a member of this organization. X-Org-ID must name one that this credential may act in.',
  )
}

function mayNotAct(): TollgateError {
  return new TollgateError(
    403,
    'act_as_not_allowed',
    'This service key may not act as members, so X-User-ID can not be honoured. Leave it out, or ask the operator to set act_as: members.',
  )
}

function noMember(): TollgateError {
  return new TollgateError(
    403,
    'not_a_member',
    'X-User-ID names nobody who is a member of this organization. Add them as a member first.',
  )
}
