/**
 * What the proxy adds to each chunk of a stream that is under way, and to bodies of a megabyte, against the bare relay in front of
 * the same provider, turn by turn in the same run. Chunks come at the provider's pace and say when they were sent. Then what a chunk
 * costs the proxy that it has to translate, beside one it passes on.
 */
import { clock } from './chunk-stamps.ts'
import type { Floor } from './commit-floor.ts'
import { type LoopLag, readLoopLag } from './event-loop-lag.ts'
import { JSON_WORK, kindOfWork, TOKENIZER } from './kind-of-work.ts'
import { type Stretch, showProfile, workTimes } from './profile.ts'
import { type Kind, LONG_STREAM_CHUNKS, PACE_MS } from './provider-answers.ts'
import type { RelayWorker } from './relay.ts'
import { type BenchmarkContext, type Report, showOthers } from './report.ts'
import { seededRandom, shuffle } from './shuffle.ts'
import { type MeasuredLoad, openStage, type Stage, type StagePlan } from './stage.ts'
import { startWorker } from './start-worker.ts'
import { LONG_STREAM_CONNECTIONS, LONG_STREAMS, showStreamCost, streamCostTargets } from './stream-cost.ts'
import { figure, spread, table } from './table.ts'
import { judge, showVerdicts, type Target } from './verdict.ts'

const CONNECTIONS = [1, 16, 64]
const LARGE = ['long-message', 'long-conversation', 'long-answer'] as const
const TARGETS = ['relay', 'tollgate'] as const
const FLOOR_SECONDS = 1
const WARM_SECONDS = 1
const WARM_UP_SECONDS = 2
const WARM_UP_CONNECTIONS = 16
/** Added to a chunk at the median, milliseconds. */
const MOST_ADDED_MS = 0.2
/** Of the time the proxy is busy while streams pass: more would be work on what should only be passed on. */
const MOST_WORK_PERCENT = 1
/** Stamps of the relay's chunks may be cut in two where a read of its socket ended. */
const LEAST_MEASURED = 0.99

interface Case {
  name: string
  kind: Kind
  connections: number
  target: (typeof TARGETS)[number]
}

interface Result extends MeasuredLoad {
  stretch: Stretch
  /** Of the proxy; null where the relay was measured. */
  lag: LoopLag | null
}

interface Round {
  floor: Floor
  /** Cores other programs took. */
  others: number
  results: Map<string, Result>
}

type Run = (one: Case, plan: StagePlan) => Promise<Result>

export async function benchStream(context: BenchmarkContext): Promise<Report> {
  const { options, workspace, progress } = context
  const cases = allCases().filter(({ name }) => options.only?.test(name) ?? true)
  const stage = await openStage(context)
  const relay = startWorker<RelayWorker>('./relay.ts')
  workspace.defer(() => relay.stop())
  const relayOrigin = await relay.ask('listen', stage.upstreamOrigin)
  const run: Run = ({ target }, plan) =>
    target === 'relay'
      ? measured(null, () => stage.loadOther(relayOrigin, relay.pid, plan))
      : measured(stage.proxy.origin, () => stage.loadProxy(plan))

  const problems: string[] = []
  const note = (where: string, lines: readonly string[]) => problems.push(...lines.map((line) => `${where}: ${line}`))
  for (const one of warmUps(cases)) {
    progress.show(`warming up: ${one.name}`)
    note(one.name, (await run(one, timed(one, WARM_UP_SECONDS))).problems)
  }
  const random = seededRandom(options.seed)
  const rounds: Round[] = []
  for (let i = 0; i < options.rounds; i += 1) {
    const label = `round ${i + 1} of ${options.rounds}`
    const others = await stage.watchOthers()
    const order = shuffle(cases, random)
    progress.show(`${label}: the floor`)
    const round = await stage.floor.around(FLOOR_SECONDS, () => runCases(context, run, order, label))
    rounds.push({ floor: round.floor, results: round.result, others: await others() })
    for (const [name, result] of round.result) note(`${label}, ${name}`, result.problems)
    progress.show(`${label}: checking the books`)
    note(label, await stage.checkBooks())
  }
  const work = options.profile ? await workOf(stage, cases, rounds) : null
  const verdicts = judge([...delayTargets(rounds), ...streamCostTargets(cpuIn(rounds)), ...(work?.targets ?? [])])
  const sections = [...sectionsOf(stage, cases, rounds), ...(work?.sections ?? []), showVerdicts(verdicts)]
  return { sections: await Promise.all(sections), verdicts, figures: figuresOf(rounds), problems }
}

