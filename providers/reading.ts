/** What a response says that it used: tokens, who served, and what the provider bills. */
import { isUsed, type Usage } from './usage.ts'

/** Of a response, JSON or stream. */
export interface Reading {
  /** Null: the provider stated none, or nothing usable. */
  usage: Usage | null
  /** Its own total agrees with its parts. */
  consistent: boolean
  /** The model and tier that served, as stated. */
  model: string | null
  serviceTier: string | null
  /** The provider's own bill in 10^-21 dollars (`charge` divides it once); null where it stated none, or none to be believed. */
  cost: bigint | null
  /** `usage` by the models that made it, where several served one call; each is priced at its own. */
  byModel: readonly { model: string; usage: Usage }[] | null
  /** Uses of the provider's own tools that its response shows, stated or not. */
  toolUses?: Readonly<Record<string, number>>
  /** What of the response is no text, as it shows: images, their tokens. Left out where nothing is known of it. */
  seen?: Readonly<Partial<Omit<Usage, 'toolFees'>>>
}

/** Nothing read yet. */
export function emptyReading(): Reading {
  return { usage: null, consistent: true, model: null, serviceTier: null, cost: null, byModel: null }
}

/** Whether what failed was paid for all the same: it says what it used, and not that this was free. */
export function isPaid({ usage, cost }: Reading): boolean {
  return usage !== null && cost !== 0n && isUsed(usage)
}
