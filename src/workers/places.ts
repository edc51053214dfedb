/** The places of running calls that workers have beyond their own share of a limit: counted once for all, in the primary. */
import type { Place } from './messages.ts'

export interface Places {
  /** Takes one of each, or none. Returns the name of the first that is full, null where all were taken. */
  take(worker: number, places: readonly Place[]): string | null
  give(worker: number, names: readonly string[]): void
  /** The worker is gone, and with it its calls. */
  forget(worker: number): void
}

export function createPlaces(): Places {
  const totals = new Map<string, number>()
  const byWorker = new Map<number, Map<string, number>>()

  function change(worker: number, name: string, by: number): void {
    const own = byWorker.get(worker) ?? new Map<string, number>()
    byWorker.set(worker, own)
    for (const counts of [own, totals]) {
      const count = (counts.get(name) ?? 0) + by
      if (count > 0) counts.set(name, count)
      else counts.delete(name)
    }
  }

  return {
    take(worker, places) {
      const full = places.find(({ name, most }) => (totals.get(name) ?? 0) >= most)
      if (full !== undefined) return full.name
      for (const { name } of places) change(worker, name, 1)
      return null
    },
    give(worker, names) {
      // What it never had it can't give: the answer that granted it came too late.
      for (const name of names) if ((byWorker.get(worker)?.get(name) ?? 0) > 0) change(worker, name, -1)
    },
    forget(worker) {
      for (const [name, count] of byWorker.get(worker) ?? []) change(worker, name, -count)
      byWorker.delete(worker)
    },
  }
}
