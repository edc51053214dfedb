/** Flags and environment of a command, checked. A flag wins over its environment variable. */
import { join, resolve } from 'node:path'
import { parseArgs } from 'node:util'
import type { DisputeTerms } from '../billing/disputes.ts'
import { MEMBER_ROLES, type MemberRole } from '../billing/members.ts'
import type { KeyLimits, Plan } from '../config/config.ts'
import { PROTECTIONS } from '../config/protections.ts'
import { isUuid } from '../db/uuid.ts'
import { isRouteRule, ROUTE_GROUPS } from '../http/route-group.ts'
import { creditsToMicro } from '../metering/money.ts'
import { MOVE_UNENFORCED } from '../moving/litellm/unenforced.ts'
import { LOG_LEVELS, type LogLevel } from '../observe/log.ts'
import { WORKERS_MAX } from '../workers/plan-workers.ts'
import { CommandError, EXIT } from './exit.ts'
import { providerKeysOf } from './provider-keys-of.ts'

export interface Options {
  env: Readonly<Record<string, string | undefined>>
  /** Null: ./config.yaml, else the one that comes with Tollgate. */
  config: string | null
  dataDir: string
  /** The folder of settlements that wait for the database. */
  spoolDir: string
  host: string
  port: number
  /** How many processes serve the port. */
  workers: number | 'auto'
  logLevel: LogLevel
  json: boolean
  /** For start and check-config: protections of config.yaml that are not enforced and that the operator accepts. */
  acceptUnenforced: ReadonlySet<string>
  /** For start: bring the schema up to date first. */
  migrate: boolean
  /** For migrate: only print what would be done. */
  check: boolean
  /** For the commands org, member and key; empty where not given. */
  name: string
  plan: Plan
  credits: bigint
  org: string
  user: string
  allocate: bigint
  role: MemberRole | null
  label: string | null
  /** The id of a key. */
  key: string
  /** For service-key commands. */
  actAs: 'none' | 'members'
  /** Null: all. */
  models: readonly string[] | null
  routes: readonly string[]
  limits: KeyLimits
  overlapSeconds: number
  /** For migrate-from: the URL of the database to read, and what to do. */
  database: string
  dryRun: boolean
  coverShortage: boolean
  /** For backup and restore: the folder. */
  to: string
  from: string
  /** For migrate-from litellm: the file that takes deployments; null: they are only counted. */
  modelsTo: string | null
  /** For shadow: ISO 8601 of UTC, without a zone; null: no bound. */
  since: string | null
  until: string | null
  csv: boolean
  /** For keys rotate: the file with the next root key. Null for the key in KMS, or a new key of our own store. */
  newRootKeyFile: string | null
  /** For disputes settle. */
  call: string
  terms: DisputeTerms
  /** For outbox commands; empty where not given. */
  consumer: string
  event: string
  /** Both in. */
  days: { from: string; to: string } | null
  /** For audit: start from the last sums, and what their digest must be (null: anything). */
  sinceLast: boolean
  digest: string | null
  /** For reconcile: a downloaded report; null: the provider is asked. */
  file: string | null
  /** For reconcile: where the provider's API is; null: its own host. */
  apiBase: string | null
  /** For reconcile: a deployment to the provider's id of its key. */
  providerKeys: ReadonlyMap<string, string>
  /** For reconcile: nano-dollars that a line may differ by. */
  tolerance: bigint
}

