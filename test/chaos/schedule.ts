/** Which faults happen when: a list made of the seed alone. */
import { seededRandom } from '../support/splits.ts'
import type { DatabaseCrash } from './cluster.ts'

/** `slot` null: all of them. Times are milliseconds. */
export type Fault =
  /** After a while without the database, where that is not 0: what it could not settle is in its spool. */
  | { kind: 'kill -9'; slot: number; cutOffMs: number; downMs: number }
  /** Longer than its lease lives, most of the time. */
  | { kind: 'SIGSTOP'; slot: number; ms: number; thenKill: boolean }
  | { kind: 'SIGTERM'; slot: number; downMs: number }
  | { kind: 'database crash'; how: DatabaseCrash }
  | { kind: 'database away'; slot: number | null; ms: number }
  | { kind: 'stalled wire'; slot: number | null; ms: number }
  | { kind: 'lost answers'; slot: number; ms: number }
  | { kind: 'broken connections'; slot: number }
  | { kind: 'ambiguous commit'; slot: number; statement: string; times: number }
  | { kind: 'full spool disk'; slot: number; ms: number; databaseAway: boolean }
  /** An operator's session that has a row and does not let go. */
  | { kind: 'row lock'; payer: number; ms: number }

export type FaultKind = Fault['kind']
export type TimedFault = Fault & { atMs: number }

export interface ScheduleOptions {
  seed: number
  seconds: number
  slots: number
  payers: number
  /** Kinds that can't be done here. */
  without: ReadonlySet<FaultKind>
}

/** The first calls and the last ones run undisturbed. */
const QUIET_MS = 2_000
const MEAN_GAP_MS = 1_100

const WEIGHTS: readonly [FaultKind, number][] = [
  ['kill -9', 5],
  ['SIGSTOP', 3],
  ['SIGTERM', 2],
  ['database crash', 2],
  ['database away', 4],
  ['stalled wire', 3],
  ['lost answers', 2],
  ['broken connections', 3],
  ['ambiguous commit', 7],
  ['full spool disk', 3],
  ['row lock', 2],
]

export const FAULT_KINDS: readonly FaultKind[] = WEIGHTS.map(([kind]) => kind)

export function makeSchedule(options: ScheduleOptions): TimedFault[] {
  const random = seededRandom(Math.imul(options.seed + 1, 104_729))
  for (let i = 0; i < 4; i += 1) random()
  const faults: TimedFault[] = []
  const weights = WEIGHTS.filter(([kind]) => !options.without.has(kind))
  if (weights.length === 0) return []
  // Each kind once, so that no seed leaves one out; then as they come.
  const first = shuffle(
    weights.map(([kind]) => kind),
    random,
  )
  let atMs = QUIET_MS
  for (;;) {
    atMs += Math.round(-Math.log(1 - random()) * MEAN_GAP_MS)
    if (atMs > options.seconds * 1_000 - QUIET_MS) return faults
    const kind = first.pop() ?? pickOf(weights, random)
    faults.push({ ...makeFault(kind, random, options), atMs })
  }
}

function shuffle<T>(items: readonly T[], random: () => number): T[] {
  return items
    .map((item) => ({ item, rank: random() }))
    .sort((one, other) => one.rank - other.rank)
    .map(({ item }) => item)
}

function pickOf(weights: readonly [FaultKind, number][], random: () => number): FaultKind {
  const total = weights.reduce((sum, [, weight]) => sum + weight, 0)
  let at = random() * total
  for (const [kind, weight] of weights) {
    at -= weight
    if (at < 0) return kind
  }
  return weights[0]?.[0] ?? 'kill -9'
}

function makeFault(kind: FaultKind, random: () => number, { slots, payers }: ScheduleOptions): Fault {
  const below = (limit: number) => Math.floor(random() * limit)
  const between = (least: number, most: number) => least + below(most - least)
  const slot = below(slots)
  const slotOrAll = random() < 0.3 ? null : slot
  switch (kind) {
    case 'kill -9':
      return { kind, slot, cutOffMs: random() < 0.5 ? 0 : between(300, 1_800), downMs: between(0, 4_000) }
    case 'SIGTERM':
      return { kind, slot, downMs: between(0, 4_000) }
    case 'SIGSTOP':
      return { kind, slot, ms: between(500, 6_000), thenKill: random() < 0.2 }
    case 'database crash':
      return { kind, how: (['SIGKILL', 'SIGKILL', 'SIGQUIT', 'SIGINT', 'session'] as const)[below(5)] ?? 'SIGKILL' }
    case 'database away':
      return { kind, slot: slotOrAll, ms: between(50, 5_000) }
    case 'stalled wire':
      return { kind, slot: slotOrAll, ms: between(100, 7_000) }
    case 'lost answers':
      return { kind, slot, ms: between(200, 3_000) }
    case 'ambiguous commit': {
      const statement = ['ledger_close', 'ledger_close', 'ledger_hold', 'ledger_'][below(4)] ?? 'ledger_'
      return { kind, slot, statement, times: between(1, 4) }
    }
    case 'full spool disk':
      return { kind, slot, ms: between(1_000, 6_000), databaseAway: random() < 0.8 }
    case 'row lock':
      return { kind, payer: below(payers), ms: between(300, 4_000) }
    case 'broken connections':
      return { kind, slot }
  }
}
