/**
 * How much of something that all use one organization may have: no more than it leaves free, so that two have a third each and whoever
 * comes next finds some. One that has been alone for a while may have seven eighths, until another comes.
 */

const ALONE_AFTER_MS = 600_000
/** Of the whole, kept for the next organization. */
const KEPT = 1 / 8

export interface FairShare {
  /** @param own what the organization has, @param used what all have, it included. */
  mayTake(organization: string, own: number, used: number): boolean
}

export function createFairShare(total: number, now: () => number): FairShare {
  let latest: string | null = null
  /** When two in a row were of different organizations. */
  let changedAt = Number.NEGATIVE_INFINITY

  return {
    mayTake(organization, own, used) {
      if (latest !== null && latest !== organization) changedAt = now()
      latest = organization
      const free = total - used
      return own < free || (free > Math.max(1, total * KEPT) && now() - changedAt > ALONE_AFTER_MS)
    },
  }
}
