/** Works for all consumers that the configuration names, each at its own pace. Many replicas may: one works for a consumer at a time. */
import type { Database } from '../db/connect.ts'
import { giveUpLease } from './consumer-rows.ts'
import type { Outcome } from './deliver.ts'
import { createFollower, type Follower } from './follow.ts'
import type { Sink } from './sink.ts'

/** How often somebody looks for new events. */
const LOOK_MS = 1_000
const ELSEWHERE_MS = 5_000
const TROUBLE_MS = 5_000

export interface NamedSink {
  name: string
  deadAfterHours: number
  sink: Sink
}

export interface OutboxOptions {
  /** Connections of its own: a slow receiver must not keep one from calls. */
  database: Pick<Database, 'query'>
  sinks: readonly NamedSink[]
  owner: string
  random: () => number
  now: () => number
  count: (consumer: string, outcome: Outcome, events: number) => void
  onTrouble: (consumer: string, error: unknown) => void
}

export interface Outbox {
  /** Ends after the requests that are under way, and leaves the work to others. */
  stop(): Promise<void>
}

export function startOutbox(options: OutboxOptions): Outbox {
  const { database, sinks } = options
  const stopped = new AbortController()
  const running = sinks.map(async ({ name, sink, deadAfterHours }) => {
    const { owner, random, now } = options
    const count = (outcome: Outcome, events: number) => options.count(name, outcome, events)
    const follower = createFollower({ database, name, sink, owner, deadAfterHours, random, now, count })
    await follow(follower, stopped.signal, (error) => options.onTrouble(name, error))
    await giveUpLease(database, follower.lease).catch(() => {})
    await sink.close()
  })
  return {
    async stop() {
      stopped.abort()
      await Promise.all(running)
    },
  }
}

async function follow(follower: Follower, stopped: AbortSignal, onTrouble: (error: unknown) => void): Promise<void> {
  while (!stopped.aborted) {
    const pause = await follower.round().then(
      (round) => ({ more: 0, idle: LOOK_MS, down: LOOK_MS, elsewhere: ELSEWHERE_MS })[round],
      (error: unknown) => {
        onTrouble(error)
        return TROUBLE_MS
      },
    )
    if (pause > 0) await wait(pause, stopped)
  }
}

function wait(ms: number, stopped: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (stopped.aborted) return resolve()
    const end = () => {
      clearTimeout(timer)
      stopped.removeEventListener('abort', end)
      resolve()
    }
    const timer = setTimeout(end, ms)
    stopped.addEventListener('abort', end)
  })
}
