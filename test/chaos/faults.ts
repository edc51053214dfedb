/**
 * Carries the schedule out. Faults of one thing (a process, its wire, its disk, the server) follow each other; those of different
 * things overlap. Whatever was broken is whole again when the run is told to stop.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import pg from 'pg'
import type { Cluster } from './cluster.ts'
import type { Window } from './expect-charge.ts'
import type { Payer } from './payers.ts'
import type { Fault, FaultKind, TimedFault } from './schedule.ts'

export interface Faults {
  /** How often each kind happened. */
  tally: ReadonlyMap<FaultKind, number>
  /** When processes of this slot could not count on the database. */
  troubled(slot: number): Window[]
  /** Resolves when all faults are over. */
  done: Promise<void>
}

/** A withheld commit waits for one to come along; not for ever. */
const COMMIT_PATIENCE_MS = 3_000
/** Until a process has connected again, and sent what it could not. */
const RECONNECT_MS = 3_000
const PROCESS_FAULTS: ReadonlySet<FaultKind> = new Set(['kill -9', 'SIGSTOP', 'SIGTERM'])

export function startFaults(
  schedule: readonly TimedFault[],
  cluster: Cluster,
  payers: readonly Payer[],
  log: (line: string) => void,
): Faults {
  const tally = new Map<FaultKind, number>()
  const lanes = new Map<string, Promise<unknown>>()
  const windows: (Window & { slot: number | null })[] = []
  const startedAt = performance.now()
  const seconds = () => ((performance.now() - startedAt) / 1_000).toFixed(1)

  /** When all of its lanes are free. */
  async function inLanes(fault: Fault): Promise<void> {
    const names = lanesOf(fault, cluster.slots.length)
    const before = names.map((name) => lanes.get(name))
    const { promise: over, resolve: free } = Promise.withResolvers<void>()
    for (const name of names) lanes.set(name, over)
    try {
      await Promise.all(before)
      log(`${seconds()} s  ${describe(fault)}`)
      const from = performance.now()
      const happened = await commit(fault, cluster, payers)
      const wireStays = PROCESS_FAULTS.has(fault.kind) && !('cutOffMs' in fault && fault.cutOffMs > 0)
      if (!wireStays) {
        windows.push({ from, to: performance.now() + RECONNECT_MS, slot: 'slot' in fault ? fault.slot : null })
      }
      if (happened > 0) tally.set(fault.kind, (tally.get(fault.kind) ?? 0) + happened)
    } finally {
      free()
    }
  }

  async function run(): Promise<void> {
    const running: Promise<void>[] = []
    for (const fault of schedule) {
      await sleep(Math.max(0, fault.atMs - (performance.now() - startedAt)))
      const one = inLanes(fault)
      // Its failure is told at the end; until then it must not count as nobody's.
      one.catch(() => {})
      running.push(one)
    }
    await Promise.all(running)
  }
  const troubled = (slot: number) => windows.filter((window) => window.slot === null || window.slot === slot)
  return { tally, troubled, done: run() }
}

function lanesOf(fault: Fault, slots: number): string[] {
  const all = Array.from({ length: slots }, (_, slot) => slot)
  switch (fault.kind) {
    case 'kill -9':
      return fault.cutOffMs > 0 ? [`process ${fault.slot}`, `wire ${fault.slot}`] : [`process ${fault.slot}`]
    case 'SIGSTOP':
    case 'SIGTERM':
      return [`process ${fault.slot}`]
    case 'database crash':
      return ['server']
    case 'row lock':
      return ['rows']
    case 'full spool disk':
      return fault.databaseAway ? [`disk ${fault.slot}`, `wire ${fault.slot}`] : [`disk ${fault.slot}`]
    default:
      return fault.slot === null ? all.map((slot) => `wire ${slot}`) : [`wire ${fault.slot}`]
  }
}

