/**
 * Counts the calls of a user that the gate refused for good: no credits, no allocation, a limit that is used up. Each costs the database
 * as much as one that is served, so beyond some in a second the gate is not asked again before the second is over.
 */
import { TollgateError } from '../http/errors.ts'
import type { Caller } from '../identity/caller.ts'
import { createSecondCounts, nextSecond } from './second-counts.ts'

export interface RefusedCalls {
  /** @throws {TollgateError} 429 beyond the limit. */
  refuse(caller: Caller): void
  /** `error` is why the gate let a call of this caller not pass. */
  count(caller: Caller, error: unknown): void
}

export function createRefusedCalls(perSecond: number, now: () => number): RefusedCalls {
  const counts = createSecondCounts(now)
  // A virtual key may be out of budget while others of its user are not.
  const nameOf = ({ organizationId, userId, credential }: Caller) =>
    `${organizationId} ${userId}${credential.kind === 'virtual_key' ? ` ${credential.id}` : ''}`
  return {
    refuse(caller) {
      if (counts.of(nameOf(caller)) >= perSecond) throw tooMany(perSecond)
    },
    count(caller, error) {
      if (isFinal(error)) counts.add(nameOf(caller))
    },
  }
}

/** Asking again changes nothing; a call that its own running calls stand in the way of may pass. */
function isFinal(error: unknown): boolean {
  if (!(error instanceof TollgateError)) return false
  return [402, 403, 429].includes(error.status) && !['credits_in_flight', 'budget_in_flight'].includes(error.code)
}

function tooMany(perSecond: number): TollgateError {
  return new TollgateError(
    429,
    'too_many_refused_calls',
    `More than ${perSecond} calls of this user were refused within a second, for want of credits or by a limit. ` +
      'Add credits, or raise the limit that the refusals name, and try again in a second.',
    { headers: nextSecond(), limit: 'refused_calls' },
  )
}
