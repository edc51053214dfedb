/** A target beside what was measured. Missing one is said and nothing more: speed never fails a run. */
import { spreadOf } from './spread.ts'
import { spread, table } from './table.ts'

export interface Target {
  what: string
  /** One value a round. */
  measured: readonly number[]
  unit: string
  atLeast?: number
  atMost?: number
}

export interface Verdict {
  what: string
  measured: readonly number[]
  median: number
  target: string
  ok: boolean
}

/** By the median of the rounds. A target that was not measured (--only) has no verdict. */
export function judge(targets: readonly Target[]): Verdict[] {
  return targets
    .filter(({ measured }) => measured.length > 0)
    .map(({ what, measured, unit, atLeast, atMost }) => {
      const { median } = spreadOf(measured)
      const ok = (atLeast === undefined || median >= atLeast) && (atMost === undefined || median <= atMost)
      const target = atLeast !== undefined ? `>= ${atLeast}${unit}` : `<= ${atMost}${unit}`
      return { what, measured, median, target, ok }
    })
}

export function showVerdicts(verdicts: readonly Verdict[]): string {
  if (verdicts.length === 0) return 'No target was measured.'
  const rows = verdicts.map(({ what, measured, target, ok }) => [what, spread(measured), target, ok ? 'ok' : 'MISSED'])
  return table(['target', 'measured: median (min-max)', 'wanted', 'verdict'], rows)
}
