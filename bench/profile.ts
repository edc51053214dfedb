/** Where a process spent its time, from what `node --cpu-prof` wrote: by function, or by kind of work. */
import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { table } from './table.ts'

const TOP = 25

export interface CallFrame {
  functionName: string
  url: string
  lineNumber: number
}

/** The parts of a .cpuprofile that are read here. */
interface CpuProfile {
  nodes: { id: number; callFrame: CallFrame; children?: number[] }[]
  /** Microseconds of the clock that all processes of a machine share. */
  startTime: number
  samples: number[]
  /** Microseconds before each sample. */
  timeDeltas: number[]
}

/** Of the process's main thread: of several threads, the one that was busy most. */
export async function showProfile(directory: string): Promise<string> {
  const profile = await busiestOf(directory)
  if (profile === null) return NOTHING
  const { busy, times } = timesBy(profile, (stack) => (stack[0] === undefined ? '(unknown)' : nameOf(stack[0])))
  const rows = [...times]
    .toSorted(([, a], [, b]) => b - a)
    .slice(0, TOP)
    .map(([where, time]) => [where, (time / 1000).toFixed(0), `${((time * 100) / busy).toFixed(1)} %`])
  return table([`own time, ${(busy / 1e6).toFixed(1)} s without idle time`, 'ms', 'share'], rows)
}

const NOTHING = 'No profile was written: the process did not end by itself.'

/** A stretch of time, in nanoseconds of the clock that all processes of a machine share. */
export interface Stretch {
  from: number
  until: number
}

export interface WorkTimes {
  /** Microseconds in which the thread did anything. */
  busy: number
  /** The same by kind of work. */
  times: ReadonlyMap<string, number>
}

/** The main thread's work within some stretches of time; null where no profile was written. */
export async function workTimes(
  directory: string,
  stretches: readonly Stretch[],
  kindOfWork: (stack: readonly CallFrame[]) => string,
): Promise<WorkTimes | null> {
  const profile = await busiestOf(directory)
  return profile === null ? null : timesBy(profile, kindOfWork, stretches)
}

async function busiestOf(directory: string): Promise<CpuProfile | null> {
  const files = (await readdir(directory).catch(() => [])).filter((name) => name.endsWith('.cpuprofile'))
  const texts = await Promise.all(files.map((name) => readFile(join(directory, name), 'utf8')))
  const profiles = texts.map((text) => {
    const profile = JSON.parse(text) as CpuProfile
    return { profile, busy: timesBy(profile, () => '').busy }
  })
  return profiles.toSorted((a, b) => b.busy - a.busy)[0]?.profile ?? null
}

/** Own times by what the stack (innermost first) is called. */
function timesBy(
  { nodes, samples, timeDeltas, startTime }: CpuProfile,
  nameStack: (stack: readonly CallFrame[]) => string,
  stretches: readonly Stretch[] = [{ from: 0, until: Infinity }],
): { busy: number; times: Map<string, number> } {
  const stacks = stacksOf(nodes)
  const names = new Map(nodes.map(({ id }) => [id, nameStack(stacks.get(id) ?? [])]))
  const times = new Map<string, number>()
  let busy = 0
  let at = startTime
  for (const [i, id] of samples.entries()) {
    at += timeDeltas[i] ?? 0
    // A sample lasts until the next one.
    const time = timeDeltas[i + 1] ?? 0
    const within = stretches.some(({ from, until }) => at * 1000 >= from && at * 1000 < until)
    if (!within || time < 0 || stacks.get(id)?.[0]?.functionName === '(idle)') continue
    const name = names.get(id) ?? '(unknown)'
    busy += time
    times.set(name, (times.get(name) ?? 0) + time)
  }
  return { busy, times }
}

/** By the id of a node: its frame, its caller's, and so on. */
function stacksOf(nodes: CpuProfile['nodes']): Map<number, readonly CallFrame[]> {
  const byId = new Map(nodes.map((node) => [node.id, node]))
  const parents = new Map(nodes.flatMap(({ id, children = [] }) => children.map((child) => [child, id] as const)))
  return new Map(
    nodes.map(({ id }) => {
      const stack: CallFrame[] = []
      for (let at: number | undefined = id; at !== undefined; at = parents.get(at)) {
        const frame = byId.get(at)?.callFrame
        if (frame !== undefined) stack.push(frame)
      }
      return [id, stack]
    }),
  )
}

function nameOf({ functionName, url, lineNumber }: CallFrame): string {
  const name = functionName === '' ? '(anonymous)' : functionName
  if (url === '') return name
  const short = url.replace(/^.*\/node_modules\//, '').replace(/^file:\/\/.*?\/(?=(?:src|providers|bench)\/)/, '')
  return `${name}  ${short}:${lineNumber + 1}`
}
