import { describe, expect, test } from 'vitest'
import { TollgateError } from '../../src/http/errors.ts'
import type { Caller, Role } from '../../src/identity/caller.ts'
import { can, PERMISSIONS, type Permission, requirePermission } from '../../src/identity/permissions.ts'
import { callerFor } from '../support/caller.ts'

const HOME = 'b0000000-0000-4000-8000-000000000001'
const OTHER = 'b0000000-0000-4000-8000-000000000002'
const ALL = Object.keys(PERMISSIONS) as Permission[]

function inRole(role: Role, some: Partial<Caller> = {}): Caller {
  return callerFor({ organizationId: HOME, userId: 'alice', role, ...some })
}

function refusalOf(work: () => void): [number, string, string] | null {
  try {
    work()
    return null
  } catch (error) {
    if (!(error instanceof TollgateError)) throw error
    return [error.status, error.code, error.message]
  }
}

const ADMIN_ONLY: Permission[] = [
  'calls:read_organization',
  'byok:organization',
  'keys:organization',
  'pool:add_credits',
  'allocations:read',
  'allocations:change',
  'subscription:create',
  'subscription:change',
  'billing:read',
  'billing:history',
  'members:manage',
  'organization:change',
]

describe('the table of permissions', () => {
  test('A system administrator may do everything, in every organization.', () => {
    for (const permission of ALL) {
      expect([permission, can(inRole('system_admin'), permission, HOME)]).toEqual([permission, true])
      expect([permission, can(inRole('system_admin'), permission, OTHER)]).toEqual([permission, true])
    }
  })

  test('Nobody but a system administrator may do what no role allows.', () => {
    const operators = ALL.filter((permission) => PERMISSIONS[permission].roles.length === 0)
    expect(operators).toEqual([
      'organizations:manage',
      'billing:system',
      'calls:refund',
      'platform_keys:manage',
      'service_keys:manage',
      'audit_log:read',
      'system:read',
    ])
    for (const role of ['owner', 'admin', 'billing_admin', 'member', 'service', 'none'] as const)
      expect(operators.filter((permission) => can(inRole(role), permission))).toEqual([])
  })

  test('Owners and admins manage an organization; a billing admin is not an admin of it.', () => {
    const allowed = (role: Role) => ADMIN_ONLY.filter((permission) => can(inRole(role), permission))
    expect(allowed('owner')).toEqual(ADMIN_ONLY)
    expect(allowed('admin')).toEqual(ADMIN_ONLY)
    expect(allowed('billing_admin')).toEqual([])
    expect(allowed('member')).toEqual([])
    expect(allowed('service')).toEqual([])
  })

  test('Only the owner hands an organization over.', () => {
    const roles = (['owner', 'admin', 'billing_admin', 'member', 'service'] as const).filter((role) =>
      can(inRole(role), 'organization:transfer'),
    )
    expect(roles).toEqual(['owner'])
  })

  test('A role counts in its own organization only.', () => {
    const caller = inRole('owner', {
      memberships: new Map([
        [HOME, 'owner'],
        [OTHER, 'member'],
      ]),
    })
    expect([can(caller, 'pool:read', OTHER), can(caller, 'allocations:change', OTHER)]).toEqual([true, false])
    expect(can(caller, 'pool:read', 'no such organization')).toBe(false)
  })

  test('Scopes take away from a role and never add to it.', () => {
    const scopes = new Set<Permission>(['llm:inference', 'allocations:change'])
    expect(ALL.filter((permission) => can(inRole('member', { scopes }), permission))).toEqual(['llm:inference'])
    expect(ALL.filter((permission) => can(inRole('system_admin', { scopes }), permission, OTHER))).toEqual([
      'llm:inference',
      'allocations:change',
    ])
  })
})

describe('a refusal', () => {
  test('A refusal has the text that callers know.', () => {
    expect(refusalOf(() => requirePermission(inRole('member'), 'allocations:change'))).toEqual([
      403,
      'permission_denied',
      'Not authorized to allocate credits',
    ])
    expect(refusalOf(() => requirePermission(inRole('owner'), 'pool:read', OTHER))).toEqual([
      403,
      'not_a_member',
      'Not a member of this organization',
    ])
    expect(refusalOf(() => requirePermission(inRole('owner'), 'billing:system'))).toEqual([
      403,
      'admin_required',
      'System admin access required',
    ])
    expect(refusalOf(() => requirePermission(inRole('member'), 'audit_log:read'))).toEqual([
      403,
      'admin_required',
      'Admin access required (current role: member)',
    ])
  })

  test('A refusal names the permission that the credential lacks.', () => {
    const caller = inRole('owner', { scopes: new Set<Permission>(['llm:inference']) })
    expect(refusalOf(() => requirePermission(caller, 'pool:read'))).toEqual([
      403,
      'insufficient_scope',
      'This credential lacks the permission "pool:read". Use one that has it.',
    ])
  })

  test('A refusal tells a user without an organization what to do.', () => {
    const nobody = inRole('none', { memberships: new Map() })
    expect(can(nobody, 'organizations:read_own')).toBe(true)
    expect(refusalOf(() => requirePermission(nobody, 'llm:inference'))).toEqual([
      403,
      'no_organization',
      'You belong to no organization yet. Ask an admin of yours to add you as a member.',
    ])
  })
})