const COMMON = ['config', 'data-dir', 'log-level']
const LIMITS = ['requests-per-minute', 'tokens-per-minute', 'calls-at-once'] as const
const RECONCILE = ['from', 'to', 'file', 'api-base', 'keys', 'tolerance', 'json']
const FLAGS: Readonly<Record<string, readonly string[]>> = {
  start: [...COMMON, 'host', 'port', 'workers', 'migrate', 'accept-unenforced'],
  migrate: [...COMMON, 'check'],
  audit: [...COMMON, 'since-last', 'expect', 'json'],
  backup: [...COMMON, 'to'],
  restore: [...COMMON, 'from'],
  'check-config': ['config', 'accept-unenforced'],
  'org create': [...COMMON, 'name', 'plan', 'credits'],
  'org list': [...COMMON, 'json'],
  'org show': [...COMMON, 'org'],
  'org suspend': [...COMMON, 'org'],
  'org resume': [...COMMON, 'org'],
  'org add-credits': [...COMMON, 'org', 'credits'],
  'member list': [...COMMON, 'org', 'json'],
  'member add': [...COMMON, 'org', 'user', 'role', 'allocate'],
  'member allocate': [...COMMON, 'org', 'user', 'credits'],
  'member default': [...COMMON, 'org', 'user'],
  'erase-user': [...COMMON, 'user', 'org'],
  'key list': [...COMMON, 'org', 'json'],
  'key revoke': [...COMMON, 'key'],
  'key create': [...COMMON, 'org', 'user', 'allocate', 'role', 'label'],
  'service-key create': [...COMMON, 'name', 'org', 'user', 'act-as', 'models', 'routes', ...LIMITS],
  'service-key rotate': [...COMMON, 'name', 'overlap-hours'],
  'service-key revoke': [...COMMON, 'name'],
  'service-key list': [...COMMON, 'json'],
  'keys rotate': [...COMMON, 'new-root-key-file'],
  'keys import-fernet': COMMON,
  'migrate-from ops-center': [...COMMON, 'database', 'dry-run', 'cover-shortage', 'json'],
  'shadow litellm': ['config', 'log-level', 'database', 'from', 'to', 'json', 'csv'],
  'migrate-from litellm': [...COMMON, 'database', 'dry-run', 'accept-unenforced', 'models-to', 'json'],
  disputes: [...COMMON, 'json'],
  'disputes settle': [...COMMON, 'call', 'credits', 'as-stated', 'as-charged'],
  'outbox list': [...COMMON, 'json'],
  'outbox retry': [...COMMON, 'consumer'],
  'outbox replay': [...COMMON, 'consumer', 'event', 'from', 'to', 'org'],
  'outbox verify': [...COMMON, 'json'],
  'reconcile openai': [...COMMON, ...RECONCILE],
  'reconcile anthropic': [...COMMON, ...RECONCILE],
  'reconcile openrouter': [...COMMON, ...RECONCILE],
}
/** The flags that a command requires; the others are empty where they are not given. */
const REQUIRED: Readonly<Record<string, readonly string[]>> = {
  backup: ['to'],
  restore: ['from'],
  'org create': ['name'],
  'org show': ['org'],
  'org suspend': ['org'],
  'org resume': ['org'],
  'org add-credits': ['org', 'credits'],
  'member list': ['org'],
  'member add': ['org', 'user'],
  'member allocate': ['org', 'user', 'credits'],
  'member default': ['org', 'user'],
  'erase-user': ['user'],
  'key create': ['org', 'user'],
  'key revoke': ['key'],
  'service-key create': ['name', 'org'],
  'service-key rotate': ['name'],
  'service-key revoke': ['name'],
  'migrate-from ops-center': ['database'],
  'outbox retry': ['consumer'],
  'outbox replay': ['consumer'],
  'migrate-from litellm': ['database'],
  'shadow litellm': ['database'],
  'reconcile openai': ['from', 'to'],
  'reconcile anthropic': ['from', 'to'],
  'reconcile openrouter': ['from', 'to'],
}
/** A URL has a password, and a command line is for everybody's eyes. */
const VARIABLES: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  'migrate-from litellm': { database: 'LITELLM_DATABASE_URL' },
  'shadow litellm': { database: 'LITELLM_DATABASE_URL' },
}
const SWITCHES = [
  'since-last',
  'json',
  'csv',
  'migrate',
  'check',
  'as-stated',
  'as-charged',
  'dry-run',
  'cover-shortage',
]

