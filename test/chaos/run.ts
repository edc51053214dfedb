/**
 * npm run chaos: several processes of the product, one PostgreSQL, load, and a schedule of faults made of a seed. Afterwards every
 * call is accounted for: what the provider sent against what the books say, to the microcredit. Exit code 1 on a difference.
 */
import { spawnSync } from 'node:child_process'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { createTokenCounter } from '../../src/metering/count-tokens.ts'
import { createCalls } from './calls.ts'
import { checkMoney, type Verdict } from './check.ts'
import { type Cluster, startCluster } from './cluster.ts'
import { type Faults, startFaults } from './faults.ts'
import { startLoad } from './load.ts'
import { createPayers, topUp } from './payers.ts'
import { WORDS } from './plan.ts'
import { modelList } from './price.ts'
import { startProvider } from './provider.ts'
import { printReport, startProgress } from './report.ts'
import { type FaultKind, makeSchedule } from './schedule.ts'
import { endProcesses, untilSettled } from './settle-down.ts'

const USAGE = `npm run chaos -- [options]

  --seed N       of calls and faults; the same seed makes the same plans (${'1'})
  --seconds N    how long faults go on (100)
  --proxies N    processes of the product (3)
  --callers N    calls at a time (24)
  --only KINDS   faults to make, separated by commas; 'none' for none
  --keep         keep the folder with logs and database also when all is right
  --verbose      tell every fault, and let the processes log every call
  --help
`

interface Options {
  seed: number
  seconds: number
  proxies: number
  callers: number
  only: ReadonlySet<string> | null
  keep: boolean
  verbose: boolean
}

