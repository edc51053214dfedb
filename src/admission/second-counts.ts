/** Counts by name what happens within a second, which begins with the first of it. Names that were counted longest ago are forgotten first. */
import { LRUCache } from 'lru-cache'

const WINDOW_MS = 1_000
const NAMES_MAX = 20_000

export interface SecondCounts {
  add(name: string, points?: number): void
  /** 0 where nothing was counted in the last second. */
  of(name: string): number
}

export function createSecondCounts(now: () => number): SecondCounts {
  const counted = new LRUCache<string, { count: number; until: number }>({ max: NAMES_MAX })
  return {
    add(name, points = 1) {
      const known = counted.get(name)
      if (known !== undefined && known.until > now()) known.count += points
      else counted.set(name, { count: points, until: now() + WINDOW_MS })
    },
    of(name) {
      // Nothing was counted lately: the way of nearly every call.
      if (counted.size === 0) return 0
      const known = counted.get(name)
      return known !== undefined && known.until > now() ? known.count : 0
    },
  }
}

/** With a 429 that is over when its second is. */
export function nextSecond(): Record<string, string> {
  return { 'Retry-After': '1', 'X-RateLimit-Reset': `${Math.floor(Date.now() / 1000) + 1}` }
}