function allCases(): Case[] {
  const of = (kind: Kind, connections: number) =>
    TARGETS.map((target) => ({ name: nameOf(kind, connections, target), kind, connections, target }))
  const proxied = LONG_STREAMS.flatMap((kind) =>
    of(kind, LONG_STREAM_CONNECTIONS).filter(({ target }) => target === 'tollgate'),
  )
  return [
    ...CONNECTIONS.flatMap((connections) => of('paced', connections)),
    ...proxied,
    ...LARGE.flatMap((kind) => of(kind, 1)),
  ]
}

function nameOf(kind: Kind, connections: number, target: Case['target']): string {
  return `${kind}/${connections}/${target}`
}

/** Compiled code and full caches for everybody: streams as fast as they come, and each kind of large body. */
function warmUps(cases: readonly Case[]): Case[] {
  return TARGETS.flatMap((target) =>
    [...new Set(cases.filter((one) => one.target === target).map(({ kind }) => kind))].map((measuredKind) => {
      const kind = measuredKind === 'paced' ? 'stream' : measuredKind
      const connections = kind === 'stream' ? WARM_UP_CONNECTIONS : 1
      return { name: nameOf(kind, connections, target), kind, connections, target }
    }),
  )
}

function timed({ kind, connections }: Case, seconds: number): StagePlan {
  return { kinds: [kind], connections, warmSeconds: WARM_SECONDS, seconds, calls: Infinity }
}

/** One stream on every connection. They begin one after another, so that their chunks don't all come at once. */
function paced({ connections }: Case): StagePlan {
  const whole = { warmSeconds: 0, seconds: Infinity, calls: connections }
  return { kinds: ['paced'], connections, withinMs: PACE_MS, ...whole }
}

/** @param origin of the proxy, whose event loop is watched; null where another is measured. */
async function measured(origin: string | null, load: () => Promise<MeasuredLoad>): Promise<Result> {
  if (origin !== null) await readLoopLag(origin)
  const from = clock()
  const result = await load()
  const stretch = { from, until: clock() }
  return { ...result, stretch, lag: origin === null ? null : await readLoopLag(origin) }
}

async function runCases(
  { options, progress }: BenchmarkContext,
  run: Run,
  cases: readonly Case[],
  label: string,
): Promise<Round['results']> {
  const results = new Map<string, Result>()
  for (const one of cases) {
    progress.show(`${label}: ${one.name}`)
    const result = await run(one, one.kind === 'paced' ? paced(one) : timed(one, options.seconds))
    const chunks = result.chunks?.count ?? 0
    if (one.kind === 'paced' && chunks < one.connections * LONG_STREAM_CHUNKS * LEAST_MEASURED)
      result.problems.push(`of ${one.connections * LONG_STREAM_CHUNKS} chunks ${chunks} arrived`)
    results.set(one.name, result)
  }
  return results
}

function sectionsOf(stage: Stage, cases: readonly Case[], rounds: readonly Round[]): (string | Promise<string>)[] {
  const floors = rounds.map(({ floor }) => floor.milliseconds)
  const settings = stage.floor.settings()
  const paces = cases.filter(({ kind }) => kind === 'paced')
  const large = cases.filter(({ kind }) => LARGE.some((one) => one === kind))
  const long = cases.filter(({ kind }) => LONG_STREAMS.some((one) => one === kind))
  const sections = [
    settings.then((text) => `A durable commit of one row takes ${spread(floors, ' ms')}. ${text}`),
    showOthers(rounds),
    ...(paces.length === 0 ? [] : [showChunks(paces, rounds), showAdded(rounds)]),
    ...(long.length === 0 ? [] : [showStreamCost(cpuIn(rounds))]),
    ...(large.length === 0 ? [] : [showLarge(large, rounds)]),
    showLag(cases, rounds),
  ]
  if (stage.proxy.log() !== '') sections.push(`The proxy logged, at its end:\n${stage.proxy.log()}`)
  return sections
}

function showChunks(cases: readonly Case[], rounds: readonly Round[]): string {
  const rows = cases.map(({ name, connections }) => {
    const of = (pick: (result: Result) => number) => spread(each(rounds, name, pick))
    const chunk = (quantile: 'p50' | 'p95' | 'p99' | 'max') => of(({ chunks }) => chunks?.[quantile] ?? Number.NaN)
    // CPU is told by the call; a call here is a stream.
    const cpu = of(({ cpu: { server } }) => (server * 1000) / LONG_STREAM_CHUNKS)
    const rate = figure((connections * 1000) / PACE_MS)
    return [name, rate, chunk('p50'), chunk('p95'), chunk('p99'), chunk('max'), cpu]
  })
  return table(['provider to client, ms a chunk', 'chunks/s', 'p50', 'p95', 'p99', 'max', 'CPU us a chunk'], rows)
}

function showAdded(rounds: readonly Round[]): string {
  const rows = CONNECTIONS.map((connections) => [
    streams(connections),
    spread(addedToChunks(rounds, connections, 'p50')),
    spread(addedToChunks(rounds, connections, 'p99')),
  ])
  return table(['added to a chunk, ms', 'at the median', 'at p99'], rows)
}

