/** The same calls through a bare relay, Tollgate, Portkey's gateway and LiteLLM's proxy, in front of one provider, turn by turn. */
import { both, each, figuresOf, measureRounds, type Round } from './call-rounds.ts'
import { type Peer, startLitellm, startPortkey } from './peers.ts'
import type { RelayWorker } from './relay.ts'
import { type BenchmarkContext, type Report, showOthers } from './report.ts'
import { type MeasuredLoad, openStage, type StagePlan } from './stage.ts'
import { startWorker } from './start-worker.ts'
import { spread, table } from './table.ts'

const KINDS = ['whole', 'stream'] as const
const CONNECTIONS = [1, 32, 256]
const WARM_SECONDS = 1

/** What calls go through: Tollgate, or something that is only measured. */
interface Target {
  name: string
  described: string
  run(plan: StagePlan): Promise<MeasuredLoad>
}

interface Case {
  name: string
  kind: (typeof KINDS)[number]
  connections: number
  target: Target
}

export async function benchPeers(context: BenchmarkContext): Promise<Report> {
  const { stage, targets } = await openTargets(context)
  const cases = casesOf(targets).filter(({ name }) => context.options.only?.test(name) ?? true)
  const warmUp = casesOf(targets).filter(({ connections }) => connections === 32)
  const { rounds, problems } = await measureRounds(context, stage, { cases, warmUp, run })
  const sections = [
    `A durable commit of one row takes ${spread(
      rounds.map((round) => round.floor.milliseconds),
      ' ms',
    )}.`,
    targets.map(({ name, described }) => `${name}: ${described}`).join('\n'),
    showOthers(rounds),
    show(cases, rounds),
  ]
  return { sections, verdicts: [], figures: figuresOf(rounds), problems }
}

async function openTargets(context: BenchmarkContext) {
  const { workspace, progress } = context
  const stage = await openStage(context)
  const relay = startWorker<RelayWorker>('./relay.ts')
  workspace.defer(() => relay.stop())
  const relayOrigin = await relay.ask('listen', stage.upstreamOrigin)
  const peers: Peer[] = []
  for (const startPeer of [startPortkey, startLitellm]) {
    progress.show(`installing, then starting ${startPeer === startPortkey ? 'Portkey' : 'LiteLLM'}`)
    peers.push(await startPeer(workspace, stage.upstreamOrigin))
  }
  const targets: Target[] = [
    {
      name: 'relay',
      described: 'node:http and undici, bytes passed on, nothing else',
      run: (plan) => stage.loadOther(relayOrigin, relay.pid, plan),
    },
    {
      name: 'tollgate',
      described: 'one process and PostgreSQL: every call held before and booked after, durably',
      run: (plan) => stage.loadProxy(plan),
    },
    ...peers.map(({ name, described, origin, pid, headers, key }) => ({
      name,
      described,
      run: (plan: StagePlan) =>
        stage.loadOther(origin, pid, { ...plan, headers, ...(key !== null && { keys: [key] }) }),
    })),
  ]
  return { stage, targets }
}

function casesOf(targets: readonly Target[]): Case[] {
  return KINDS.flatMap((kind) =>
    CONNECTIONS.flatMap((connections) =>
      targets.map((target) => ({ name: `${kind}/${connections}/${target.name}`, kind, connections, target })),
    ),
  )
}

function run({ kind, connections, target }: Case, seconds: number): Promise<MeasuredLoad> {
  return target.run({ kinds: [kind], connections, warmSeconds: WARM_SECONDS, seconds, calls: Infinity })
}

/** Those of one kind and number of connections beside each other, the relay first: all others are set against it. */
function show(cases: readonly Case[], rounds: readonly Round[]): string {
  const head = ['case', 'calls/s', "of the relay's, %", 'p50 ms', 'p99 ms', 'first byte p50 ms', 'CPU a call, ms']
  const rows = cases.map(({ name, kind, connections }) => {
    const of = (pick: (result: MeasuredLoad) => number) => spread(each(rounds, name, pick))
    const relay = `${kind}/${connections}/relay`
    const shares = both(rounds, [name, relay], (own, bare) => (own.perSecond / bare.perSecond) * 100)
    return [
      name,
      of(({ perSecond }) => perSecond),
      spread(shares),
      of(({ whole }) => whole.p50),
      of(({ whole }) => whole.p99),
      of(({ first }) => first.p50),
      of(({ cpu }) => cpu.server),
    ]
  })
  return table(head, rows)
}
