/**
 * Asks for a hold within the patience of a caller. A hold that comes too late, or that nobody knows whether it was taken, is given back.
 * Fails closed: no response in time means 503, and nothing is sent to a provider.
 */
import type { Close } from './close-batch.ts'
import type { AskedHold, HoldAnswer } from './hold-batch.ts'
import type { HoldRequest } from './ledger.ts'
import { unavailable } from './refusal.ts'
import type { Shards } from './shards.ts'
import { within } from './within.ts'

export interface HoldTaker {
  /** @throws {TollgateError} 503. */
  take(request: AskedHold): Promise<HoldAnswer>
  /** Resolves when what came too late is given back. */
  settled(): Promise<unknown>
}

/** @param patienceMs how long a call waits; @param close gives a hold back. */
export function createHoldTaker(
  shards: Shards<AskedHold, HoldAnswer>,
  patienceMs: number,
  close: (close: Close) => Promise<unknown>,
): HoldTaker {
  /** Nobody waits for them any more, but they may have been taken. */
  const late = new Set<Promise<unknown>>()

  function remember(one: Promise<unknown>): void {
    late.add(one)
    const forget = () => late.delete(one)
    one.then(forget, forget)
  }

  function giveBack(request: HoldRequest): Promise<unknown> {
    const details = { error: 'the database did not answer the hold in time' }
    return close({ state: 'released', closing: { ...namesOf(request), outcome: 'failed', details } })
  }

  return {
    async take(request) {
      const job = shards.run(request)
      const answered = job.answer.catch((error: unknown) => {
        // Refused now, but it was sent before and may have been taken then.
        if (job.ambiguous) remember(giveBack(request))
        throw error
      })
      const answer = await within<HoldAnswer | null>(patienceMs, answered, () => null)
      if (answer !== null) return answer
      if (!job.drop()) remember(answered.then(() => giveBack(request)))
      throw unavailable(new Error('the database did not answer the hold'))
    },
    settled: () => Promise.allSettled(late),
  }
}

function namesOf(request: HoldRequest) {
  const { callId, organizationId, userId, keyId, serviceType, serviceName, requestId } = request
  return { callId, organizationId, userId, keyId, serviceType, serviceName, requestId }
}
