/**
 * What is about a person needs a credential that proves who it is: the user of a key is named by the organization that made the key,
 * and two organizations may call different people the same.
 */
import { TollgateError } from '../http/errors.ts'
import type { Caller } from '../identity/caller.ts'

/** @param to `accept an invitation`. @throws {TollgateError} 403. */
export function requireProvenUser({ credential }: Pick<Caller, 'credential'>, to: string): void {
  if (credential.kind === 'token' || credential.kind === 'session') return
  throw new TollgateError(403, 'PERMISSION_DENIED', `Sign in to ${to}: a key does not prove who you are.`)
}
