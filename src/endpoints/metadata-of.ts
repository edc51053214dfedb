/** What a call was and cost, in the form of `_metadata` that Ops-Center's callers read. */
import type { Receipt } from '../call/endpoint.ts'
import { exactNumber } from '../http/exact-number.ts'
import { trimDecimal } from '../metering/money.ts'

export function metadataOf({ callId, provider, isByok, powerLevel, plan, charged, remaining }: Receipt) {
  return {
    provider_used: provider,
    cost_incurred: exactNumber(trimDecimal(charged, 6)),
    credits_remaining: remaining === null ? null : exactNumber(trimDecimal(remaining, 6)),
    transaction_id: callId,
    power_level: powerLevel,
    user_tier: plan ?? 'free',
    using_byok: isByok,
    byok_provider: isByok ? provider : null,
  }
}