/** Returns how often it happened. */
async function commit(fault: Fault, cluster: Cluster, payers: readonly Payer[]): Promise<number> {
  switch (fault.kind) {
    case 'kill -9':
      return killCutOff(fault, cluster)
    case 'SIGTERM':
      await slotOf(cluster, fault.slot).drain(fault.downMs)
      return 1
    case 'SIGSTOP':
      return freeze(fault, cluster)
    case 'database crash':
      await cluster.crashDatabase(fault.how)
      return 1
    case 'full spool disk':
      return fillDisk(fault, cluster)
    case 'row lock':
      return holdRow(cluster, payers[fault.payer], fault.ms)
    default:
      return disturbWire(fault, cluster)
  }
}

async function killCutOff(fault: Fault & { kind: 'kill -9' }, cluster: Cluster): Promise<number> {
  const link = cluster.links[fault.slot]
  if (fault.cutOffMs > 0) {
    link?.cut()
    await sleep(fault.cutOffMs)
  }
  const back = slotOf(cluster, fault.slot).kill(fault.downMs)
  if (fault.cutOffMs > 0) link?.restore()
  await back
  return 1
}

async function freeze({ slot, ms, thenKill }: Fault & { kind: 'SIGSTOP' }, cluster: Cluster): Promise<number> {
  const frozen = slotOf(cluster, slot)
  frozen.freeze()
  await sleep(ms)
  if (thenKill) await frozen.kill(0)
  else frozen.thaw()
  return 1
}

async function fillDisk(fault: Fault & { kind: 'full spool disk' }, cluster: Cluster): Promise<number> {
  const slot = slotOf(cluster, fault.slot)
  const link = cluster.links[fault.slot]
  await slot.fillDisk()
  // A spool is needed only while the database is away.
  if (fault.databaseAway) link?.cut()
  await sleep(fault.ms)
  if (fault.databaseAway) link?.restore()
  await slot.freeDisk()
  return 1
}

type WireFault = Extract<
  Fault,
  { kind: 'database away' | 'stalled wire' | 'lost answers' | 'broken connections' | 'ambiguous commit' }
>

async function disturbWire(fault: WireFault, { links }: Cluster): Promise<number> {
  const touched = fault.slot === null ? links : links.slice(fault.slot, fault.slot + 1)
  if (fault.kind === 'ambiguous commit') {
    const [link] = touched
    if (link === undefined) return 0
    const happened = link.withholdCommit(fault.statement, fault.times)
    await Promise.race([happened, sleep(COMMIT_PATIENCE_MS, undefined, { ref: false })])
    link.restore()
    return happened
  }
  for (const link of touched) {
    if (fault.kind === 'database away') link.cut()
    else if (fault.kind === 'stalled wire') link.stall()
    else if (fault.kind === 'lost answers') link.loseAnswers()
    else link.breakConnections()
  }
  if (fault.kind === 'broken connections') return 1
  await sleep(fault.ms)
  // What was answered to nobody must not be waited for.
  for (const link of touched) {
    if (fault.kind === 'lost answers') link.breakConnections()
    link.restore()
  }
  return 1
}

/** By a session of its own, which a crash of the server may end at any moment. */
async function holdRow(cluster: Cluster, payer: Payer | undefined, ms: number): Promise<number> {
  const client = new pg.Client({ connectionString: cluster.databaseUrl })
  client.on('error', () => {})
  try {
    await client.connect()
    await client.query('begin')
    await client.query('select 1 from organization_credit_pools where org_id = $1 for update', [payer?.organizationId])
    await sleep(ms)
    await client.query('rollback')
    return 1
  } catch {
    return 0
  } finally {
    await client.end().catch(() => {})
  }
}

function slotOf(cluster: Cluster, slot: number): Cluster['slots'][number] {
  const found = cluster.slots[slot]
  if (found === undefined) throw new Error(`there is no slot ${slot}`)
  return found
}

function describe(fault: Fault): string {
  const { kind, ...rest } = fault
  const details = Object.entries(rest)
    .filter(([name]) => name !== 'atMs')
    .map(([name, value]) => `${name} ${value ?? 'all'}`)
  return [kind, ...details].join(', ')
}
