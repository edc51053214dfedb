/** The memory that bodies of calls under way may take together: as configured, else an eighth of what there is. */
import { totalmem } from 'node:os'
import type { Limits } from '../config/config.ts'

export function totalBodiesBytes({ bodyBytes, bodiesBytes }: Pick<Limits, 'bodyBytes' | 'bodiesBytes'>): number {
  // One body must fit, whatever there is.
  return Math.max(bodyBytes, bodiesBytes ?? Math.floor(memoryBytes() / 8))
}

/** Of the machine, or of the container where that is bounded. */
export function memoryBytes(): number {
  return Math.min(totalmem(), process.constrainedMemory() || Number.POSITIVE_INFINITY)
}
