/** What is kept of a session: Ops-Center's shape, `{"user": {"user_id" | "sub", "email", "role", "roles", ...}, ...}`. */
import type { Person } from '../person.ts'

const USER_MAX = 255
/** A system administrator, to us and to Ops-Center. */
const ADMIN_ROLE = 'system_admin'

/** @returns null for what is no session of anybody. */
export function personOfSession(data: unknown, adminRoles: readonly string[]): Person | null {
  const user = membersOf(membersOf(data).user)
  const userId = [user.user_id, user.sub, user.id].find((id) => typeof id === 'string' && id !== '')
  if (typeof userId !== 'string' || userId.length > USER_MAX || userId.includes('\0')) return null
  const { organizations } = membersOf(data)
  return {
    userId,
    email: typeof user.email === 'string' ? user.email : null,
    isSystemAdmin: [...rolesIn(user.role), ...rolesIn(user.roles)].some((role) => adminRoles.includes(role)),
    organizations: Array.isArray(organizations) ? organizations.filter((name) => typeof name === 'string') : null,
  }
}

/** The reverse, for a session of our own. */
export function sessionOf(person: Person, issuer: string, createdAt: Date): Record<string, unknown> {
  const role = person.isSystemAdmin ? ADMIN_ROLE : 'user'
  return {
    user: { user_id: person.userId, sub: person.userId, email: person.email, role, roles: [role] },
    organizations: person.organizations,
    issuer,
    created_at: createdAt.toISOString(),
  }
}

/** Whole names only: a part of `not-an-admin` is no role. */
function rolesIn(value: unknown): string[] {
  if (typeof value === 'string') return value.split(/[\s,]+/)
  return Array.isArray(value) ? value.filter((role) => typeof role === 'string') : []
}

function membersOf(value: unknown): Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {}
}
