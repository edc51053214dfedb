/**
 * Counts of a minute as the primary keeps them, so that a limit is exact whichever worker is asked. Fails open: where the primary does
 * not respond in time, or is gone, each worker counts for itself.
 */

import type { Counted } from '../admission/rate-windows.ts'
import { createRateWindows, type RateWindows } from '../admission/rate-windows.ts'
import type { AskPrimary } from './ask-primary.ts'

/** @param now milliseconds. */
export function createSharedWindows(ask: AskPrimary, now: () => number): RateWindows {
  const own = createRateWindows(null, now)
  const counted = async (name: string, asked: Promise<Counted | null>, points: number): Promise<Counted> =>
    (await asked) ?? (points === 0 ? own.look(name) : own.add(name, points))
  return {
    add: (name, points) => counted(name, ask<Counted>({ what: 'add', name, points }), points),
    note: (name, points) => counted(name, ask<Counted>({ what: 'note', name, points }), points),
    look: (name) => counted(name, ask<Counted>({ what: 'look', name }), 0),
    close: () => own.close(),
  }
}
