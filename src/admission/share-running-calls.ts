/**
 * Calls that run at once, in all workers of a machine together. Of a limit that is for everybody each worker has a share without
 * asking, half of the whole divided by the workers, and the primary counts what is beyond it; of a limit of one key, organization or
 * plan it counts every call. So nearly nobody is asked about, no more than the limit run, and a small limit is exact; of a large one that
 * all fall on one worker it refuses earlier, at half of it and the worker's share at the least.
 *
 * Fails open: where the primary does not respond each worker goes by its own count.
 */
import type { Caller } from '../identity/caller.ts'
import {
  boundsOfCall,
  type CallBound,
  type Leave,
  type OwnRunningCalls,
  type RunningCallLimits,
  type RunningCalls,
  tooManyCalls,
} from './running-calls.ts'

export interface SharedPlaces {
  workers: number
  /** Takes a place of each name, or none. Resolves to the name that was full; to null where all were taken. */
  take(places: readonly { name: string; most: number }[]): Promise<string | null>
  give(names: readonly string[]): void
}

/** @param own of this process, by the same limits. */
export function shareRunningCalls(own: OwnRunningCalls, limits: RunningCallLimits, shared: SharedPlaces): RunningCalls {
  const running = createCounts()
  const borrowed = createCounts()
  const freeOf = ({ most, isNarrowed }: CallBound) => (isNarrowed ? 0 : Math.floor(most / (2 * shared.workers)))

  /** Gives back what is held beyond need: places are alike, whichever call took them. */
  function leave(bounds: readonly CallBound[]): void {
    const given = bounds.filter((bound) => {
      const beyond = running.add(bound.name, -1) - freeOf(bound)
      if (borrowed.of(bound.name) <= Math.max(0, beyond)) return false
      borrowed.add(bound.name, -1)
      return true
    })
    if (given.length > 0) shared.give(given.map(({ name }) => name))
  }

  async function borrow(bounds: readonly CallBound[], beyond: readonly CallBound[], leaveOwn: Leave): Promise<Leave> {
    for (const { name } of beyond) borrowed.add(name, 1)
    const places = beyond.map((bound) => ({ name: bound.name, most: bound.most - shared.workers * freeOf(bound) }))
    const full = await shared.take(places)
    const refused = beyond.find(({ name }) => name === full)
    if (refused === undefined) return () => both(leaveOwn, bounds)
    leaveOwn()
    for (const { name } of beyond) borrowed.add(name, -1)
    for (const { name } of bounds) running.add(name, -1)
    throw tooManyCalls(refused)
  }

  function both(leaveOwn: Leave, bounds: readonly CallBound[]): void {
    leaveOwn()
    leave(bounds)
  }

  return {
    enter(caller: Caller) {
      const leaveOwn = own.enter(caller)
      const bounds = boundsOfCall(limits, caller)
      const beyond = bounds.filter((bound) => running.add(bound.name, 1) > freeOf(bound))
      return beyond.length === 0 ? () => both(leaveOwn, bounds) : borrow(bounds, beyond, leaveOwn)
    },
  }
}

/** By name, never below 0. */
function createCounts() {
  const counts = new Map<string, number>()
  return {
    of: (name: string) => counts.get(name) ?? 0,
    add(name: string, by: number): number {
      const count = Math.max(0, (counts.get(name) ?? 0) + by)
      if (count === 0) counts.delete(name)
      else counts.set(name, count)
      return count
    },
  }
}
