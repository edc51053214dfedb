/** What a call was first held for, as a charge: where nobody can know, or nobody believes, what it used. */
import { NO_USAGE, type Usage } from '../../providers/usage.ts'
import type { Charge } from '../metering/charge.ts'
import type { Attempt } from './admitted.ts'
import { chargeOn } from './candidate-charge.ts'

export interface Counted {
  charge: Charge
  usage: Usage
}

export const NO_PARTS = { input: 0n, cacheRead: 0n, cacheWrite: 0n, output: 0n, reasoning: 0n, tools: 0n }

/** Without what its stream was granted since. The provider's part is 0. */
export function quotedCharge(attempt: Attempt): Counted {
  const { call, candidate, appliedCap } = attempt
  const { quote, wanted, estimate, toolUses, terms } = candidate
  const output = appliedCap === null ? wanted : Math.min(wanted, appliedCap)
  const { tokens, media, audioInput } = estimate
  const counts = { input: tokens + media, audioInput, output: output * terms.choices, toolFees: toolUses }
  const usage = { ...NO_USAGE, ...counts, ...estimate.units?.most }
  const whole = call.hold.inputOf(candidate) + quote.outputFor(output)
  const { held } = call.hold
  const microcredits = whole < held ? whole : held
  const { parts } = chargeOf(attempt, usage)
  const rest = parts.input + parts.tools < microcredits ? microcredits - parts.input - parts.tools : 0n
  const booked = { ...NO_PARTS, input: microcredits - rest, output: rest }
  return { charge: { microcredits, apiCost: 0n, markupApplied: 0n, parts: booked }, usage }
}

/** At the list price of the tier that was asked for. */
export function chargeOf({ candidate }: Attempt, usage: Usage): Charge {
  return chargeOn(candidate, { usage, tier: candidate.tier })
}
