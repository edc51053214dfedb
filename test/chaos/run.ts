/**
 * npm run chaos: several processes of the product, one PostgreSQL, load, and a schedule of faults made of a seed. Afterwards every
 * call is accounted for: what the provider sent against what the books say, to the microcredit. Exit code 1 on a difference.
 */
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { createTokenCounter } from '../../src/metering/count-tokens.ts'
import { createCalls } from './calls.ts'
import { checkMoney, type Verdict } from './check.ts'
import { type Cluster, startCluster } from './cluster.ts'
import { type Faults, startFaults } from './faults.ts'
import { startHostile } from './hostile.ts'
import { startLoad } from './load.ts'
import { commandLine, kindsWithout, type Options, readOptions, USAGE } from './options.ts'
import { createPayers, topUp } from './payers.ts'
import { WORDS } from './plan.ts'
import { modelList } from './price.ts'
import { startProvider } from './provider.ts'
import { printReport, startProgress } from './report.ts'
import { makeSchedule } from './schedule.ts'
import { endProcesses, untilSettled } from './settle-down.ts'

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
    for (const one of cleanup.splice(0).reverse()) await one()
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
    const { verdict, faults, unsettled } = await run(options, cluster, calls, say)
    const strangers = provider.strangers()
    const differences = [
      ...accidents,
      ...(strangers > 0 ? [`the provider saw ${strangers} requests that nobody made`] : []),
      ...unsettled,
      ...verdict.differences,
    ]
    failed = differences.length > 0
    printReport({ calls: calls.all.values(), faults: faults.tally, verdict, differences, say })
    if (failed) {
      await writeFile(join(folder, 'differences'), `${differences.join('\n')}\n`)
      say(`Logs and all differences: ${folder}\nAgain: npm run chaos -- ${commandLine(options)}`)
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
  const hostile = options.hostile ? await startHostile(cluster, options.seed, say) : null
  const progress = startProgress(calls, faults.tally, say)
  try {
    await Promise.all([faults.done, sleep(options.seconds * 1_000)])
    const left = (await hostile?.stop()) ?? []
    await load.stop()
    over.abort()
    await toppingUp
    progress.note('settling')
    const unsettled = [...left, ...(await untilSettled(cluster)), ...(await endProcesses(cluster))]
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

/** What a count of tokens must come to is known only if each word is one, next to any other. */
function requireSingleTokens(): void {
  const counter = createTokenCounter()
  try {
    for (const one of WORDS) {
      for (const other of WORDS) {
        if (counter.count([one + other], 'o200k_base') !== 2) throw new Error(`'${one}${other}' is not two tokens`)
      }
    }
  } finally {
    counter.free()
  }
}

/** Nothing is left running by Ctrl-C. Returns a function that stops listening. */
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
