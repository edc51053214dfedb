/**
 * What bounds the whole machine, divided among workers. Not the limits of keys, users and organizations: those are counted for all
 * of them together; nor the bodies that a caller is sending: a burst of small ones is over in no time, and may fall on one worker.
 */
import { totalBodiesBytes } from '../admission/bodies-memory.ts'
import type { Limits } from '../config/config.ts'

/** Of the least there is for what is fetched, one call's 20 MB may be half, and no organization has more than it leaves free. */
const FETCHED_LEAST = 40 * 1024 ** 2

export function limitsOfWorker(limits: Limits, workers: number): Limits {
  const part = (whole: number) => Math.ceil(whole / workers)
  const { bodyBytes, fetchedBytes } = limits
  return {
    ...limits,
    calls: part(limits.calls),
    connections: part(limits.connections),
    providerConnections: part(limits.providerConnections),
    fetches: part(limits.fetches),
    fetchedBytes: Math.max(Math.min(fetchedBytes, FETCHED_LEAST), part(fetchedBytes)),
    bodiesBytes: Math.max(bodyBytes, part(totalBodiesBytes(limits))),
    unknownKeysPerMinute: part(limits.unknownKeysPerMinute),
    refusedCallsPerSecond: part(limits.refusedCallsPerSecond),
  }
}
