/** The error in a running stream whose key, organization or allocation may no longer spend. */
import { TollgateError } from '../http/errors.ts'
import type { Ended } from '../ledger/ledger.ts'

const SAID: Readonly<Record<Ended, { status: number; message: string }>> = {
  key_revoked: {
    status: 401,
    message: 'This API key was revoked while the call ran. Ask an admin of your organization for a new one.',
  },
  expired_api_key: { status: 401, message: 'This API key expired while the call ran. Ask for a new one.' },
  organization_suspended: {
    status: 403,
    message: 'This organization was suspended while the call ran. Ask its owner or the operator.',
  },
  no_allocation: {
    status: 403,
    message: 'Your credit allocation was switched off while the call ran. Ask an admin of the organization.',
  },
}

export function endedError(why: Ended): TollgateError {
  const { status, message } = SAID[why]
  return new TollgateError(status, why, message, { headers: { 'x-should-retry': 'false' } })
}
