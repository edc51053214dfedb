/** The command line of a run. */
import { spawnSync } from 'node:child_process'
import { parseArgs } from 'node:util'
import { FAULT_KINDS, type FaultKind } from './schedule.ts'

export const USAGE = `npm run chaos -- [options]

  --seed N       of calls and faults; the same seed makes the same plans (1)
  --seconds N    how long faults go on (100)
  --proxies N    processes of the product (3)
  --callers N    calls at a time (32)
  --only KINDS   faults to make, separated by commas; 'none' for none
  --hostile      no faults, but somebody who floods each process with what test/support/floods.ts lists
  --keep         keep the folder with logs and database also when all is right
  --verbose      tell every fault, and let the processes log every call
  --help
`

export interface Options {
  seed: number
  seconds: number
  proxies: number
  callers: number
  only: ReadonlySet<string> | null
  hostile: boolean
  keep: boolean
  verbose: boolean
}

/** Null where help was asked for. @throws what is wrong with them. */
export function readOptions(): Options | null {
  const { values } = parseArgs({
    options: {
      seed: { type: 'string', default: '1' },
      seconds: { type: 'string', default: '100' },
      proxies: { type: 'string', default: '3' },
      callers: { type: 'string', default: '32' },
      only: { type: 'string' },
      hostile: { type: 'boolean', default: false },
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
    only: values.hostile ? new Set(['none']) : values.only === undefined ? null : kindsIn(values.only),
    hostile: values.hostile,
    keep: values.keep,
    verbose: values.verbose,
  }
}

function kindsIn(list: string): ReadonlySet<string> {
  const kinds = list.split(',').map((kind) => kind.trim())
  const unknown = kinds.filter((kind) => kind !== 'none' && !FAULT_KINDS.some((known) => known === kind))
  if (unknown.length > 0) throw new Error(`--only takes ${FAULT_KINDS.join(', ')}, none; it has ${unknown.join(', ')}`)
  return new Set(kinds)
}

/** What makes the same run again. */
export function commandLine({ seed, seconds, proxies, callers, only, hostile }: Options): string {
  const kinds = hostile ? ' --hostile' : only === null ? '' : ` --only '${[...only].join(',')}'`
  return `--seed ${seed} --seconds ${seconds} --proxies ${proxies} --callers ${callers}${kinds}`
}

/** The kinds that are not wanted, or can't be done on this machine. */
export function kindsWithout({ only }: Options, say: (line: string) => void): Set<FaultKind> {
  const without = new Set(FAULT_KINDS.filter((kind) => only !== null && !only.has(kind)))
  if (!without.has('full spool disk') && spawnSync('prlimit', ['--version']).status !== 0) {
    say("no full spool disk: this machine has no 'prlimit'")
    without.add('full spool disk')
  }
  return without
}
