/** POST /api/v1/llm/chat/completions: chat completions whose JSON says in `_metadata` what the call cost, for Ops-Center's callers. */
import type { Endpoint, Receipt } from '../../call/endpoint.ts'
import { exactNumber } from '../../http/exact-number.ts'
import { trimDecimal } from '../../metering/money.ts'
import { chatCompletions } from './chat-completions.ts'

const BRACE = '}'.charCodeAt(0)

export const chatCompletionsWithMetadata: Endpoint = { ...chatCompletions, addReceipt: addMetadata }

/** Put before the last brace: the rest of the body stays as the provider wrote it. */
function addMetadata(body: Buffer, receipt: Receipt): Buffer {
  const end = body.lastIndexOf(BRACE)
  const member = `,"_metadata":${JSON.stringify(metadataOf(receipt))}}`
  return Buffer.concat([body.subarray(0, end), Buffer.from(member)])
}

function metadataOf({ callId, provider, isByok, powerLevel, plan, charged, remaining }: Receipt) {
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
