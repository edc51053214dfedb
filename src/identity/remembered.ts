/**
 * Remembers what was looked up for a second, counted from when it was asked for. What is in use is asked about again before that second
 * is over, so no call waits for it; where that fails, the second runs out, and the next call asks and waits: fails closed.
 */
import { LRUCache } from 'lru-cache'

const REMEMBER_MS = 1_000
const REFRESH_AFTER_MS = 500

interface Known<Value> {
  value: Promise<Value>
  askedAt: number
  isRefreshing: boolean
}

/** @throws what `load` throws. */
export type Remembered<Value> = (name: string, load: () => Promise<Value>) => Promise<Value>

export function createRemembered<Value>({ max, now }: { max: number; now: () => number }): Remembered<Value> {
  const known = new LRUCache<string, Known<Value>>({ max })

  function remember(name: string, value: Promise<Value>, askedAt: number): void {
    const entry = { value, askedAt, isRefreshing: false }
    known.set(name, entry)
    value.catch(() => known.peek(name) === entry && known.delete(name))
  }

  async function refresh(name: string, load: () => Promise<Value>, entry: Known<Value>): Promise<void> {
    entry.isRefreshing = true
    const askedAt = now()
    try {
      const value = await load()
      if (known.peek(name) === entry) remember(name, Promise.resolve(value), askedAt)
    } catch {
      entry.isRefreshing = false
    }
  }

  return (name, load) => {
    const at = now()
    const entry = known.get(name)
    if (entry !== undefined && at - entry.askedAt < REMEMBER_MS) {
      if (at - entry.askedAt >= REFRESH_AFTER_MS && !entry.isRefreshing) void refresh(name, load, entry)
      return entry.value
    }
    const value = load()
    remember(name, value, at)
    return value
  }
}
