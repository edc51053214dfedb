/**
 * Routes about a person need a credential that proves who the person is: the organization that made a key names its user, and two
 * organizations may give different people the same name.
 */
import { TollgateError } from '../http/errors.ts'
import type { Caller } from '../identity/caller.ts'

/** @param to what the caller wants to do: `accept an invitation`. @throws {TollgateError} 403. */
export function requireProvenUser({ credential }: Pick<Caller, 'credential'>, to: string): void {
  if (credential.kind === 'token' || credential.kind === 'session') return
  throw new TollgateError(403, 'PERMISSION_DENIED', `Sign in to ${to}: a key does not prove who you are.`)
}