/** @throws {CommandError} with exit code 2. */
export function readOptions(
  command: string,
  args: readonly string[],
  env: Readonly<Record<string, string | undefined>>,
): Options {
  const flags = withVariables(command, parseFlags(command, args), env)
  const text = (flag: string, longest: number) =>
    REQUIRED[command]?.includes(flag) || flags[flag] !== undefined ? required(command, flags, flag, longest) : ''
  const value = (flag: string, variable: string, otherwise: string) => flags[flag] ?? (env[variable] || otherwise)
  const dataDir = resolve(value('data-dir', 'TOLLGATE_DATA_DIR', './data'))
  return {
    env,
    config: flags.config ?? (env.TOLLGATE_CONFIG || null),
    dataDir,
    spoolDir: resolve(env.TOLLGATE_SPOOL_DIR || join(dataDir, 'spool')),
    host: value('host', 'TOLLGATE_HOST', '127.0.0.1'),
    port: portOf(value('port', 'TOLLGATE_PORT', '8084')),
    workers: workersOf(value('workers', 'TOLLGATE_WORKERS', '1')),
    logLevel: oneOf('--log-level', LOG_LEVELS, value('log-level', 'TOLLGATE_LOG_LEVEL', 'info')),
    json: flags.json !== undefined,
    acceptUnenforced: acceptedFor(command, flags, env),
    migrate: flags.migrate !== undefined,
    check: flags.check !== undefined,
    name: text('name', 200),
    plan: oneOf('--plan', ['platform', 'byok', 'hybrid'] as const, flags.plan ?? 'platform'),
    credits: creditsOf('--credits', text('credits', 40) || '0'),
    org: text('org', 200),
    user: text('user', 255),
    allocate: creditsOf('--allocate', flags.allocate ?? '0'),
    role: flags.role === undefined ? null : oneOf('--role', MEMBER_ROLES, flags.role),
    label: flags.label ?? null,
    key: command === 'key revoke' ? idOf(command, flags, 'key') : '',
    actAs: oneOf('--act-as', ['none', 'members'] as const, flags['act-as'] ?? 'none'),
    models: listOf(flags.models),
    routes: routesOf(flags.routes),
    limits: limitsOf(flags),
    overlapSeconds: hoursOf(flags['overlap-hours'] ?? '24') * 3_600,
    database: text('database', 2_000),
    dryRun: flags['dry-run'] !== undefined,
    coverShortage: flags['cover-shortage'] !== undefined,
    to: text('to', 4_000),
    from: text('from', 4_000),
    consumer: text('consumer', 100),
    event: text('event', 100),
    days: command === 'outbox replay' || command.startsWith('reconcile ') ? daysOf(flags) : null,
    sinceLast: flags['since-last'] !== undefined,
    digest: flags.expect?.toLowerCase() ?? null,
    file: flags.file ?? null,
    apiBase: flags['api-base']?.replace(/\/+$/, '') ?? null,
    providerKeys: providerKeysOf(listOf(flags.keys) ?? []),
    tolerance: creditsOf('--tolerance', flags.tolerance ?? '0.01') * 1_000n,
    since: command === 'shadow litellm' ? instantOf(flags, 'from') : null,
    until: command === 'shadow litellm' ? instantOf(flags, 'to') : null,
    csv: flags.csv !== undefined,
    modelsTo: text('models-to', 1_000) || null,
    newRootKeyFile: flags['new-root-key-file'] ?? null,
    ...(command === 'disputes settle' ? disputeOf(flags) : { call: '', terms: 'as-charged' }),
  }
}

function withVariables(
  command: string,
  flags: Record<string, string | undefined>,
  env: Options['env'],
): Record<string, string | undefined> {
  const named = Object.entries(VARIABLES[command] ?? {}).map(([flag, name]) => [flag, env[name] || undefined])
  return { ...Object.fromEntries(named), ...flags }
}