function showLarge(cases: readonly Case[], rounds: readonly Round[]): string {
  const rows = cases.map(({ name, kind, target }) => {
    const of = (pick: (result: Result) => number) => spread(each(rounds, name, pick))
    const added = target === 'relay' ? '' : spread(bothOf(rounds, kind, 1, ({ whole }) => whole.p50))
    return [name, of(({ whole }) => whole.p50), of(({ whole }) => whole.p99), added, of(({ cpu }) => cpu.server)]
  })
  return table(['a megabyte, one connection', 'p50 ms', 'p99 ms', 'added at p50, ms', 'CPU a call, ms'], rows)
}

function showLag(cases: readonly Case[], rounds: readonly Round[]): string {
  const proxied = cases.filter(({ target }) => target === 'tollgate')
  const rows = proxied.map(({ name }) => {
    const of = (pick: (lag: LoopLag) => number) =>
      spread(each(rounds, name, ({ lag }) => (lag === null ? Number.NaN : pick(lag))))
    return [name, of(({ p50 }) => p50), of(({ p99 }) => p99), of(({ max }) => max)]
  })
  return table(["how late the proxy's event loop was, ms", 'p50', 'p99', 'max'], rows)
}

function delayTargets(rounds: readonly Round[]): Target[] {
  return CONNECTIONS.map((connections) => ({
    what: `added to a chunk at the median, ${streams(connections)}`,
    measured: addedToChunks(rounds, connections, 'p50'),
    unit: ' ms',
    atMost: MOST_ADDED_MS,
  }))
}

function streams(connections: number): string {
  return connections === 1 ? '1 stream' : `${connections} streams`
}

function addedToChunks(rounds: readonly Round[], connections: number, quantile: 'p50' | 'p99'): number[] {
  return bothOf(rounds, 'paced', connections, ({ chunks }) => chunks?.[quantile] ?? Number.NaN)
}

function cpuIn(rounds: readonly Round[]): (kind: Kind) => number[] {
  return (kind) => each(rounds, nameOf(kind, LONG_STREAM_CONNECTIONS, 'tollgate'), ({ cpu }) => cpu.server)
}

/** Of each round, how much more it was through the proxy. */
function bothOf(rounds: readonly Round[], kind: Kind, connections: number, pick: (result: Result) => number): number[] {
  return rounds.flatMap(({ results }) => {
    const tollgate = results.get(nameOf(kind, connections, 'tollgate'))
    const relay = results.get(nameOf(kind, connections, 'relay'))
    return tollgate === undefined || relay === undefined ? [] : [pick(tollgate) - pick(relay)]
  })
}

function each(rounds: readonly Round[], name: string, pick: (result: Result) => number): number[] {
  return rounds.flatMap(({ results }) => {
    const result = results.get(name)
    return result === undefined ? [] : [pick(result)]
  })
}

/** What the proxy's main thread worked on while each case ran, over all rounds. Ends the proxy, which then writes its profile. */
async function workOf(
  stage: Stage,
  cases: readonly Case[],
  rounds: readonly Round[],
): Promise<{ sections: string[]; targets: Target[] }> {
  await stage.proxy.stop()
  const columns: { name: string; shares: ReadonlyMap<string, number> }[] = []
  for (const { name, target } of cases) {
    if (target !== 'tollgate') continue
    const stretches = rounds.flatMap(({ results }) => results.get(name)?.stretch ?? [])
    const work = await workTimes(stage.profiles, stretches, kindOfWork)
    if (work === null) return { sections: ['No profile was written: the proxy did not end by itself.'], targets: [] }
    const shares = new Map([...work.times].map(([kind, time]) => [kind, (time * 100) / work.busy]))
    columns.push({ name: name.replace('/tollgate', ''), shares })
  }
  const kinds = [...new Set(columns.flatMap(({ shares }) => [...shares.keys()]))].sort()
  const rows = kinds.map((kind) => [kind, ...columns.map(({ shares }) => figure(shares.get(kind) ?? 0))])
  const targets = columns
    .filter(({ name }) => name.startsWith('paced/'))
    .map(({ name, shares }) => ({
      what: `tokenizer and JSON in the proxy's work, ${name}`,
      measured: [(shares.get(TOKENIZER) ?? 0) + (shares.get(JSON_WORK) ?? 0)],
      unit: ' %',
      atMost: MOST_WORK_PERCENT,
    }))
  const shares = table(['share of the work, %', ...columns.map(({ name }) => name)], rows)
  return { sections: [shares, await showProfile(stage.profiles)], targets }
}

function figuresOf(rounds: readonly Round[]): unknown {
  return rounds.map(({ floor, others, results }) => ({
    floor,
    others,
    cases: [...results].map(([name, result]) => ({ name, ...result })),
  }))
}
