/**
 * Attempts that went out and whose end nobody knows: a time-out, a connection that was cut before anything came, a process that goes
 * down. The provider may have done the work. What the caller pays where the last attempt of a call ends like that is the operator's
 * choice, `tollgate.unknown_outcome`; what the operator may owe beyond that stands on the row, by provider, and is summed up for him.
 */
import type { ProviderError } from '../../providers/provider.ts'
import type { Usage } from '../../providers/usage.ts'
import type { UnknownOutcome } from '../config/config.ts'
import type { Charge } from '../metering/charge.ts'
import { trimDecimal } from '../metering/money.ts'
import { accruedUsage } from './accrued-cost.ts'
import type { Attempt, Risk } from './admitted.ts'
import { chargeOf, quotedCharge } from './quoted-charge.ts'

/** The attempt, with what its failure may cost the operator. The caller's own account is the caller's affair. */
export function withRisk(attempt: Attempt, { isUnknown }: ProviderError): Attempt {
  const { candidate, risks } = attempt
  if (isUnknown !== true || !candidate.payer.isCharged) return attempt
  const risk = { provider: candidate.deployment.provider, nanoDollars: mostCost(attempt) }
  return { ...attempt, isUnknown: true, risks: risk.nanoDollars === 0n ? risks : [...risks, risk] }
}

/** What the caller pays for an attempt whose end nobody knows; null for nothing. */
export function unknownCharge(policy: UnknownOutcome, attempt: Attempt): { charge: Charge; usage: Usage } | null {
  if (!attempt.isUnknown || policy === 'waive') return null
  const { charge, usage } = policy === 'hold' ? held(attempt) : input(attempt)
  return charge.microcredits === 0n ? null : { charge, usage }
}

/** What the operator may owe after a call that was charged for its last attempt: nano-dollars by provider. */
export function risksLeft({ risks, isUnknown }: Attempt, charge: Charge | null): Map<string, bigint> {
  const sums = new Map<string, bigint>()
  for (const [index, { provider, nanoDollars }] of risks.entries()) {
    const paid = isUnknown && index === risks.length - 1 ? (charge?.apiCost ?? 0n) : 0n
    if (nanoDollars > paid) sums.set(provider, (sums.get(provider) ?? 0n) + nanoDollars - paid)
  }
  return sums
}

/** The same for the row, in dollars; no member where nothing is at risk. */
export function riskDetails(attempt: Attempt, charge: Charge | null): { at_risk?: Record<string, string> } {
  const left = risksLeft(attempt, charge)
  if (left.size === 0) return {}
  return { at_risk: Object.fromEntries([...left].map(([provider, sum]) => [provider, trimDecimal(sum, 9)])) }
}

function mostCost(attempt: Attempt): Risk['nanoDollars'] {
  return chargeOf(attempt, quotedCharge(attempt).usage).apiCost
}

function held(attempt: Attempt): { charge: Charge; usage: Usage } {
  const { charge, usage } = quotedCharge(attempt)
  const most = mostCost(attempt)
  const apiCost = most < charge.microcredits ? most : charge.microcredits
  return { charge: { ...charge, apiCost, markupApplied: charge.microcredits - apiCost }, usage }
}

function input(attempt: Attempt): { charge: Charge; usage: Usage } {
  const usage = accruedUsage(attempt.candidate, 0)
  return { charge: chargeOf(attempt, usage), usage }
}