/** What a move does without is named on its command line: it is no setting of the program. */
function acceptedFor(
  command: string,
  flags: Record<string, string | undefined>,
  env: Options['env'],
): ReadonlySet<string> {
  const flag = flags['accept-unenforced']
  if (command !== 'migrate-from litellm') return acceptedOf(flag ?? (env.TOLLGATE_ACCEPT_UNENFORCED || ''))
  const names = listOf(flag) ?? []
  const wrong = names.find((name) => !MOVE_UNENFORCED.has(name))
  if (wrong === undefined) return new Set(names)
  const known = [...MOVE_UNENFORCED].join(', ')
  throw new CommandError(EXIT.usage, `--accept-unenforced takes ${known}, apart by commas; '${wrong}' is none of them.`)
}

/** As PostgreSQL's timestamps of UTC are written. */
function instantOf(flags: Record<string, string | undefined>, flag: string): string | null {
  const value = flags[flag]
  if (value === undefined) return null
  const at = new Date(/^\d{4}-\d\d-\d\d(?:T[\d:.]+(?:Z|[+-]\d\d:\d\d)?)?$/.test(value) ? zoned(value) : Number.NaN)
  if (!Number.isNaN(at.getTime())) return at.toISOString().slice(0, -1)
  throw new CommandError(
    EXIT.usage,
    `--${flag} must be a day such as 2026-11-01, or a time of ISO 8601; it is '${value}'.`,
  )
}

function zoned(value: string): string {
  return value.includes('T') && !/(?:Z|[+-]\d\d:\d\d)$/.test(value) ? `${value}Z` : value
}

function acceptedOf(value: string): ReadonlySet<string> {
  const names = listOf(value) ?? []
  const wrong = names.find((name) => !PROTECTIONS.has(name))
  if (wrong === undefined) return new Set(names)
  throw new CommandError(
    EXIT.usage,
    `--accept-unenforced takes names of settings that protect something and are not enforced here, apart by commas; '${wrong}' is none of them. tollgate check-config names those of your file.`,
  )
}

function parseFlags(command: string, args: readonly string[]): Record<string, string | undefined> {
  const allowed = FLAGS[command] ?? []
  const options = Object.fromEntries(
    allowed.map((flag) => [flag, { type: SWITCHES.includes(flag) ? ('boolean' as const) : ('string' as const) }]),
  )
  try {
    const { values } = parseArgs({ args: [...args], options, strict: true, allowPositionals: false })
    return Object.fromEntries(Object.entries(values).map(([flag, value]) => [flag, String(value)]))
  } catch (error) {
    const known = allowed.map((flag) => `--${flag}`).join(' ')
    throw new CommandError(EXIT.usage, `${(error as Error).message.split('. ')[0]}. '${command}' takes: ${known}`)
  }
}

function disputeOf(flags: Record<string, string | undefined>): Pick<Options, 'call' | 'terms'> {
  const call = idOf('disputes settle', flags, 'call')
  const named = ['credits', 'as-stated', 'as-charged'].filter((flag) => flags[flag] !== undefined)
  if (named.length !== 1)
    throw new CommandError(
      EXIT.usage,
      'State the cost of the call with exactly one of --credits N, --as-stated and --as-charged.',
    )
  if (flags.credits !== undefined) return { call, terms: { credits: creditsOf('--credits', flags.credits) } }
  return { call, terms: named[0] === 'as-stated' ? 'as-stated' : 'as-charged' }
}

