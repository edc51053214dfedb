/** A request to a management route as its handler sees it: who asks, for what, and how a change is to be logged. */
import { TollgateError } from '../../http/errors.ts'
import type { Caller } from '../../identity/caller.ts'
import type { Change } from '../../vault/vault.ts'

export interface ApiRequest {
  caller: Caller
  /** Of the path. */
  param(name: string): string
  query(name: string): string | undefined
  /** An empty object where nothing was sent. */
  body(): Promise<Readonly<Record<string, unknown>>>
  change: Change
}

/** @throws {TollgateError} 403. */
export function requireSystemAdmin({ role }: Caller): void {
  if (role === 'system') return
  throw new TollgateError(403, 'admin_required', `Admin access required (current role: ${role})`)
}

/** As the audit log names who did it: two organizations may call their users the same. */
export function actorOf({ role, organizationId, userId }: Caller): string {
  return role === 'system' ? userId : `${organizationId}/${userId}`
}
