/** Every call of a run: what was planned, what the provider saw of it and did, what the caller got. */
import type { CallPlan } from './plan.ts'

/** One process of the product, from its start to its end. */
export interface Incarnation {
  name: string
  slot: number
  startedAt: number
  /** When SIGKILL was sent; null where that was not how it ended. */
  killedAt: number | null
  /** When SIGTERM was sent. */
  drainedAt: number | null
  /** Time after time for which it did not run at all. */
  stops: { from: number; to: number }[]
}

/** What the provider did at one attempt: the truth the books are held against. */
export interface Attempt {
  at: number
  /** Tokens of frames that were begun to be sent. */
  words: number
  finish: 'stop' | 'length' | null
  /** The usage, once it was begun to be sent. */
  stated: { input: number; output: number } | null
  /** The whole answer went out. */
  complete: boolean
  /** Over, however it ended. */
  over: boolean
  /** `words` at each tick while it ran. */
  history: number[]
}

export interface Seen {
  status: number
  /** The answer came to its proper end: all of its body, [DONE] or an error frame on a stream. */
  whole: boolean
  /** Of an error, or of a stream's error frame. */
  code: string | null
  /** Tokens shown, in frames that arrived in whole. */
  words: number
  finish: string | null
  /** Microcredits, as the caller was told: by header and by `usage.cost`. */
  costs: bigint[]
  stated: { input: number; output: number } | null
  pending: boolean
}

export interface Call {
  plan: CallPlan
  incarnation: Incarnation
  startedAt: number
  /** Null while it runs. */
  endedAt: number | null
  /** The caller went away, as planned. */
  left: boolean
  /** It never ended, by the caller's patience. */
  hung: boolean
  attempts: Attempt[]
  seen: Seen | null
  /** Of a call whose process was killed: what a checkpoint must have had of it by then. */
  owed: { words: number } | null
}

export interface Calls {
  all: Map<string, Call>
  running: Set<Call>
  open(plan: CallPlan, incarnation: Incarnation): Call
  close(call: Call): void
  find(tag: string): Call | undefined
  /** Notes what calls of a process that is being killed are owed: what the provider had sent `CHECKPOINT_AGE_MS` ago. */
  killed(incarnation: Incarnation): void
  stop(): void
}

/** Checkpoints are two seconds apart; what is older than this is on one. */
const CHECKPOINT_AGE_MS = 4_000
const TICK_MS = 500

export function createCalls(): Calls {
  const all = new Map<string, Call>()
  const running = new Set<Call>()

  const ticking = setInterval(() => {
    for (const call of running) {
      for (const attempt of call.attempts) if (!attempt.over) attempt.history.push(attempt.words)
    }
  }, TICK_MS)

  return {
    all,
    running,
    open(plan, incarnation) {
      const call: Call = {
        plan,
        incarnation,
        startedAt: performance.now(),
        endedAt: null,
        left: false,
        hung: false,
        attempts: [],
        seen: null,
        owed: null,
      }
      all.set(plan.tag, call)
      running.add(call)
      return call
    },
    close(call) {
      call.endedAt = performance.now()
      running.delete(call)
      for (const attempt of call.attempts) attempt.history = []
    },
    find: (tag) => all.get(tag),
    killed(incarnation) {
      for (const call of running) {
        const attempt = call.attempts.at(-1)
        if (call.incarnation !== incarnation || attempt === undefined || attempt.over) continue
        const words = attempt.history.at(-CHECKPOINT_AGE_MS / TICK_MS)
        if (words !== undefined && call.attempts.length === 1) call.owed = { words }
      }
    },
    stop: () => clearInterval(ticking),
  }
}
