/** What a call will be, all of it from the seed and the call's number: who asks for what, what the provider does, when the caller leaves. */
import { seededRandom } from '../support/splits.ts'

/** One token each in the model's vocabulary, alone and in any order. `run.ts` makes sure of it before the start. */
export const WORDS = [
  ' the',
  ' of',
  ' and',
  ' to',
  ' in',
  ' is',
  ' was',
  ' for',
  ' on',
  ' that',
  ' with',
  ' as',
  ' at',
] as const

export type PowerLevel = 'eco' | 'balanced' | 'precision'
export type ModelName = 'exact' | 'priced'

/** What the provider does at one attempt. Places are parts of the answer's body, from 0 to 1. */
export type Behaviour =
  | { kind: 'answers'; statesUsage: boolean }
  /** The connection is gone after this part of the body. */
  | { kind: 'cut'; at: number; statesUsage: boolean }
  /** Nothing more comes, and the connection stays open. */
  | { kind: 'hangs'; at: number; statesUsage: boolean }
  | { kind: 'refuses'; status: 429 | 500 | 503 }
  /** The request is read and the connection destroyed. */
  | { kind: 'hangsUp' }

export type Caller =
  | { kind: 'stays' }
  /** Once this many bytes of the answer's body have come; 0 is before any of them. */
  | { kind: 'leaves'; afterBytes: number; afterMs: number }
  /** After a part of the request. */
  | { kind: 'cutsRequest'; at: number }

export interface CallPlan {
  number: number
  /** The X-Request-ID, and `user` in the request: joins caller, provider and books. */
  tag: string
  payer: number
  slot: number
  model: ModelName
  powerLevel: PowerLevel
  stream: boolean
  /** Whether a streaming caller asks for usage. */
  wantsUsage: boolean
  promptTokens: number
  /** `max_tokens` as the caller sends it. */
  cap: number | null
  /** Tokens the provider would answer, and counts on top of what it shows. */
  words: number
  hidden: number
  /** What the provider says of the input beyond the prompt's own tokens. */
  framing: number
  wordsPerFrame: number
  /** Between two frames. */
  paceMs: number
  /** The last one repeats. */
  attempts: readonly Behaviour[]
  caller: Caller
}

export function planCall(seed: number, number: number, payers: number, slots: number): CallPlan {
  const random = seededRandom(Math.imul(seed + 1, 7_919) + number)
  // Seeds that follow each other start alike.
  for (let i = 0; i < 4; i += 1) random()
  const below = (limit: number) => Math.floor(random() * limit)
  const chance = (part: number) => random() < part

  const promptTokens = 1 + below(chance(0.05) ? 2_000 : 60)
  const speed = random()
  const [words, paceMs] =
    speed < 0.6 ? [1 + below(60), 0] : speed < 0.92 ? [1 + below(50), 2 + below(20)] : [30 + below(60), 60 + below(60)]
  return {
    number,
    tag: `chaos-${seed}-${number}`,
    payer: below(payers),
    slot: below(slots),
    model: chance(0.6) ? 'exact' : 'priced',
    powerLevel: chance(0.7) ? 'balanced' : chance(0.5) ? 'eco' : 'precision',
    stream: chance(0.7),
    wantsUsage: chance(0.6),
    promptTokens,
    cap: chance(0.5) ? 1 + below(120) : null,
    words,
    hidden: chance(0.3) ? below(6) : 0,
    framing: below(7),
    wordsPerFrame: chance(0.8) ? 1 : 1 + below(5),
    paceMs,
    attempts: chance(0.1) ? [brokenAttempt(random), behaviour(random)] : [behaviour(random)],
    caller: callerOf(random, below),
  }
}

function behaviour(random: () => number): Behaviour {
  const pick = random()
  const statesUsage = random() < 0.85
  const at = random()
  if (pick < 0.84) return { kind: 'answers', statesUsage }
  if (pick < 0.93) return { kind: 'cut', at, statesUsage }
  if (pick < 0.95) return { kind: 'hangs', at, statesUsage }
  return brokenAttempt(random)
}

/** Consumes nothing: it may be tried again. */
function brokenAttempt(random: () => number): Behaviour {
  const pick = random()
  if (pick < 0.25) return { kind: 'hangsUp' }
  return { kind: 'refuses', status: pick < 0.5 ? 429 : pick < 0.75 ? 500 : 503 }
}

function callerOf(random: () => number, below: (limit: number) => number): Caller {
  const pick = random()
  if (pick < 0.86) return { kind: 'stays' }
  if (pick < 0.89) return { kind: 'cutsRequest', at: random() }
  if (pick < 0.92) return { kind: 'leaves', afterBytes: 0, afterMs: below(40) }
  return { kind: 'leaves', afterBytes: 1 + below(9_000), afterMs: 0 }
}

/** The n-th word of an answer, and of a prompt. */
export function wordAt(plan: CallPlan, index: number): string {
  return WORDS[(plan.number + index * 7) % WORDS.length] ?? ''
}

/** Not kept in the plan: an hour of calls has some hundred megabytes of prompts. */
export function promptOf(plan: CallPlan): string {
  return Array.from({ length: plan.promptTokens }, (_, index) => wordAt(plan, index)).join('')
}
