/**
 * Counts what happens in a minute, shared between processes through Redis where there is one. Every count is kept here as well: where
 * Redis does not respond within 4 ms, or is gone, what is known here decides. So a slow Redis adds less than 5 ms to a request and a
 * missing one nothing, and limits are each process's own for that time: fails open, by as many processes as there are.
 */
import type { Redis } from 'ioredis'
import { RateLimiterMemory, RateLimiterRedis, type RateLimiterRes } from 'rate-limiter-flexible'

export const WINDOW_SECONDS = 60
const PATIENCE_MS = 4
/** A Redis that did not respond in time is not waited for until it responded, or this has passed. */
const DISTRUST_MS = 1_000
/** How often counts that nobody waits for are sent to Redis. */
const FLUSH_MS = 100
const PREFIX = 'tollgate:rate'
/** No window is ever full: the caller of this module compares. */
const POINTS = Number.MAX_SAFE_INTEGER

export interface Counted {
  /** In this window, the present one included. */
  count: number
  /** Until the window ends; above 0. */
  msLeft: number
}

export interface RateWindows {
  /** Counts in a window, and says what all processes counted there. Waits for Redis, 4 ms at most. */
  add(name: string, points: number): Promise<Counted>
  /** Counts here at once, and tells Redis later: nobody waits. */
  note(name: string, points: number): Promise<Counted>
  /** Counts nothing. */
  look(name: string): Promise<Counted>
  close(): void
}

/** @param redis null: counts are this process's own. @param now milliseconds. */
export function createRateWindows(redis: Redis | null, now: () => number): RateWindows {
  const here = new RateLimiterMemory({ points: POINTS, duration: WINDOW_SECONDS, keyPrefix: PREFIX })
  const everywhere =
    redis === null
      ? null
      : new RateLimiterRedis({
          storeClient: redis,
          points: POINTS,
          duration: WINDOW_SECONDS,
          keyPrefix: PREFIX,
          rejectIfRedisNotReady: true,
        })
  const untold = new Map<string, number>()
  let distrustedUntil = Number.NEGATIVE_INFINITY

  /**
   * Keeps what Redis counted, so that it decides when Redis is silent. @param own what was counted here then: more than Redis knows of
   * where it was gone for a while. Not what is counted here by now, which holds those who came later.
   */
  async function learn(name: string, { consumedPoints, msBeforeNext }: RateLimiterRes, own: number): Promise<Counted> {
    const known = await here.get(name)
    if (known === null || known.consumedPoints < consumedPoints)
      await here.set(name, consumedPoints, Math.max(1, Math.ceil(msBeforeNext / 1000)))
    return { count: Math.max(consumedPoints, own), msLeft: Math.max(1, msBeforeNext) }
  }

  /** Null where Redis can't tell. */
  async function tell(limiter: RateLimiterRedis, name: string, points: number, own = 0): Promise<Counted | null> {
    try {
      const counted = await learn(name, await limiter.consume(name, points), own)
      distrustedUntil = Number.NEGATIVE_INFINITY
      return counted
    } catch {
      distrustedUntil = now() + DISTRUST_MS
      return null
    }
  }

  async function flush(limiter: RateLimiterRedis): Promise<void> {
    const points = [...untold]
    untold.clear()
    await Promise.all(points.map(([name, count]) => tell(limiter, name, count)))
  }

  const flushing = everywhere === null ? null : setInterval(() => void flush(everywhere), FLUSH_MS).unref()
  const countHere = async (name: string, points: number) => countedOf(await here.consume(name, points))

  return {
    async add(name, points) {
      const own = await countHere(name, points)
      if (everywhere === null) return own
      const told = tell(everywhere, name, points, own.count)
      if (now() < distrustedUntil) return own
      const counted = await Promise.race([told, afterPatience()])
      if (counted === 'late') distrustedUntil = now() + DISTRUST_MS
      return counted === null || counted === 'late' ? own : counted
    },
    async note(name, points) {
      if (everywhere !== null) untold.set(name, (untold.get(name) ?? 0) + points)
      return countHere(name, points)
    },
    async look(name) {
      const known = await here.get(name)
      return known === null ? { count: 0, msLeft: WINDOW_SECONDS * 1000 } : countedOf(known)
    },
    close() {
      if (flushing !== null) clearInterval(flushing)
    },
  }
}

function countedOf({ consumedPoints, msBeforeNext }: RateLimiterRes): Counted {
  return { count: consumedPoints, msLeft: Math.max(1, msBeforeNext) }
}

/** A busy process sees the timer before a response that is there already: it reads what has come before it gives up. */
function afterPatience(): Promise<'late'> {
  return new Promise((resolve) => {
    setTimeout(() => setImmediate(() => resolve('late')), PATIENCE_MS).unref()
  })
}
