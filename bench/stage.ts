/**
 * Everything a whole call needs, each part a process of its own: PostgreSQL, provider, proxy, clients. Keeps count of what
 * provider and clients saw, for the books to be compared with.
 */
import { join } from 'node:path'
import { request } from 'undici'
import { checkBooks, type Expected } from './check-books.ts'
import { CommitFloor } from './commit-floor.ts'
import { cpuTime, cpuTimeOfFamilies, watchOthers } from './cpu-time.ts'
import type { LoadPlan, LoadResult, LoadWorker } from './load.ts'
import { chargeOf, KINDS, type Kind } from './provider-answers.ts'
import type { BenchmarkContext } from './report.ts'
import { seed } from './seed.ts'
import { type RunningProxy, startProxy } from './start-proxy.ts'
import { startWorker } from './start-worker.ts'
import type { Tally, UpstreamWorker } from './upstream.ts'

export interface MeasuredLoad extends LoadResult {
  /** Milliseconds of CPU a call, by who used it; NaN where the system does not tell. */
  cpu: { server: number; database: number; upstream: number; load: number }
  /** One line each. */
  problems: string[]
}

export interface Stage {
  proxy: RunningProxy
  upstreamOrigin: string
  floor: CommitFloor
  /** Through the proxy: what is answered must be on the books. */
  loadProxy(plan: StagePlan): Promise<MeasuredLoad>
  /** To another server in front of the same provider: it must ask the provider as often as it was asked. */
  loadOther(origin: string, pid: number, plan: StagePlan & { keys?: string[] }): Promise<MeasuredLoad>
  checkBooks(): Promise<string[]>
  /** How many cores others took until the answer is called. */
  watchOthers(): Promise<() => Promise<number>>
  /** Where --profile has the proxy write. */
  profiles: string
}

export type StagePlan = Omit<LoadPlan, 'origin' | 'keys'>

export async function openStage({ options, workspace, progress }: BenchmarkContext): Promise<Stage> {
  progress.show(`starting PostgreSQL, seeding ${options.organizations} organizations`)
  const database = await workspace.openDatabase()
  const { url: databaseUrl, client } = database
  const keys = (await seed(client, options.organizations)).map(({ key }) => key)
  const upstream = startWorker<UpstreamWorker>('./upstream.ts')
  workspace.defer(() => upstream.stop())
  const load = startWorker<LoadWorker>('./load.ts')
  workspace.defer(() => load.stop())
  const upstreamOrigin = await upstream.ask('listen', null)
  const profiles = join(workspace.directory, 'profiles')
  const nodeFlags = options.profile ? ['--cpu-prof', `--cpu-prof-dir=${profiles}`] : []
  const proxy = await startProxy(workspace, { databaseUrl, upstream: upstreamOrigin, nodeFlags })
  const expected: Expected = { calls: 0, charged: 0n, promptTokens: 0, completionTokens: 0 }

  async function measured(pid: number, plan: LoadPlan): Promise<MeasuredLoad> {
    const times = () =>
      Promise.all([
        cpuTimeOfFamilies([pid]),
        cpuTimeOfFamilies([database.pid]),
        cpuTime(upstream.pid),
        cpuTime(load.pid),
      ])
    const before = await times()
    const result = await load.ask('run', plan)
    const calls = answeredIn(result)
    const [server = 0, postgres = 0, provider = 0, clients = 0] = (await times()).map(
      (after, i) => (after - (before[i] ?? 0)) / calls,
    )
    const cpu = { server, database: postgres, upstream: provider, load: clients }
    return { ...result, cpu, problems: failuresOf(result) }
  }

  async function tallied(pid: number, plan: LoadPlan): Promise<{ result: MeasuredLoad; billed: Tally }> {
    const before = await tallyOf(upstreamOrigin)
    const result = await measured(pid, plan)
    const billed = difference(await tallyOf(upstreamOrigin), before)
    const answered = answeredIn(result)
    if (billed.calls !== answered)
      result.problems.push(`the provider was called ${billed.calls} times, clients were answered ${answered} times`)
    return { result, billed }
  }

  return {
    proxy,
    upstreamOrigin,
    profiles,
    floor: await CommitFloor.open(client),
    async loadProxy(plan) {
      const { result, billed } = await tallied(proxy.pid, { ...plan, origin: proxy.origin, keys })
      count(expected, billed, result.answered)
      return result
    },
    async loadOther(origin, pid, plan) {
      const { result } = await tallied(pid, { keys, ...plan, origin })
      return result
    },
    watchOthers: () => watchOthers([process.pid, database.pid]),
    checkBooks: () => checkBooks(client, expected),
  }
}

function count(expected: Expected, billed: Tally, answered: Record<Kind, number>): void {
  expected.calls += billed.calls
  expected.promptTokens = (expected.promptTokens ?? 0) + billed.prompt_tokens
  expected.completionTokens = (expected.completionTokens ?? 0) + billed.completion_tokens
  for (const kind of KINDS) expected.charged += BigInt(answered[kind]) * chargeOf(kind)
}

function answeredIn({ answered }: LoadResult): number {
  return KINDS.reduce((sum, kind) => sum + answered[kind], 0)
}

async function tallyOf(origin: string): Promise<Tally> {
  const { body } = await request(`${origin}/tally`)
  return (await body.json()) as Tally
}

function difference(after: Tally, before: Tally): Tally {
  return {
    calls: after.calls - before.calls,
    prompt_tokens: after.prompt_tokens - before.prompt_tokens,
    completion_tokens: after.completion_tokens - before.completion_tokens,
  }
}

function failuresOf({ failures, example }: LoadResult): string[] {
  const counts = Object.entries(failures).map(([what, count]) => `${count} x ${what}`)
  return counts.length === 0 ? [] : [`calls failed: ${counts.join(', ')}; the first one:\n${example}`]
}
