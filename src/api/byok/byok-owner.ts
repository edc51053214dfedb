/** Whose key a request is about: the caller's own, or that of the caller's organization, which its admins manage. */
import { z } from '@hono/zod-openapi'
import type { Caller } from '../../identity/caller.ts'
import { requirePermission } from '../../identity/permissions.ts'
import { userKeyOwner } from '../../vault/key-owner.ts'
import type { KeyOwner } from '../../vault/vault.ts'

export type ByokOwner = Exclude<KeyOwner, { kind: 'platform' }>

/** Without it, the caller's own key. */
export const scopeSchema = z
  .enum(['user', 'organization'], '"scope" must be "user" or "organization".')
  .nullish()
  .openapi({
    description: '`user`: your own key, the default. `organization`: the key of your organization, for its admins.',
  })

/** @throws {TollgateError} 403. */
export function byokOwner(caller: Caller, scope: z.output<typeof scopeSchema>): ByokOwner {
  if (scope !== 'organization') return userKeyOwner(caller)
  requirePermission(caller, 'byok:organization')
  return { kind: 'organization', id: caller.organizationId }
}
