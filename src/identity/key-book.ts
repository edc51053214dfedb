/**
 * What is known of keys. One that was found is remembered for a second, so a revoked key is dead a second later; that it was found once
 * is remembered for longer, and it is looked up on its own from then on, whatever strangers do. Keys nobody has are remembered
 * apart: they take nothing from good ones, and are counted for the address they came from.
 */
import { LRUCache } from 'lru-cache'
import type { UnknownKeys } from '../admission/unknown-keys.ts'
import type { FoundKeys, KeyRecord } from './find-key.ts'
import { nameOf } from './find-key.ts'
import { createKeyQueue } from './key-queue.ts'

const REMEMBER_MS = 1_000
const GOOD_MAX = 100_000
const UNKNOWN_MAX = 10_000

export interface KeyBook {
  /** Null: nobody's. @throws {TollgateError} 429, 503. @throws what the database throws. */
  find(hash: Buffer, address: string): Promise<KeyRecord | null>
}

interface Known {
  record: Promise<KeyRecord | null>
  until: number
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
  const queue = createKeyQueue(findKeys)

  function remember(name: string, record: Promise<KeyRecord | null>): void {
    const known = { record, until: now() + REMEMBER_MS }
    good.set(name, known)
    record.then(
      (found) => found === null && good.peek(name) === known && good.delete(name),
      // It was good once: the next call asks again.
      () => {
        known.until = 0
      },
    )
  }

  async function meet(name: string, hash: Buffer, address: string): Promise<KeyRecord | null> {
    if ((unknown.get(name) ?? 0) > now()) {
      unknownKeys.refuse(address)
      return null
    }
    if (queue.isBusy) unknownKeys.refuse(address)
    const running = asked.get(name)
    const record = running ?? queue.find(hash)
    asked.set(name, record)
    const found = await record.finally(() => asked.delete(name))
    if (found !== null) {
      if (running === undefined) remember(name, record)
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
      if (known.until > now()) return known.record
      const record = findKeys([hash]).then((found) => found.get(name) ?? null)
      remember(name, record)
      return record
    },
  }
}
