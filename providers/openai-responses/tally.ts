/**
 * What the events of a response have said. Each text comes several times: in deltas, when its part ends, when its item ends, at the end.
 * What is said again counts once; more than that counts, wherever it stands.
 */
import type { ResponseProgress } from './progress.ts'

export interface Tally {
  /** Text that is new. @param index of its item. */
  add(index: unknown, text: string): void
  /** Text that repeats what its item said: the rest of it is new. @param key of what may repeat it once. */
  repeat(index: unknown, text: string, key: string): void
  /** Text that repeats what all items said. */
  repeatAll(text: string): void
  /** Whether this was not there before. */
  isFirst(key: string): boolean
}

export function createTally(progress: Pick<ResponseProgress, 'shown' | 'frames'>): Tally {
  /** Characters so far, by item. */
  const said = new Map<unknown, number>()
  const seen = new Set<string>()

  function add(index: unknown, text: string): void {
    if (text === '') return
    said.set(index, (said.get(index) ?? 0) + text.length)
    progress.frames += 1
    progress.shown.add(text, Buffer.byteLength(text))
  }

  function isFirst(key: string): boolean {
    if (seen.has(key)) return false
    seen.add(key)
    return true
  }

  return {
    add,
    repeat(index, text, key) {
      const before = isFirst(key) ? (said.get(index) ?? 0) : 0
      if (text.length > before) add(index, text.slice(before))
    },
    repeatAll(text) {
      const all = [...said.values()].reduce((sum, length) => sum + length, 0)
      if (text.length > all) add('all', text.slice(all))
    },
    isFirst,
  }
}
