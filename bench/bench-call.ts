/** A whole call through Tollgate against the bare relay, both in front of the same provider, turn by turn in the same run. */
import { both, each, figuresOf, measureRounds, type Round } from './call-rounds.ts'
import { showProfile } from './profile.ts'
import type { Kind } from './provider-answers.ts'
import type { RelayWorker } from './relay.ts'
import { type BenchmarkContext, type Report, showOthers } from './report.ts'
import { type MeasuredLoad, openStage, type Stage, type StagePlan } from './stage.ts'
import { startWorker } from './start-worker.ts'
import { spread, table } from './table.ts'
import { judge, showVerdicts, type Target } from './verdict.ts'

const KINDS = ['whole', 'stream'] as const
const CONNECTIONS = [1, 32, 256]
const TARGETS = ['relay', 'tollgate'] as const
const WARM_SECONDS = 1

interface Case {
  name: string
  kind: Kind
  connections: number
  target: (typeof TARGETS)[number]
}

type Run = (one: Case, seconds: number) => Promise<MeasuredLoad>

export async function benchCall(context: BenchmarkContext): Promise<Report> {
  const { options, workspace } = context
  const cases = allCases().filter(({ name }) => options.only?.test(name) ?? true)
  const stage = await openStage(context)
  const relay = startWorker<RelayWorker>('./relay.ts')
  workspace.defer(() => relay.stop())
  const relayOrigin = await relay.ask('listen', stage.upstreamOrigin)
  const run: Run = ({ kind, connections, target }, seconds) => {
    const plan: StagePlan = { kinds: [kind], connections, warmSeconds: WARM_SECONDS, seconds, calls: Infinity }
    return target === 'relay' ? stage.loadOther(relayOrigin, relay.pid, plan) : stage.loadProxy(plan)
  }

  // Also where --only leaves these cases out.
  const kinds = new Set(cases.map(({ kind }) => kind))
  const warmUp = allCases().filter(({ kind, connections }) => kinds.has(kind) && connections === 32)
  const { rounds, problems } = await measureRounds(context, stage, { cases, warmUp, run })
  const sections = await sectionsOf(context, stage, cases, rounds)
  const verdicts = judge(targetsOf(rounds))
  return { sections: [...sections, showVerdicts(verdicts)], verdicts, figures: figuresOf(rounds), problems }
}

function allCases(): Case[] {
  return KINDS.flatMap((kind) =>
    CONNECTIONS.flatMap((connections) =>
      TARGETS.map((target) => ({ name: nameOf(kind, connections, target), kind, connections, target })),
    ),
  )
}

function nameOf(kind: Kind, connections: number, target: Case['target']): string {
  return `${kind}/${connections}/${target}`
}

async function sectionsOf(
  { options }: BenchmarkContext,
  stage: Stage,
  cases: readonly Case[],
  rounds: readonly Round[],
): Promise<string[]> {
  const floors = rounds.map(({ floor }) => floor.milliseconds)
  const sections = [
    `A durable commit of one row takes ${spread(floors, ' ms')}. ${await stage.floor.settings()}`,
    showOthers(rounds),
    showCases(cases, rounds),
    showCpu(cases, rounds),
  ]
  if (stage.proxy.log() !== '') sections.push(`The proxy logged, at its end:\n${stage.proxy.log()}`)
  if (options.profile) {
    await stage.proxy.stop()
    sections.push(await showProfile(stage.profiles))
  }
  return sections
}

function showCases(cases: readonly Case[], rounds: readonly Round[]): string {
  const head = ['case', 'calls/s', 'p50 ms', 'p95 ms', 'p99 ms', 'first byte p50 ms', 'pending']
  const rows = cases.map(({ name }) => {
    const of = (pick: (result: MeasuredLoad) => number) => spread(each(rounds, name, pick))
    const pending = each(rounds, name, (result) => result.pending).reduce((sum, count) => sum + count, 0)
    return [
      name,
      of(({ perSecond }) => perSecond),
      of(({ whole }) => whole.p50),
      of(({ whole }) => whole.p95),
      of(({ whole }) => whole.p99),
      of(({ first }) => first.p50),
      `${pending}`,
    ]
  })
  return table(head, rows)
}

function showCpu(cases: readonly Case[], rounds: readonly Round[]): string {
  const rows = cases.map(({ name }) => {
    const of = (pick: (cpu: MeasuredLoad['cpu']) => number) => spread(each(rounds, name, ({ cpu }) => pick(cpu)))
    return [name, of((cpu) => cpu.server), of((cpu) => cpu.database), of((cpu) => cpu.upstream), of((cpu) => cpu.load)]
  })
  return table(['CPU a call, ms', 'relay or proxy', 'PostgreSQL', 'provider', 'clients'], rows)
}

function targetsOf(rounds: readonly Round[]): Target[] {
  const added = (kind: Kind, pick: (result: MeasuredLoad) => number) =>
    both(rounds, targetsAt(kind, 1), (tollgate, relay, floor) => (pick(tollgate) - pick(relay)) / floor.milliseconds)
  const throughput = (kind: Kind) =>
    both(rounds, targetsAt(kind, 256), (tollgate, relay) => (tollgate.perSecond / relay.perSecond) * 100)
  const commits = ' commits'
  return [
    {
      what: 'added median, whole answer, 1 connection',
      measured: added('whole', medianWhole),
      unit: commits,
      atMost: 3,
    },
    {
      what: 'added median, stream to its end, 1 connection',
      measured: added('stream', medianWhole),
      unit: commits,
      atMost: 3,
    },
    {
      what: 'added before the first byte of a stream, 1 connection',
      measured: added('stream', medianFirst),
      unit: commits,
      atMost: 2,
    },
    {
      what: "share of the relay's calls/s, whole answers, 256 connections",
      measured: throughput('whole'),
      unit: ' %',
      atLeast: 50,
    },
    {
      what: "share of the relay's calls/s, streams, 256 connections",
      measured: throughput('stream'),
      unit: ' %',
      atLeast: 75,
    },
  ]
}

/** The two that are set against each other. */
function targetsAt(kind: Kind, connections: number): [tollgate: string, relay: string] {
  return [nameOf(kind, connections, 'tollgate'), nameOf(kind, connections, 'relay')]
}

function medianWhole({ whole }: MeasuredLoad): number {
  return whole.p50
}

function medianFirst({ first }: MeasuredLoad): number {
  return first.p50
}
