/** What a settled call was and cost, for an endpoint that states it in the body. */
import type { Attempt } from './admitted.ts'
import type { Receipt } from './endpoint.ts'
import type { Bill } from './settle-call.ts'

export function receiptOf({ call, candidate }: Attempt, { charge, booking }: Bill): Receipt {
  const { deployment, terms, payer, powerLevel } = candidate
  return {
    callId: call.exchange.callId,
    provider: deployment.mockResponse === null ? terms.provider.name : 'mock',
    isByok: !payer.isCharged,
    powerLevel,
    plan: call.caller.plan,
    charged: charge.microcredits,
    remaining: booking.state === 'pending' ? null : booking.remaining,
  }
}
