/**
 * Look-ups of keys: one query at a time, for all that wait. However many keys strangers make up, the database is asked by one
 * connection, and a new key that is good is found among them.
 */
import { TollgateError } from '../http/errors.ts'
import { type FoundKeys, type KeyRecord, nameOf } from './find-key.ts'

const BATCH = 256
/** Of keys that were never seen. */
export const WAITING_MAX = 4 * BATCH

interface Waiting {
  hash: Buffer
  resolve(record: KeyRecord | null): void
  reject(error: unknown): void
}

export interface KeyQueue {
  /** The next query is full: addresses that are known to guess are refused. */
  readonly isBusy: boolean
  /** @throws what the query throws, and 503 where too many wait. */
  find(hash: Buffer): Promise<KeyRecord | null>
}

/** @param waitingMax with so many waiting, further keys are refused. */
export function createKeyQueue(
  findKeys: (hashes: readonly Buffer[]) => Promise<FoundKeys>,
  waitingMax: number,
): KeyQueue {
  const waiting: Waiting[] = []
  let isRunning = false

  async function run(): Promise<void> {
    isRunning = true
    while (waiting.length > 0) {
      const batch = waiting.splice(0, BATCH)
      try {
        const found = await findKeys(batch.map(({ hash }) => hash))
        for (const { hash, resolve } of batch) resolve(found.get(nameOf(hash)) ?? null)
      } catch (error) {
        for (const { reject } of batch) reject(error)
      }
    }
    isRunning = false
  }

  return {
    get isBusy() {
      return waiting.length >= BATCH
    },
    async find(hash) {
      if (waiting.length >= waitingMax) throw tooMany()
      return new Promise((resolve, reject) => {
        waiting.push({ hash, resolve, reject })
        if (!isRunning) void run()
      })
    },
  }
}

function tooMany(): TollgateError {
  return new TollgateError(503, 'identity_busy', 'Too many keys are being looked up. Try again shortly.', {
    headers: { 'Retry-After': '1' },
    limit: 'unknown_keys',
  })
}
