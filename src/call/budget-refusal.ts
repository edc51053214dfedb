/** A budget that refused a call, in the words and the form that clients of LiteLLM know. */
import { TollgateError } from '../http/errors.ts'
import type { Caller } from '../identity/caller.ts'
import { creditsToMicro, trimDecimal } from '../metering/money.ts'

const NAMES: Readonly<Record<string, string>> = {
  key: 'Key',
  user: 'User',
  team: 'Team',
  team_member: 'TeamMember',
  organization: 'Organization',
  customer: 'End User',
}

/** @param status of an exhausted budget, `budget_exceeded_status_code`. What is no budget's refusal is returned as it is. */
export function budgetRefusal(error: unknown, { spenders, credential }: Caller, status: number): unknown {
  if (!(error instanceof TollgateError) || error.code !== 'budget_exceeded') return error
  const { limit, limit_id: limitId, limit_amount: amount, limit_left: left, resets_at: resetsAt } = error.fields
  const kind = String(limit).replace(/_budget$/, '')
  const spender = spenders.find((one) => one.kind === kind && String(limitId).startsWith(one.id))
  if (spender === undefined) return error
  const most = creditsToMicro(String(amount))
  const spent = most - creditsToMicro(String(left))
  const needed = creditsToMicro(String(error.fields.required))
  const name = kind === 'key' ? (credential.name ?? spender.id) : spender.name
  const until = resetsAt === null ? '' : ` It begins anew at ${resetsAt}.`
  const message =
    `Budget has been exceeded! ${NAMES[kind]}=${name} Current cost: ${dollars(spent)}, Max budget: ${dollars(most)}. ` +
    `What running calls hold is counted; this call needs ${dollars(needed)}.${until}`
  return new TollgateError(status, 'budget_exceeded', message, {
    type: 'budget_exceeded',
    headers: error.headers,
    fields: { ...error.fields, limit: kind, code: String(status), reason: 'budget_exceeded' },
    cause: error,
  })
}

function dollars(microcredits: bigint): string {
  return trimDecimal(microcredits, 9)
}
