/**
 * What a caller feels while somebody floods the proxy: its median latency beside the quiet one measured just before, for every flood
 * the tests know, by an attacker without a key and by one whose key has no credits. The proxy may open 1 024 files.
 */
import { Agent, request } from 'undici'
import { FLOODS } from '../test/support/floods.ts'
import { readLoopLag } from './event-loop-lag.ts'
import type { FloodWorker } from './flood-worker.ts'
import { Latencies } from './latencies.ts'
import { processMemory } from './process-memory.ts'
import { requestBody } from './provider-answers.ts'
import type { BenchmarkContext, Report } from './report.ts'
import { seed } from './seed.ts'
import { type RunningProxy, startProxy } from './start-proxy.ts'
import { startWorker, type Worker } from './start-worker.ts'
import { figure, table } from './table.ts'
import type { UpstreamWorker } from './upstream.ts'
import { judge, showVerdicts } from './verdict.ts'

const DESCRIPTORS = 1_024
/** Ten calls a second, whatever becomes of them. */
const CALL_EVERY_MS = 100
const CALL_LIMIT_MS = 15_000
/** Until the flood has begun, and until it is over. */
const SETTLE_MS = 500
const SLOWER_MOST = 3
const MEMORY_MOST_MB = 1_024
const BODY = requestBody('whole')

interface Felt {
  flood: string
  attacker: string
  quietMs: number
  medianMs: number
  p95Ms: number
  failures: readonly string[]
  opened: number
  loopLagMs: number
  memoryMb: number
}

export async function benchFloods({ options, workspace, progress }: BenchmarkContext): Promise<Report> {
  progress.show('starting PostgreSQL and the proxy')
  const { url: databaseUrl, client } = await workspace.openDatabase()
  const [victim] = await seed(client, 1)
  const [broke] = await seed(client, 1, '0')
  const provider = startWorker<UpstreamWorker>('./upstream.ts')
  workspace.defer(() => provider.stop())
  const attacker = startWorker<FloodWorker>('./flood-worker.ts')
  workspace.defer(() => attacker.stop())
  const upstream = await provider.ask('listen', null)
  const nodeFlags = options.profile ? ['--cpu-prof'] : []
  const proxy = await startProxy(workspace, { databaseUrl, upstream, nodeFlags, descriptors: DESCRIPTORS })
  const agent = new Agent({ connections: 10, headersTimeout: CALL_LIMIT_MS, bodyTimeout: CALL_LIMIT_MS })
  workspace.defer(() => agent.destroy())
  const measure = () => callFor(proxy, agent, victim!.key, options.seconds)
  await measure()
  const felt: Felt[] = []
  for (const { name } of FLOODS.filter(({ name }) => options.only?.test(name) !== false)) {
    for (const [who, key] of [
      ['no key', null],
      ['0 credits', broke!.key],
    ] as const) {
      progress.show(`${name}, ${who}`)
      const quiet = await measure()
      felt.push({
        flood: name,
        attacker: who,
        quietMs: quiet.p50,
        ...(await flooded(proxy, attacker, name, key, measure)),
      })
    }
  }
  const { rows } = await client.query<{ open: number; differences: number }>(
    `select (select count(*)::int from tollgate.ledger_holds where state = 'open') as open,
            (select count(*)::int from tollgate.ledger_audit()) as differences`,
  )
  const { open, differences } = rows[0]!
  const problems = [
    ...(open === 0 ? [] : [`${open} holds stay open`]),
    ...(differences === 0 ? [] : [`the audit finds ${differences} differences`]),
    ...felt.flatMap(({ flood, attacker, failures: [first, ...more] }) =>
      first === undefined ? [] : [`${flood}, ${attacker}: ${more.length + 1} calls failed, the first with ${first}`],
    ),
  ]
  const verdicts = judge([
    {
      what: 'median of a caller, times its quiet one',
      measured: [Math.max(...felt.map(({ medianMs, quietMs }) => medianMs / quietMs))],
      unit: '',
      atMost: SLOWER_MOST,
    },
    {
      what: 'most memory, MB',
      measured: [Math.max(...felt.map(({ memoryMb }) => memoryMb))],
      unit: '',
      atMost: MEMORY_MOST_MB,
    },
  ])
  return { sections: [show(felt), showVerdicts(verdicts)], verdicts, figures: felt, problems }
}

async function flooded(
  proxy: RunningProxy,
  attacker: Worker<FloodWorker>,
  name: string,
  key: string | null,
  measure: () => Promise<Calls>,
): Promise<Omit<Felt, 'flood' | 'attacker' | 'quietMs'>> {
  let memoryMb = 0
  const sampling = setInterval(async () => {
    memoryMb = Math.max(memoryMb, await processMemory(proxy.pid, 'VmRSS'))
  }, CALL_EVERY_MS)
  await attacker.ask('start', { name, url: proxy.origin, key })
  await pause(SETTLE_MS)
  const calls = await measure()
  const opened = await attacker.ask('stop', null)
  await pause(SETTLE_MS)
  clearInterval(sampling)
  const { p50: loopLagMs } = await readLoopLag(proxy.origin)
  return { medianMs: calls.p50, p95Ms: calls.p95, failures: calls.failures, opened, loopLagMs, memoryMb }
}

interface Calls {
  p50: number
  p95: number
  /** What each call that failed was told. */
  failures: readonly string[]
}

async function callFor(proxy: RunningProxy, agent: Agent, key: string, seconds: number): Promise<Calls> {
  const latencies = new Latencies()
  const failures: string[] = []
  async function call(): Promise<void> {
    const start = performance.now()
    try {
      const { statusCode, body } = await request(`${proxy.origin}/v1/chat/completions`, {
        method: 'POST',
        headers: { 'content-type': 'application/json', authorization: `Bearer ${key}` },
        body: BODY,
        dispatcher: agent,
      })
      const text = await body.text()
      if (statusCode === 200) latencies.add(performance.now() - start)
      else failures.push(`${statusCode}: ${text.slice(0, 200)}`)
    } catch (error) {
      failures.push(`${error}`)
    }
  }
  const calls: Promise<void>[] = []
  const end = performance.now() + seconds * 1_000
  while (performance.now() < end) {
    calls.push(call())
    await pause(CALL_EVERY_MS)
  }
  await Promise.all(calls)
  const { p50, p95 } = latencies.summary()
  return { p50, p95, failures }
}

function pause(milliseconds: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, milliseconds))
}

/** The worst first. */
function show(felt: readonly Felt[]): string {
  const rows = felt
    .toSorted((a, b) => b.medianMs / b.quietMs - a.medianMs / a.quietMs)
    .map((one) => [
      one.flood,
      one.attacker,
      ...[one.quietMs, one.medianMs, one.medianMs / one.quietMs, one.p95Ms].map(figure),
      `${one.failures.length}`,
      `${one.opened}`,
      figure(one.loopLagMs),
      figure(one.memoryMb),
    ])
  const head = [
    'flood',
    'attacker',
    'quiet, ms',
    'median, ms',
    'times',
    '95 %, ms',
    'failed',
    'opened',
    'loop late, ms',
    'memory, MB',
  ]
  return table(head, rows)
}
