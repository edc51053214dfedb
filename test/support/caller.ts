/** A caller as identity/ would make it, for tests of what comes after. */
import type { Caller } from '../../src/identity/caller.ts'
import { NO_LIMITS } from '../../src/identity/no-limits.ts'

/** An ordinary member with an unrestricted key, except where `some` says otherwise. */
export function callerFor(some: Partial<Caller> & Pick<Caller, 'organizationId' | 'userId'>): Caller {
  const { organizationId, role = 'member', keyId = null } = some
  return {
    email: null,
    credential: { kind: 'api_key', id: keyId, name: null },
    keyId,
    role,
    memberships: new Map([[organizationId, role]]),
    scopes: null,
    models: null,
    routes: null,
    limits: NO_LIMITS,
    spenders: [],
    hasCustomers: false,
    aliases: null,
    plan: 'platform',
    tier: 'founders-friend',
    isDefaultOrganization: false,
    ...some,
  }
}
