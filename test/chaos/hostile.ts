/** Hostile traffic beside the honest load of a run, and what it leaves: memory and descriptors of each process must not grow with it. */
import { fork } from 'node:child_process'
import { once } from 'node:events'
import { readdir, readFile } from 'node:fs/promises'
import { createKey } from '../../src/billing/create-key.ts'
import { createOrganization } from '../../src/billing/create-organization.ts'
import type { AttackPlan } from './attacker.ts'
import type { Cluster } from './cluster.ts'

/** Microcredits: of somebody who could pay, and has bad manners. */
const RICH = 1_000_000_000_000n
const SAMPLE_MS = 1_000
/** What a heap may differ by from one quarter of a run to another. */
const GROWTH_MOST = 1.5
const DESCRIPTORS_MOST = 64

export interface Hostile {
  /** No more floods. Resolves to what is wrong with what they left, once connections are closed. */
  stop(): Promise<string[]>
}

interface Sample {
  memoryMb: number
  descriptors: number
}

export async function startHostile(cluster: Cluster, seed: number, say: (line: string) => void): Promise<Hostile> {
  // Of their own: what one of them takes, others of their organization lack.
  const keys = [null, await keyWith(cluster, 'mallory', 0n), await keyWith(cluster, 'trudy', RICH)]
  const doors = cluster.doors().filter((door) => door !== null)
  const before = await Promise.all(doors.map(({ pid }) => sample(pid)))
  const plan: AttackPlan = { urls: doors.map(({ url }) => url), keys, seed }
  const attacker = fork(new URL('./attacker.ts', import.meta.url), [JSON.stringify(plan)])
  const ended = once(attacker, 'exit')
  const samples = doors.map((): Sample[] => [])
  const sampling = setInterval(() => {
    for (const [at, { pid }] of doors.entries()) void sample(pid).then((one) => samples[at]?.push(one))
  }, SAMPLE_MS)
  const stop = async () => {
    clearInterval(sampling)
    attacker.kill('SIGKILL')
    await ended
  }
  return {
    async stop() {
      await stop()
      const after = await Promise.all(doors.map(({ pid }) => untilClosed(pid)))
      return doors.flatMap((_, at) => judge(at, before[at]!, samples[at]!, after[at]!, say))
    },
  }
}

async function keyWith({ database }: Cluster, user: string, credits: bigint): Promise<string> {
  const { id } = await createOrganization(database, { name: user, plan: 'platform', credits })
  return (await createKey(database, { organization: id, user, allocate: credits, role: null, name: null })).key
}

function judge(
  slot: number,
  before: Sample,
  samples: readonly Sample[],
  after: Sample,
  say: (line: string) => void,
): string[] {
  const quarter = Math.floor(samples.length / 4)
  const second = median(samples.slice(quarter, 2 * quarter).map(({ memoryMb }) => memoryMb))
  const last = median(samples.slice(-quarter).map(({ memoryMb }) => memoryMb))
  const most = (name: keyof Sample) => Math.max(...samples.map((one) => one[name]))
  say(
    `hostile, proxy ${slot}: memory ${before.memoryMb.toFixed(0)} MB before, ${second.toFixed(0)} in the second quarter, ` +
      `${last.toFixed(0)} in the last, ${most('memoryMb').toFixed(0)} at most; descriptors ${before.descriptors} before, ` +
      `${most('descriptors')} at most, ${after.descriptors} after`,
  )
  return [
    ...(last > second * GROWTH_MOST ? [`the memory of proxy ${slot} grew from ${second} to ${last} MB`] : []),
    ...(after.descriptors > before.descriptors + DESCRIPTORS_MOST
      ? [`proxy ${slot} has ${after.descriptors} descriptors open, ${before.descriptors} before`]
      : []),
  ]
}

async function sample(pid: number): Promise<Sample> {
  const [status, descriptors] = await Promise.all([
    readFile(`/proc/${pid}/status`, 'latin1').catch(() => ''),
    readdir(`/proc/${pid}/fd`).catch(() => []),
  ])
  return { memoryMb: Number(/VmRSS:\s+(\d+)/.exec(status)?.[1]) / 1024, descriptors: descriptors.length }
}

/** The connections of a dead attacker are closed within seconds. */
async function untilClosed(pid: number): Promise<Sample> {
  let last = await sample(pid)
  for (let at = 0; at < 10; at += 1) {
    await new Promise((resolve) => setTimeout(resolve, SAMPLE_MS))
    const next = await sample(pid)
    if (next.descriptors >= last.descriptors) return next
    last = next
  }
  return last
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? 0
}
