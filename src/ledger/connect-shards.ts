/** The shards of one process: for holds, for progress of running calls, for their ends. */
import { type Close, type CloseAnswer, sendCloses } from './close-batch.ts'
import { type AskedHold, type HoldAnswer, sendHolds } from './hold-batch.ts'
import type { LedgerObserver, Progress } from './ledger.ts'
import { type ProgressAnswer, sendProgress } from './progress-batch.ts'
import { createShards, SHARDS, type Shards } from './shards.ts'

/**
 * A checkpoint waits this long for others to go along: one commit for all that go out meanwhile, and none for a call that is over by
 * then. A process that is killed within it loses the input of the calls it has just sent out.
 */
const CHECKPOINT_LINGER_MS = 20

export interface LedgerShards {
  holds: Shards<AskedHold, HoldAnswer>
  progress: Shards<Progress, ProgressAnswer>
  closes: Shards<Close, CloseAnswer>
}

export interface LedgerShardsOptions {
  url: string
  /** The owner of holds at the moment they are sent. */
  owner: () => string
  onTrouble: (what: string, error: unknown) => void
  observer: LedgerObserver | undefined
}

export function connectShards({ url, owner, onTrouble, observer }: LedgerShardsOptions): LedgerShards {
  const told = (name: 'hold' | 'progress' | 'close') => ({
    url,
    name,
    onTrouble: (error: unknown, size: number) => onTrouble(`${name} batch of ${size}`, error),
    onBatch: (size: number) => observer?.batch(name, size),
  })
  const organizationOf = (request: { organizationId: string }) => request.organizationId
  return {
    holds: createShards({
      ...told('hold'),
      organizationOf,
      shards: SHARDS,
      send: (client, requests: readonly AskedHold[]) => sendHolds(client, owner(), requests),
    }),
    progress: createShards({
      ...told('progress'),
      organizationOf,
      shards: 1,
      // An extension has a stream waiting for it.
      lingerOf: ({ hold }: Progress) => (hold === null ? CHECKPOINT_LINGER_MS : 0),
      send: sendProgress,
    }),
    closes: createShards({
      ...told('close'),
      organizationOf: ({ closing }: Close) => closing.organizationId,
      shards: SHARDS,
      send: sendCloses,
    }),
  }
}
