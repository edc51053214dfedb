/** One call: everything known about it, gathered as it goes along. */
import type { ChatRequest } from '../../providers/provider.ts'
import type { Caller } from '../identity/caller.ts'
import type { Hold } from '../ledger/ledger.ts'
import type { Candidate } from './candidate.ts'
import type { Exchange } from './exchange.ts'
import type { Bill } from './settle-call.ts'

export interface Call {
  exchange: Exchange
  caller: Caller
  request: ChatRequest
  modelGroup: string
  /** What is being attempted; changes when another deployment is tried. */
  candidate: Candidate
  hold: Hold
  /** The hold took the input at one token a byte, because little was left. */
  byteBoundInput: boolean
  /** Microcredits of the input that the hold leaves out, where the credits did not cover the most its media can be. */
  unheld: bigint
  /** How large the hold is by now. */
  held: bigint
  /** The cap sent upstream although the caller did not set it; shown as X-Max-Tokens-Applied. */
  appliedCap: number | null
  /** The deployment that refused to be asked for usage in this call, which is made without; null for none. */
  streamOptionsUnsupportedId: string | null
  retries: number
  fallbacks: number
  timing: Timing
  /** What it was charged; null until it is settled. */
  bill: Bill | null
}

/** Milliseconds, all but `upstreamStartedAt` and `firstByteAt` durations. */
export interface Timing {
  /** When this attempt went out, by performance.now(). */
  upstreamStartedAt: number
  firstByteAt: number | null
  upstreamMs: number
}

/** The payer of a call, as the ledger wants it. */
export function payerOf(caller: Caller): { organizationId: string; userId: string; keyId: string | null } {
  return { organizationId: caller.organizationId, userId: caller.userId, keyId: caller.keyId }
}
