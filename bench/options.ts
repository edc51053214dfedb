/** The command line of the benchmarks. */
import { parseArgs } from 'node:util'

const BENCHMARKS = ['ledger', 'call', 'stream', 'memory', 'hostile', 'floods', 'callers', 'peers', 'reports'] as const
export type Benchmark = (typeof BENCHMARKS)[number]

export interface Options {
  benchmark: Benchmark
  rounds: number
  /** How long each case is measured in each round. */
  seconds: number
  seed: number
  /** Which cases, by name; null: all. */
  only: RegExp | null
  organizations: number
  /** memory: how many calls. */
  calls: number
  /** reports: how many rows of charges. */
  rows: number
  profile: boolean
  /** Where every figure of every round goes. */
  json: string | null
}

export class UsageError extends Error {}

export const HELP = `usage: npm run bench -- ledger | call | stream | memory | hostile | floods | callers | peers | reports [flags]

ledger   hold and settle on the real schema against a durable commit of one row
call     a whole call through Tollgate against a bare relay
stream   each chunk of a long stream, and bodies of a megabyte, against a bare relay
memory   the memory of the proxy over many calls
hostile  how long the proxy stands still for a megabyte that was made to cost it most, and what memory that takes
floods   what a caller feels while somebody floods the proxy with connections
callers  what it costs a call to know who is calling: statements, commands to Redis, cryptography
peers    the same calls through Tollgate, Portkey's gateway and LiteLLM's proxy, which it installs in TOLLGATE_PEERS
reports  reports over years of books, and what their sums cost a call

--rounds N         how often every case is measured, in another order each time (5)
--seconds N        how long a case is measured in a round; a long stream takes its ten seconds (3)
--seed N           of the order and of every other choice by chance (1)
--only PATTERN     only cases whose name matches, for example 'stream/1/', 'paced/64/' or '^256 clients'
--organizations N  call, stream, memory, reports: how many organizations call, one key each (100)
--calls N          memory: how many calls (100000)
--rows N           reports: how many rows of charges (10000000)
--profile          print where the proxy (ledger: the process with the ledger) spends its time; slows it down
--json FILE        write every figure of every round

Exit status 1 when money does not reconcile or a run broke. Speed never fails it.`

const FLAGS = {
  rounds: { type: 'string', default: '5' },
  seconds: { type: 'string', default: '3' },
  seed: { type: 'string', default: '1' },
  only: { type: 'string' },
  organizations: { type: 'string', default: '100' },
  calls: { type: 'string', default: '100000' },
  rows: { type: 'string', default: '10000000' },
  profile: { type: 'boolean', default: false },
  json: { type: 'string' },
  help: { type: 'boolean', short: 'h', default: false },
} as const

/** Null: help was asked for. @throws {UsageError} */
export function readOptions(args: readonly string[]): Options | null {
  const { values, positionals } = parse(args)
  if (values.help) return null
  const benchmark = BENCHMARKS.find((name) => name === positionals[0])
  if (benchmark === undefined || positionals.length > 1)
    throw new UsageError('Say which: ledger, call, stream, memory, hostile, floods, callers, peers or reports.')
  return {
    benchmark,
    rounds: numberOf('rounds', values.rounds, 1),
    seconds: numberOf('seconds', values.seconds, 0.1),
    seed: numberOf('seed', values.seed, 0),
    only: values.only === undefined ? null : patternOf(values.only),
    organizations: numberOf('organizations', values.organizations, 1),
    calls: numberOf('calls', values.calls, 1),
    rows: numberOf('rows', values.rows, 1_000),
    profile: values.profile,
    json: values.json ?? null,
  }
}

function parse(args: readonly string[]) {
  try {
    return parseArgs({ args: [...args], options: FLAGS, allowPositionals: true })
  } catch (error) {
    throw new UsageError((error as Error).message)
  }
}

function numberOf(flag: string, text: string, least: number): number {
  const value = Number(text)
  const whole = flag === 'seconds' || Number.isInteger(value)
  if (text.trim() === '' || !Number.isFinite(value) || value < least || !whole)
    throw new UsageError(`--${flag} must be a number of at least ${least}; it is '${text}'.`)
  return value
}

function patternOf(text: string): RegExp {
  try {
    return new RegExp(text)
  } catch {
    throw new UsageError(`--only must be a regular expression; it is '${text}'.`)
  }
}
