/** CPU time of processes and of the machine, from /proc. Where there is no /proc, nothing is known: NaN. */
import { readdir, readFile } from 'node:fs/promises'

/** Ticks of /proc are a hundredth of a second on every Linux that Node runs on. */
const TICK_MS = 10

interface ProcessTimes {
  pid: number
  parent: number
  own: number
  /** Of children that have ended. */
  ended: number
}

/** Milliseconds of user and system time, all threads. */
export async function cpuTime(pid: number): Promise<number> {
  return (await timesOf(pid))?.own ?? Number.NaN
}

/** Of processes and everything they started, what has ended included: a PostgreSQL by its postmaster. */
export async function cpuTimeOfFamilies(heads: readonly number[]): Promise<number> {
  const names = await readdir('/proc').catch(() => [])
  const all = await Promise.all(names.filter((name) => /^\d+$/.test(name)).map((name) => timesOf(Number(name))))
  const living = all.filter((times) => times !== null)
  const family = new Set(heads)
  // A child may be listed before its parent, so until nobody is added.
  for (let size = 0; size !== family.size; ) {
    size = family.size
    for (const { pid, parent } of living) if (family.has(parent)) family.add(pid)
  }
  const members = living.filter(({ pid }) => family.has(pid))
  if (!heads.every((head) => members.some(({ pid }) => pid === head))) return Number.NaN
  return members.reduce((sum, { own, ended }) => sum + own + ended, 0)
}

/** The process that started this one. */
export async function parentOf(pid: number): Promise<number> {
  return (await timesOf(pid))?.parent ?? 0
}

/** Watches what else runs on the machine. Returns how many cores others took meanwhile, the hypervisor's other guests included. */
export async function watchOthers(ours: readonly number[]): Promise<() => Promise<number>> {
  const now = async () => ({ at: performance.now(), others: (await machineTime()) - (await cpuTimeOfFamilies(ours)) })
  const before = await now()
  return async () => {
    const after = await now()
    return Math.max(0, (after.others - before.others) / (after.at - before.at))
  }
}

/** Milliseconds all cores together were busy. */
async function machineTime(): Promise<number> {
  const text = await readFile('/proc/stat', 'latin1').catch(() => '')
  const [user, nice, system, , , interrupts, soft, steal] = (text.split('\n')[0] ?? '').split(/ +/).slice(1).map(Number)
  return (
    [user, nice, system, interrupts, soft, steal].reduce<number>((sum, ticks) => sum + (ticks ?? Number.NaN), 0) *
    TICK_MS
  )
}

async function timesOf(pid: number): Promise<ProcessTimes | null> {
  const text = await readFile(`/proc/${pid}/stat`, 'latin1').catch(() => null)
  if (text === null) return null
  // The name in parentheses may hold spaces and parentheses; what follows the last one doesn't.
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ')
  const at = (index: number) => Number(fields[index])
  return { pid, parent: at(1), own: (at(11) + at(12)) * TICK_MS, ended: (at(13) + at(14)) * TICK_MS }
}
