/** Where a process spent its time, from what `node --cpu-prof` wrote: the functions with the most time of their own. */
import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { table } from './table.ts'

const TOP = 25

/** The parts of a .cpuprofile that are read here. */
interface CpuProfile {
  nodes: { id: number; callFrame: { functionName: string; url: string; lineNumber: number } }[]
  samples: number[]
  /** Microseconds before each sample. */
  timeDeltas: number[]
}

/** Of the process's main thread: of several threads, the one that was busy most. */
export async function showProfile(directory: string): Promise<string> {
  const files = (await readdir(directory).catch(() => [])).filter((name) => name.endsWith('.cpuprofile'))
  const profiles = await Promise.all(files.map((name) => readProfile(join(directory, name))))
  const busiest = profiles.toSorted((a, b) => b.busy - a.busy)[0]
  if (busiest === undefined) return 'No profile was written: the process did not end by itself.'
  const { busy, times } = busiest
  const rows = [...times]
    .toSorted(([, a], [, b]) => b - a)
    .slice(0, TOP)
    .map(([where, time]) => [where, (time / 1000).toFixed(0), `${((time * 100) / busy).toFixed(1)} %`])
  return table([`own time, ${(busy / 1e6).toFixed(1)} s without idle time`, 'ms', 'share'], rows)
}

async function readProfile(file: string): Promise<{ busy: number; times: Map<string, number> }> {
  const { nodes, samples, timeDeltas } = JSON.parse(await readFile(file, 'utf8')) as CpuProfile
  const names = new Map(nodes.map(({ id, callFrame }) => [id, nameOf(callFrame)]))
  const times = new Map<string, number>()
  let busy = 0
  for (const [i, id] of samples.entries()) {
    const name = names.get(id) ?? '(unknown)'
    // A sample lasts until the next one.
    const time = timeDeltas[i + 1] ?? 0
    if (name === '(idle)' || time < 0) continue
    busy += time
    times.set(name, (times.get(name) ?? 0) + time)
  }
  return { busy, times }
}

function nameOf({ functionName, url, lineNumber }: CpuProfile['nodes'][number]['callFrame']): string {
  const name = functionName === '' ? '(anonymous)' : functionName
  if (url === '') return name
  const short = url.replace(/^.*\/node_modules\//, '').replace(/^file:\/\/.*?\/(?=(?:src|providers|bench)\/)/, '')
  return `${name}  ${short}:${lineNumber + 1}`
}
