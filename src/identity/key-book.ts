/**
 * What is known of keys. One that was found is believed for a second, counted from when the database was asked, so a revoked key is dead
 * a second later. A key in use is asked about again before that second is over, in one query for all keys that are due, so no call of
 * it waits. Where that query fails, the second runs out, and the next call asks and waits: fails closed. That a key was found once is
 * remembered for longer, so it does not queue behind strangers. Keys nobody has are remembered apart: they take nothing from good ones,
 * and are counted for the address they came from.
 */
import { LRUCache } from 'lru-cache'
import type { UnknownKeys } from '../admission/unknown-keys.ts'
import type { FoundKeys, KeyRecord } from './find-key.ts'
import { nameOf } from './find-key.ts'
import { createKeyQueue, WAITING_MAX } from './key-queue.ts'

const REMEMBER_MS = 1_000
/** So much of the second is left to a busy database for the response. */
const REFRESH_AFTER_MS = 500
const GOOD_MAX = 100_000
const UNKNOWN_MAX = 10_000

export interface KeyBook {
  /** Null: nobody's. @throws {TollgateError} 429, 503. @throws what the database throws. */
  find(hash: Buffer, address: string): Promise<KeyRecord | null>
}

interface Known {
  record: Promise<KeyRecord | null>
  askedAt: number
  isRefreshing: boolean
}

export interface KeyBookOptions {
  findKeys: (hashes: readonly Buffer[]) => Promise<FoundKeys>
  unknownKeys: UnknownKeys
  now: () => number
}

export function createKeyBook({ findKeys, unknownKeys, now }: KeyBookOptions): KeyBook {
  const good = new LRUCache<string, Known>({ max: GOOD_MAX })
  const unknown = new LRUCache<string, number>({ max: UNKNOWN_MAX })
  const asked = new Map<string, Promise<KeyRecord | null>>()
  const strangers = createKeyQueue(findKeys, WAITING_MAX)
  // All remembered keys may wait; none of them is refused.
  const refreshes = createKeyQueue(findKeys, GOOD_MAX)

  function remember(name: string, record: Promise<KeyRecord | null>, askedAt: number): void {
    const known = { record, askedAt, isRefreshing: false }
    good.set(name, known)
    record.then(
      (found) => found === null && good.peek(name) === known && good.delete(name),
      // The key was good once, so the next call asks again.
      () => {
        known.askedAt = Number.NEGATIVE_INFINITY
      },
    )
  }

  async function refresh(name: string, hash: Buffer, known: Known): Promise<void> {
    known.isRefreshing = true
    const askedAt = now()
    try {
      const found = await refreshes.find(hash)
      if (good.peek(name) !== known) return
      if (found === null) good.delete(name)
      else remember(name, Promise.resolve(found), askedAt)
    } catch {
      // The next call tries again, and the one after the second waits for a response of its own.
      known.isRefreshing = false
    }
  }

  async function meet(name: string, hash: Buffer, address: string): Promise<KeyRecord | null> {
    if ((unknown.get(name) ?? 0) > now()) {
      unknownKeys.refuse(address)
      return null
    }
    if (strangers.isBusy) unknownKeys.refuse(address)
    const askedAt = now()
    const running = asked.get(name)
    const record = running ?? strangers.find(hash)
    asked.set(name, record)
    const found = await record.finally(() => asked.delete(name))
    if (found !== null) {
      if (running === undefined) remember(name, record, askedAt)
      return found
    }
    unknown.set(name, now() + REMEMBER_MS)
    unknownKeys.count(address)
    unknownKeys.refuse(address)
    return null
  }

  return {
    find(hash, address) {
      const name = nameOf(hash)
      const known = good.get(name)
      if (known === undefined) return meet(name, hash, address)
      const askedAt = now()
      const age = askedAt - known.askedAt
      if (age < REMEMBER_MS) {
        if (age >= REFRESH_AFTER_MS && !known.isRefreshing) void refresh(name, hash, known)
        return known.record
      }
      const record = findKeys([hash]).then((found) => found.get(name) ?? null)
      remember(name, record, askedAt)
      return record
    },
  }
}
