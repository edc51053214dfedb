/**
 * The tier that serves calls which ask for none, where it is dearer than the list: a project at the provider may be set to one, and
 * nothing but its responses tells. Learned from what was served, by deployment, for an hour after it was seen last; from then on holds
 * cover it. Kept in this process only: the first call after a start may cost more than its hold, by that much.
 */
import { MILLION } from '../metering/charge.ts'

const REMEMBER_MS = 3_600_000

export interface UsualTiers {
  /** @param multiplier millionths of the list price, of a call that asked for no tier. */
  learn(deploymentId: string, multiplier: bigint): void
  /** Millionths of the list price, never below it. */
  of(deploymentId: string): bigint
}

/** @param now milliseconds of any clock that only goes on. */
export function createUsualTiers(now: () => number): UsualTiers {
  const dearer = new Map<string, { multiplier: bigint; until: number }>()
  return {
    learn(deploymentId, multiplier) {
      if (multiplier > MILLION) dearer.set(deploymentId, { multiplier, until: now() + REMEMBER_MS })
    },
    of(deploymentId) {
      const known = dearer.get(deploymentId)
      return known !== undefined && known.until > now() ? known.multiplier : MILLION
    },
  }
}
