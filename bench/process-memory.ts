/** The memory of a process, in megabytes, from /proc; NaN where there is none. */
import { readFile } from 'node:fs/promises'

export async function processMemory(pid: number, what: 'VmRSS' | 'VmHWM'): Promise<number> {
  const text = await readFile(`/proc/${pid}/status`, 'latin1').catch(() => '')
  const kilobytes = new RegExp(`^${what}:\\s*(\\d+) kB$`, 'm').exec(text)?.[1]
  return kilobytes === undefined ? Number.NaN : Number(kilobytes) / 1024
}
