/** Rounds of calls: every case in each of them, in another order each time, between two looks at what a commit costs. */
import type { Floor } from './commit-floor.ts'
import type { BenchmarkContext } from './report.ts'
import { seededRandom, shuffle } from './shuffle.ts'
import type { MeasuredLoad, Stage } from './stage.ts'

const FLOOR_SECONDS = 1
const WARM_UP_SECONDS = 2

export interface Round {
  floor: Floor
  /** Cores other programs took. */
  others: number
  /** By case. */
  results: Map<string, MeasuredLoad>
}

export interface Rounds<Case> {
  cases: readonly Case[]
  /** Run before the first round: compiled code and full caches for everybody. */
  warmUp: readonly Case[]
  run(one: Case, seconds: number): Promise<MeasuredLoad>
}

export async function measureRounds<Case extends { name: string }>(
  { options, progress }: BenchmarkContext,
  stage: Stage,
  { cases, warmUp, run }: Rounds<Case>,
): Promise<{ rounds: Round[]; problems: string[] }> {
  const problems: string[] = []
  const note = (where: string, lines: readonly string[]) => problems.push(...lines.map((line) => `${where}: ${line}`))
  for (const one of warmUp) {
    progress.show(`warming up: ${one.name}`)
    note(one.name, (await run(one, WARM_UP_SECONDS)).problems)
  }
  const random = seededRandom(options.seed)
  const rounds: Round[] = []
  for (let i = 0; i < options.rounds; i += 1) {
    const label = `round ${i + 1} of ${options.rounds}`
    const others = await stage.watchOthers()
    const results: Round['results'] = new Map()
    progress.show(`${label}: the floor`)
    const { floor } = await stage.floor.around(FLOOR_SECONDS, async () => {
      for (const one of shuffle(cases, random)) {
        progress.show(`${label}: ${one.name}`)
        results.set(one.name, await run(one, options.seconds))
      }
    })
    rounds.push({ floor, others: await others(), results })
    for (const [name, result] of results) note(`${label}, ${name}`, result.problems)
    progress.show(`${label}: checking the books`)
    note(label, await stage.checkBooks())
  }
  return { rounds, problems }
}

/** A figure of one case, of each round. */
export function each(rounds: readonly Round[], name: string, pick: (result: MeasuredLoad) => number): number[] {
  return rounds.flatMap(({ results }) => {
    const result = results.get(name)
    return result === undefined ? [] : [pick(result)]
  })
}

/** A figure of two cases, of each round in which both were measured. */
export function both(
  rounds: readonly Round[],
  [name, other]: readonly [string, string],
  reckon: (one: MeasuredLoad, other: MeasuredLoad, floor: Floor) => number,
): number[] {
  return rounds.flatMap(({ floor, results }) => {
    const [one, two] = [results.get(name), results.get(other)]
    return one === undefined || two === undefined ? [] : [reckon(one, two, floor)]
  })
}

export function figuresOf(rounds: readonly Round[]): unknown {
  return rounds.map(({ floor, others, results }) => ({
    floor,
    others,
    cases: [...results].map(([name, result]) => ({ name, ...result })),
  }))
}
