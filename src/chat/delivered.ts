/** What a running call would be charged if it ended here: the input by its estimate, and the output passed on so far. */
import type { Delivered } from '../ledger/ledger.ts'
import { charge } from '../metering/charge.ts'
import { NO_USAGE } from '../metering/usage.ts'
import type { Call } from './call.ts'

export function deliveredBy(call: Call, outputTokens: number): Delivered {
  const { price, markup, level, allowBelowCost, estimate, toolUses, tier } = call.offer
  const { tokens, media, audioInput } = estimate
  const usage = { ...NO_USAGE, input: tokens + media, audioInput, output: outputTokens, toolFees: toolUses }
  const { microcredits, apiCost } = charge({ usage, price, markup, level, tier, allowBelowCost })
  return { credits: microcredits, apiCost }
}

/** A call that is going out is worth its input from now on. */
export function dispatched(call: Call): Delivered {
  return deliveredBy(call, 0)
}