function readOptions(): Options | null {
  const { values } = parseArgs({
    options: {
      seed: { type: 'string', default: '1' },
      seconds: { type: 'string', default: '100' },
      proxies: { type: 'string', default: '3' },
      callers: { type: 'string', default: '24' },
      only: { type: 'string' },
      keep: { type: 'boolean', default: false },
      verbose: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
  })
  if (values.help) return null
  const whole = (name: 'seed' | 'seconds' | 'proxies' | 'callers', least: number): number => {
    const value = Number(values[name])
    if (!Number.isSafeInteger(value) || value < least) throw new Error(`--${name} must be a whole number from ${least}`)
    return value
  }
  return {
    seed: whole('seed', 0),
    seconds: whole('seconds', 5),
    proxies: whole('proxies', 1),
    callers: whole('callers', 1),
    only: values.only === undefined ? null : new Set(values.only.split(',').map((kind) => kind.trim())),
    keep: values.keep,
    verbose: values.verbose,
  }
}

async function main(): Promise<number> {
  const options = readOptions()
  if (options === null) {
    process.stdout.write(USAGE)
    return 0
  }
  requireSingleTokens()
  const folder = await mkdtemp(join(tmpdir(), 'tollgate-chaos-'))
  const say = (line: string) => void process.stdout.write(`${line}\n`)
  const calls = createCalls()
  const provider = await startProvider(calls)
  const accidents: string[] = []
  const cleanup: (() => unknown)[] = [() => provider.close(), () => calls.stop()]
  const cleanUp = async (failed: boolean) => {
    for (const one of cleanup.reverse()) await one()
    if (!failed && !options.keep) await rm(folder, { recursive: true, force: true })
    else if (!options.keep) await rm(join(folder, 'database'), { recursive: true, force: true })
  }
  const interrupted = onInterrupt(() => cleanUp(false))
  let failed = true
  try {
    say(`seed ${options.seed}, ${options.seconds} s, ${options.proxies} proxies, ${options.callers} callers; ${folder}`)
    const cluster = await startCluster({
      folder,
      calls,
      cleanup,
      proxies: options.proxies,
      models: modelList(provider.url),
      verbose: options.verbose,
      onAccident: (what) => accidents.push(what),
      say: (line) => options.verbose && say(line),
    })
    const outcome = await run(options, cluster, calls, say)
    const strangers = provider.strangers()
    const differences = [
      ...accidents,
      ...(strangers > 0 ? [`the provider saw ${strangers} requests that nobody made`] : []),
      ...outcome.unsettled,
      ...outcome.verdict.differences,
    ]
    failed = differences.length > 0
    printReport({ calls: calls.all.values(), faults: outcome.faults.tally, verdict: outcome.verdict, differences, say })
    if (failed) {
      await writeFile(join(folder, 'differences'), `${differences.join('\n')}\n`)
      say(`Logs and all differences: ${folder}`)
      say(
        `Again: npm run chaos -- --seed ${options.seed} --seconds ${options.seconds} --proxies ${options.proxies} --callers ${options.callers}`,
      )
    }
    return failed ? 1 : 0
  } finally {
    interrupted()
    await cleanUp(failed)
  }
}

interface Outcome {
  faults: Faults
  verdict: Verdict
  /** What was not over in time. */
  unsettled: string[]
}

async function run(
  options: Options,
  cluster: Cluster,
  calls: ReturnType<typeof createCalls>,
  say: (line: string) => void,
): Promise<Outcome> {
  const payers = await createPayers(cluster.database)
  const schedule = makeSchedule({
    seed: options.seed,
    seconds: options.seconds,
    slots: options.proxies,
    payers: payers.length,
    without: kindsWithout(options, say),
  })
  const over = new AbortController()
  const toppingUp = topUp(cluster.database, payers, over.signal)
  const keys = payers.map(({ key }) => key)
  const load = startLoad({ seed: options.seed, callers: options.callers, keys, doors: () => cluster.doors(), calls })
  const faults = startFaults(schedule, cluster, payers, (line) => options.verbose && say(line))
  const progress = startProgress(calls, faults.tally, say)
  try {
    await Promise.all([faults.done, sleep(options.seconds * 1_000)])
    await load.stop()
    over.abort()
    await toppingUp
    progress.note('settling')
    const unsettled = [...(await untilSettled(cluster)), ...(await endProcesses(cluster))]
    progress.stop()
    const verdict = await checkMoney({
      databaseUrl: cluster.databaseUrl,
      calls: calls.all.values(),
      payers,
      troubled: ({ slot }) => faults.troubled(slot),
    })
    return { faults, verdict, unsettled }
  } finally {
    progress.stop()
  }
}

const KINDS: readonly FaultKind[] = [
  'kill -9',
  'SIGSTOP',
  'SIGTERM',
  'database crash',
  'database away',
  'stalled wire',
  'lost answers',
  'broken connections',
  'ambiguous commit',
  'full spool disk',
  'row lock',
]

function kindsWithout({ only }: Options, say: (line: string) => void): Set<FaultKind> {
  const unknown = [...(only ?? [])].filter((kind) => kind !== 'none' && !KINDS.some((known) => known === kind))
  if (unknown.length > 0) throw new Error(`--only takes ${KINDS.join(', ')}; it has ${unknown.join(', ')}`)
  const without = new Set(KINDS.filter((kind) => only !== null && !only.has(kind)))
  if (!without.has('full spool disk') && spawnSync('prlimit', ['--version']).status !== 0) {
    say("no full spool disk: this machine has no 'prlimit'")
    without.add('full spool disk')
  }
  return without
}

/** What a count of tokens must come to is known only if each word is one, next to any other. */
function requireSingleTokens(): void {
  const counter = createTokenCounter()
  try {
    for (const one of WORDS) {
      for (const other of WORDS) {
        if (counter.count(one + other, 'o200k_base') !== 2) throw new Error(`'${one}${other}' is not two tokens`)
      }
    }
  } finally {
    counter.free()
  }
}

/** Nothing is left running by Ctrl-C. Answers how to stop listening. */
function onInterrupt(cleanUp: () => Promise<void>): () => void {
  const stop = (signal: NodeJS.Signals) => {
    void cleanUp().finally(() => process.exit(signal === 'SIGINT' ? 130 : 143))
  }
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, stop)
  return () => {
    for (const signal of ['SIGINT', 'SIGTERM'] as const) process.off(signal, stop)
  }
}

process.exitCode = await main()
