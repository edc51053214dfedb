/** Asks the table of permissions for a caller. */
import { TollgateError } from '../http/errors.ts'
import type { Caller } from './caller.ts'
import { type Permission, RULES } from './permission-table.ts'
import type { Role } from './role.ts'

export { isPermission, PERMISSIONS, type Permission } from './permission-table.ts'

/** Whether the caller may, in this organization. */
export function can(caller: Caller, permission: Permission, organizationId = caller.organizationId): boolean {
  return isInScope(caller, permission) && hasRole(caller, permission, organizationId)
}

/**
 * @param organizationId where; the caller's own organization when left out. It may be any text: an organization the caller does not
 * belong to and one that does not exist are refused alike, so nobody learns which ids exist.
 * @throws {TollgateError} 403: `insufficient_scope` where only the credential is in the way, else by what is missing.
 */
export function requirePermission(
  caller: Caller,
  permission: Permission,
  organizationId = caller.organizationId,
): void {
  if (!hasRole(caller, permission, organizationId)) throw refusal(caller, permission, organizationId)
  if (isInScope(caller, permission)) return
  throw new TollgateError(
    403,
    'insufficient_scope',
    `This credential lacks the permission "${permission}". Use one that has it.`,
    { fields: { permission } },
  )
}

/** The caller's role in an organization; `none` where it has none. */
export function roleIn({ role, memberships }: Caller, organizationId: string): Role {
  return role === 'system_admin' ? role : (memberships.get(organizationId) ?? 'none')
}

function hasRole(caller: Caller, permission: Permission, organizationId: string): boolean {
  const role = roleIn(caller, organizationId)
  return role === 'system_admin' || RULES[permission].roles.includes(role)
}

function isInScope({ scopes }: Caller, permission: Permission): boolean {
  return scopes === null || scopes.has(permission)
}

function refusal(caller: Caller, permission: Permission, organizationId: string): TollgateError {
  const { roles, refusal: text } = RULES[permission]
  if (roles.length === 0) {
    const message = text === '' ? `Admin access required (current role: ${caller.role})` : text
    return new TollgateError(403, 'admin_required', message)
  }
  const role = roleIn(caller, organizationId)
  if (role !== 'none') return new TollgateError(403, 'permission_denied', text)
  if (caller.memberships.size > 0) return new TollgateError(403, 'not_a_member', text)
  return new TollgateError(
    403,
    'no_organization',
    'You belong to no organization yet. Ask an admin of yours to add you as a member.',
  )
}
