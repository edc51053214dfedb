/**
 * The tier that serves calls which ask for none, where it is dearer than the list price: a project at the provider may have one set, and
 * only its responses show that. It is learned from what was served, by deployment, for an hour after it was last seen; from then on holds
 * cover it. It is kept in this process only, so the first call after a start may cost that much more than its hold.
 */
import { MILLION } from '../metering/charge.ts'

const REMEMBER_MS = 3_600_000

export interface UsualTiers {
  /** @param multiplier millionths of the list price that a call without a tier was served at. */
  learn(deploymentId: string, multiplier: bigint): void
  /** Millionths of the list price, never below it. */
  of(deploymentId: string): bigint
}

/** @param now monotonic, in milliseconds. */
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
