/** The ledger alone: hold and settle on the real schema, by many clients on few and many organizations, against the floor. */
import { join } from 'node:path'
import { checkBooks } from './check-books.ts'
import { CommitFloor, type Floor } from './commit-floor.ts'
import { watchOthers } from './cpu-time.ts'
import type { LedgerResult, LedgerWorker } from './ledger-worker.ts'
import { showProfile } from './profile.ts'
import { type BenchmarkContext, type Report, showOthers } from './report.ts'
import { seed } from './seed.ts'
import { seededRandom, shuffle } from './shuffle.ts'
import { startWorker, type Worker } from './start-worker.ts'
import { figure, spread, table } from './table.ts'
import { judge, showVerdicts, type Target } from './verdict.ts'

const CLIENTS = [1, 32, 256]
const ORGANIZATIONS = [1, 100, 1000]
const PAIRS_TARGET = 8_000
/** What neighbours of a key that is used up and called all the time keep of their throughput. */
const NEIGHBOURS_TARGET = 0.8
const NEIGHBOURS = { clients: 64, organizations: 100 }
const ALONE: Case = { ...NEIGHBOURS, name: '64 clients, 100 organizations', exhausted: 0 }
const BESIDE: Case = { ...NEIGHBOURS, name: `${ALONE.name}, beside 8 of an exhausted key`, exhausted: 8 }
const FLOOR_SECONDS = 1
const WARM_SECONDS = 0.5

interface Case {
  name: string
  clients: number
  organizations: number
  /** Clients beside them whose key is used up. */
  exhausted: number
}

interface Round {
  floor: Floor
  /** Cores other programs took. */
  others: number
  results: Map<Case, LedgerResult>
}

export async function benchLedger(context: BenchmarkContext): Promise<Report> {
  const { options, workspace, progress } = context
  const cases = CLIENTS.flatMap((clients) =>
    ORGANIZATIONS.map((organizations) => ({
      name: `${clients} ${clients === 1 ? 'client' : 'clients'}, ${organizations} ${organizations === 1 ? 'organization' : 'organizations'}`,
      clients,
      organizations,
      exhausted: 0,
    })),
  )
    .concat(ALONE, BESIDE)
    .filter(({ name }) => options.only?.test(name) ?? true)
  progress.show('starting PostgreSQL, seeding 1000 organizations')
  const { url, client, pid } = await workspace.openDatabase()
  const payers = await seed(client, Math.max(...ORGANIZATIONS))
  const profiles = join(workspace.directory, 'profiles')
  const worker = startWorker<LedgerWorker>(
    './ledger-worker.ts',
    options.profile ? ['--cpu-prof', `--cpu-prof-dir=${profiles}`] : [],
  )
  workspace.defer(() => worker.stop())
  await worker.ask('open', { url, spoolDirectory: join(workspace.directory, 'spool'), payers })
  const floor = await CommitFloor.open(client)
  const random = seededRandom(options.seed)
  const rounds: Round[] = []
  const problems: string[] = []
  for (let i = 0; i < options.rounds; i += 1) {
    const label = `round ${i + 1} of ${options.rounds}`
    const others = await watchOthers([process.pid, pid])
    const order = shuffle(cases, random)
    progress.show(`${label}: the floor`)
    const measured = await floor.around(FLOOR_SECONDS, () => runCases(context, worker, order, label))
    const round = { floor: measured.floor, results: measured.result, others: await others() }
    rounds.push(round)
    progress.show(`${label}: checking the books`)
    const last = [...round.results.values()].at(-1)
    const wrong = last === undefined ? [] : await checkBooks(client, last.booked)
    problems.push(...failuresOf(round), ...wrong.map((line) => `${label}: ${line}`))
  }
  await worker.ask('close', null)
  const sections = [await floor.settings(), showOthers(rounds), showCases(cases, rounds)]
  if (options.profile) {
    await worker.stop()
    sections.push(await showProfile(profiles))
  }
  const verdicts = judge(targetsOf(cases, rounds))
  return { sections: [...sections, showVerdicts(verdicts)], verdicts, figures: figuresOf(rounds), problems }
}

async function runCases(
  { options, progress }: BenchmarkContext,
  worker: Worker<LedgerWorker>,
  cases: readonly Case[],
  label: string,
): Promise<Round['results']> {
  const results = new Map<Case, LedgerResult>()
  for (const one of cases) {
    progress.show(`${label}: ${one.name}`)
    const { clients, organizations, exhausted } = one
    const { seconds, seed } = options
    const plan = { clients, organizations, exhausted, warmSeconds: WARM_SECONDS, seconds, seed }
    results.set(one, await worker.ask('run', plan))
  }
  return results
}

function failuresOf({ results }: Round): string[] {
  return [...results].flatMap(([{ name }, { failures }]) =>
    Object.entries(failures).map(([code, count]) => `${name}: ${count} calls failed with ${code}`),
  )
}

function showCases(cases: readonly Case[], rounds: readonly Round[]): string {
  const head = ['case', 'pairs/s', 'of the floor', 'pair p50 ms', 'pair p99 ms', 'hold p50 ms', 'pending', 'refused/s']
  const floors = rounds.map(({ floor }) => floor)
  const floorRow = [
    'floor: 1 connection, durable commits of 1 row',
    spread(floors.map(({ perSecond }) => perSecond)),
    '1.00',
    spread(floors.map(({ milliseconds }) => milliseconds)),
    '',
    '',
    '',
    '',
  ]
  const rows = cases.map((one) => {
    const of = (pick: (result: LedgerResult, floor: Floor) => number) => each(rounds, one, pick)
    return [
      one.name,
      spread(of(rate)),
      spread(of((result, floor) => rate(result) / floor.perSecond)),
      spread(of(({ pair }) => pair.p50)),
      spread(of(({ pair }) => pair.p99)),
      spread(of(({ hold }) => hold.p50)),
      figure(of(({ pending }) => pending).reduce((sum, count) => sum + count, 0)),
      spread(of(({ refused, seconds }) => refused / (seconds + WARM_SECONDS))),
    ]
  })
  return table(head, [floorRow, ...rows])
}

function targetsOf(cases: readonly Case[], rounds: readonly Round[]): Target[] {
  const neighbours = rounds.flatMap(({ results }) => {
    const [alone, beside] = [results.get(ALONE), results.get(BESIDE)]
    return alone === undefined || beside === undefined ? [] : [rate(beside) / rate(alone)]
  })
  const pairs = cases
    .filter(({ clients }) => clients === 256)
    .map((one) => ({
      what: `${one.name}: pairs/s`,
      measured: each(rounds, one, rate),
      unit: '',
      atLeast: PAIRS_TARGET,
    }))
  const kept = 'neighbours of an exhausted key: pairs/s, of those without it'
  return [...pairs, { what: kept, measured: neighbours, unit: ' x', atLeast: NEIGHBOURS_TARGET }]
}

function rate({ pairs, seconds }: LedgerResult): number {
  return pairs / seconds
}

function each(rounds: readonly Round[], one: Case, pick: (result: LedgerResult, floor: Floor) => number): number[] {
  return rounds.flatMap(({ floor, results }) => {
    const result = results.get(one)
    return result === undefined ? [] : [pick(result, floor)]
  })
}

function figuresOf(rounds: readonly Round[]): unknown {
  return rounds.map(({ floor, others, results }) => ({
    floor,
    others,
    cases: [...results].map(([{ name }, result]) => ({ name, ...result })),
  }))
}
