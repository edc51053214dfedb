/**
 * What a trick is: a few lines that say what somebody tries, what the provider does, and what Tollgate promises about it. What was true
 * is what the scripted provider says it bills, reckoned here at list prices and never read from the product.
 */
import type { Plan } from '../../src/config/config.ts'
import type { ReceivedRequest } from '../support/upstream.ts'
import type { Script } from '../support/upstream-answers.ts'
import type { Actor } from './actor.ts'
import type { Bill } from './bill.ts'

/** What one call of the provider answers, and what it bills the operator for it; null: nothing. */
export interface Reply {
  script: Script
  bill: Bill | null
}

/** `call`: from 1 within the trick. */
export type Provider = (request: ReceivedRequest, call: number) => Reply | Promise<Reply>

export interface Ask {
  /** Members on top of a short call of gpt-4o-mini. */
  body?: Readonly<Record<string, unknown>>
  /** The request's text in place of that, byte for byte. */
  text?: string | Buffer
  headers?: Readonly<Record<string, string>>
  /** Another route than the first one. */
  path?: string
  /** Another key than the actor's own. */
  key?: string
  /** The caller goes when so many frames came; 0: once the provider has the request. */
  leaveAfter?: number
}

/** Microcredits, what the provider billed, what was held, or the larger of the two. */
export type Bound = bigint | 'true' | 'held' | 'either'

export type Promised =
  /** No provider was called, nothing was held or charged. */
  | { kind: 'refused'; status: number; code: string }
  | { kind: 'charged'; least: Bound; most: Bound }
  /** Booked at the greater of count and quote, marked, and left to the operator. */
  | { kind: 'disputed'; least: Bound; most: Bound }

export interface Trick {
  name: string
  /** Who tries it. */
  by: 'caller' | 'provider'
  /** One call, or whatever they do. */
  act: Ask | ((actor: Actor) => Promise<void>)
  provider: Provider
  promise: Promised
  /** `platform` and plenty of credits unless stated. */
  plan?: Plan
  credits?: number
  /** So many users of one pool, each of whom may spend the credits. @default 1 */
  users?: number
  /** Thousandths: the markup and power level on the provider's bill; 1500 unless stated. */
  factor?: bigint
  /** Microcredits below zero that the trick may leave its payer with; none unless stated. */
  overdraft?: bigint
  /** Why it succeeds today: shown, and no failure of the run. */
  known?: string
}

export const refused = (code: string, status = 400): Promised => ({ kind: 'refused', status, code })
/** To the microcredit. */
export const exact: Promised = { kind: 'charged', least: 'true', most: 'true' }
/** Never a loss of the operator's, and never more than was held. */
export const covered: Promised = { kind: 'charged', least: 'true', most: 'held' }
/** An honest caller pays no more than what was true. */
export const atMostTrue: Promised = { kind: 'charged', least: 0n, most: 'true' }
export const free: Promised = { kind: 'charged', least: 0n, most: 0n }
export const between = (least: Bound, most: Bound): Promised => ({ kind: 'charged', least, most })
/** The operator's loss is covered, and the liar's number is not what is charged. */
export const disputed: Promised = { kind: 'disputed', least: 'true', most: 'either' }
