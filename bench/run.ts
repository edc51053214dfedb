/**
 * npm run bench -- ledger | call | stream | memory | hostile | floods | callers | peers | reports: how fast, measured beside what it is compared
 * with, on this machine, now. Fails only when money does not reconcile or a run broke.
 */
import { writeFile } from 'node:fs/promises'
import { cpus, totalmem } from 'node:os'
import { benchCall } from './bench-call.ts'
import { benchCallers } from './bench-callers.ts'
import { benchFloods } from './bench-floods.ts'
import { benchHostile } from './bench-hostile.ts'
import { benchLedger } from './bench-ledger.ts'
import { benchMemory } from './bench-memory.ts'
import { benchPeers } from './bench-peers.ts'
import { benchReports } from './bench-reports.ts'
import { benchStream } from './bench-stream.ts'
import { type Benchmark, HELP, type Options, readOptions, UsageError } from './options.ts'
import { createProgress } from './progress.ts'
import type { BenchmarkContext, Report } from './report.ts'
import { Workspace } from './workspace.ts'

class Interrupted extends Error {}

const BENCHMARKS: Record<Benchmark, (context: BenchmarkContext) => Promise<Report>> = {
  ledger: benchLedger,
  call: benchCall,
  stream: benchStream,
  memory: benchMemory,
  hostile: benchHostile,
  floods: benchFloods,
  callers: benchCallers,
  peers: benchPeers,
  reports: benchReports,
}

async function main(args: readonly string[]): Promise<number> {
  const options = readOptions(args)
  if (options === null) {
    process.stdout.write(`${HELP}\n`)
    return 0
  }
  const start = performance.now()
  const report = await measure(options)
  const seconds = Math.round((performance.now() - start) / 1000)
  const sections = [`\n${title(options)}, ${seconds} s`, ...report.sections, showProblems(report.problems)]
  process.stdout.write(`${sections.join('\n\n')}\n`)
  if (options.json !== null) await writeFile(options.json, toJson(options, report))
  return report.problems.length === 0 ? 0 : 1
}

async function measure(options: Options): Promise<Report> {
  const workspace = await Workspace.open()
  const progress = createProgress(process.stdout)
  const interrupted = new Promise<never>((_, reject) => {
    for (const signal of ['SIGINT', 'SIGTERM'] as const)
      process.once(signal, () => reject(new Interrupted(`stopped by ${signal}`)))
  })
  try {
    return await Promise.race([BENCHMARKS[options.benchmark]({ options, workspace, progress }), interrupted])
  } finally {
    progress.clear()
    if (await workspace.inMemory())
      process.stdout.write(
        'The temporary directory is in memory: commits cost nothing there. Set TMPDIR to a real disk.\n',
      )
    await workspace.close()
  }
}

function title({ benchmark, rounds, seconds, seed }: Options): string {
  const machine = `${cpus().length} x ${cpus()[0]?.model.trim()}, ${Math.round(totalmem() / 2 ** 30)} GB, Node ${process.version}`
  const how = ['memory', 'hostile', 'floods', 'callers', 'reports'].includes(benchmark)
    ? ''
    : `, ${rounds} rounds of ${seconds} s a case, seed ${seed}`
  return `${benchmark}: ${machine}${how}`
}

function showProblems(problems: readonly string[]): string {
  if (problems.length === 0) return 'Money: reconciled to the microcredit. Failed calls: none.'
  return ['PROBLEMS, which make this run worth nothing:', ...problems.map((line) => `  ${line}`)].join('\n')
}

function toJson(options: Options, { verdicts, figures, problems }: Report): string {
  const all = { options: { ...options, only: options.only?.source ?? null }, verdicts, figures, problems }
  return `${JSON.stringify(all, (_, value: unknown) => (typeof value === 'bigint' ? value.toString() : value), 2)}\n`
}

try {
  process.exitCode = await main(process.argv.slice(2))
} catch (error) {
  const expected = error instanceof UsageError || error instanceof Interrupted
  process.stderr.write(`bench: ${expected ? error.message : (error as Error).stack}\n`)
  if (error instanceof UsageError) process.stderr.write(`\n${HELP}\n`)
  process.exitCode = 1
}
// What an interrupted run was still waiting for must not keep the process.
process.exit()