function daysOf({ from, to, org, event }: Record<string, string | undefined>): Options['days'] {
  if (from === undefined && to === undefined) return null
  const isDay = (text: string | undefined): text is string =>
    text !== undefined && /^\d{4}-\d\d-\d\d$/.test(text) && !Number.isNaN(Date.parse(text))
  if (isDay(from) && isDay(to) && from <= to && event === undefined) return { from, to }
  throw new CommandError(
    EXIT.usage,
    `--from and --to are days, the first one not after the last, without --event: --from 2026-01-01 --to 2026-01-31${org === undefined ? '' : ' --org ID'}.`,
  )
}

function idOf(command: string, flags: Record<string, string | undefined>, flag: string): string {
  const id = required(command, flags, flag, 36)
  if (!isUuid(id)) throw new CommandError(EXIT.usage, `--${flag} must be the id of a ${flag}; it is '${id}'.`)
  return id
}

function required(command: string, flags: Record<string, string | undefined>, flag: string, longest: number): string {
  const value = flags[flag]?.trim()
  if (value === undefined || value === '')
    throw new CommandError(EXIT.usage, `--${flag} is missing. tollgate ${command} --help shows how.`)
  if (value.length > longest || /\p{Cc}/u.test(value))
    throw new CommandError(EXIT.usage, `--${flag} must be at most ${longest} characters, without control characters.`)
  return value
}

function oneOf<T extends string>(flag: string, values: readonly T[], value: string): T {
  const found = values.find((candidate) => candidate === value)
  if (found === undefined)
    throw new CommandError(EXIT.usage, `${flag} must be one of ${values.join(', ')}; it is '${value}'.`)
  return found
}

function listOf(value: string | undefined): string[] | null {
  const names = (value ?? '').split(',').flatMap((name) => name.trim() || [])
  return names.length === 0 ? null : names
}

function routesOf(value: string | undefined): string[] {
  const routes = listOf(value) ?? ['llm']
  const wrong = routes.find((route) => !isRouteRule(route))
  if (wrong === undefined) return routes
  throw new CommandError(
    EXIT.usage,
    `--routes takes ${ROUTE_GROUPS.join(', ')} and paths, separated by commas; '${wrong}' is neither.`,
  )
}

function limitsOf(flags: Record<string, string | undefined>): KeyLimits {
  const [requestsPerMinute = null, tokensPerMinute = null, callsAtOnce = null] = LIMITS.map((flag) => {
    const value = flags[flag]
    if (value === undefined || /^[1-9]\d{0,8}$/.test(value)) return value === undefined ? null : Number(value)
    throw new CommandError(EXIT.usage, `--${flag} must be a whole number from 1 to 999999999; it is '${value}'.`)
  })
  return { requestsPerMinute, tokensPerMinute, callsAtOnce }
}

function hoursOf(value: string): number {
  if (!/^\d{1,4}$/.test(value))
    throw new CommandError(
      EXIT.usage,
      `--overlap-hours must be a whole number of hours from 0 to 9999; it is '${value}'.`,
    )
  return Number(value)
}

function workersOf(value: string): number | 'auto' {
  if (value === 'auto') return value
  if (/^[1-9]\d?$/.test(value) && Number(value) <= WORKERS_MAX) return Number(value)
  throw new CommandError(
    EXIT.usage,
    `--workers must be a whole number from 1 to ${WORKERS_MAX}, or auto (one a processor); it is '${value}'.`,
  )
}

function portOf(value: string): number {
  if (!/^\d{1,5}$/.test(value) || Number(value) > 65_535)
    throw new CommandError(EXIT.usage, `--port must be a number from 0 to 65535; it is '${value}'.`)
  return Number(value)
}

function creditsOf(flag: string, value: string): bigint {
  let credits: bigint
  try {
    credits = creditsToMicro(value)
  } catch {
    throw new CommandError(
      EXIT.usage,
      `${flag} must be a number of credits with at most six decimals; it is '${value}'.`,
    )
  }
  if (credits < 0n || credits > 10n ** 19n)
    throw new CommandError(EXIT.usage, `${flag} must be from 0 to 10000000000000; it is '${value}'.`)
  return credits
}
