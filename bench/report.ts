/** What a benchmark is given by run.ts and hands back to it: text for people, figures for machines, and what went wrong. */
import { availableParallelism } from 'node:os'
import type { Options } from './options.ts'
import type { Progress } from './progress.ts'
import { spreadOf } from './spread.ts'
import { spread } from './table.ts'
import type { Verdict } from './verdict.ts'
import type { Workspace } from './workspace.ts'

export interface Report {
  /** Printed at the end, an empty line between the parts. */
  sections: string[]
  verdicts: Verdict[]
  /** Every figure of every round, for --json. */
  figures: unknown
  /** Money that does not reconcile and calls that failed. Any of them fails the run. */
  problems: string[]
}

/** Somebody else's work on the same cores is in every figure; the reader must know. */
const NOISE_CORES = 0.1

export interface BenchmarkContext {
  options: Options
  workspace: Workspace
  progress: Progress
}

export function showOthers(rounds: readonly { others: number }[]): string {
  const cores = rounds.map(({ others }) => others)
  const advice =
    spreadOf(cores).max > NOISE_CORES ? ' NOISY: figures and ratios are worth less; run it again alone.' : ''
  return `Other programs took ${spread(cores)} of ${availableParallelism()} cores meanwhile.${advice}`
}
