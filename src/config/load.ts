/**
 * Turns config.yaml and the environment into one Config, or into a list of everything that is wrong with them. Fails closed: one
 * error anywhere means no Config, because a price or a key that was skipped loses money silently.
 */

import type { KnownProviders } from '../../providers/provider-name.ts'
import type { Config } from './config.ts'
import { readEnvironmentKeys } from './connection.ts'
import { readAllowedParams, readDeployments, readDropParams, SECONDS } from './deployments.ts'
import { Field, type NumberRule, Section } from './field.ts'
import { type IncludedFile, withIncluded } from './include.ts'
import { GENERAL_SETTINGS, LITELLM_SETTINGS, ROUTER_SETTINGS, TOP_LEVEL } from './litellm-settings.ts'
import { weaknessOf } from './master-key.ts'
import type { Problem } from './problem.ts'
import { reportProtections } from './protections.ts'
import { readEndUserBudget, readProxyBudget } from './proxy-budget.ts'
import { readRouting } from './routing.ts'
import { type Env, type ReadFile, Source } from './source.ts'
import { readTollgateSettings } from './tollgate-settings.ts'
import { readTraceSinks } from './trace-sinks.ts'

export { describeConfig } from './describe.ts'
export { formatProblem } from './problem.ts'

const RETRIES: NumberRule = { what: 'a whole number from 0 to 100', example: '2', least: 0, most: 100, whole: true }
const DEFAULT_RETRIES = 2
const DEFAULT_TIMEOUT_SECONDS = 600
const STATUS: NumberRule = { what: 'a status from 400 to 499', example: '429', least: 400, most: 499, whole: true }
/** LiteLLM's since 1.104: a repeated call would be refused again. */
const DEFAULT_BUDGET_STATUS = 422

export interface LoadOptions {
  embedded: boolean
  providers: KnownProviders
  /** The files that it includes, in order; the text is null where one can't be read. */
  includes?: readonly IncludedFile[]
  /** Reads a file that a value names. @default none can be read */
  readFile?: ReadFile
}

/**
 * @param text the file's content; empty is allowed.
 * @param file the name problems are reported under.
 * @param env where `os.environ/NAME`, the providers' standard key variables, DATABASE_URL and the master key come from.
 * @param options.embedded whether Tollgate brings its own database: a trial on one machine, where a weak master key is a
 * warning. A `database_url` in the file makes it an error all the same.
 * @param options.providers the providers that a model may name.
 * @returns every problem found, by line; `config` is null when one of them is an error, deep-frozen otherwise.
 */
export function loadConfig(
  text: string,
  file: string,
  env: Env,
  options: LoadOptions,
): { config: Config | null; problems: Problem[] } {
  const variables = new Map<string, string>()
  const lent = { ...options, env }
  const source = new Source(text, file, lent, variables)
  const place = new Field(source, '', '', null, source.root)
  const own = place.section() ?? new Section(place, [])
  if (place.empty && source.problems.length === 0) source.report(emptyFile)
  const included = (options.includes ?? []).flatMap((one) =>
    one.text === null ? [] : [new Source(one.text, one.file, lent, variables)],
  )
  const root = withIncluded(own, included, options.includes ?? [])
  defineVariables(root.take('environment_variables'))
  const draft = readConfig(root, file, options)
  const problems = [source, ...included].flatMap((one) => one.problems.sort((a, b) => (a.line ?? 0) - (b.line ?? 0)))
  if (problems.some(({ severity }) => severity === 'error')) return { config: null, problems }
  return { config: deepFreeze({ ...draft, warnings: problems }), problems }
}

const emptyFile = {
  severity: 'warning' as const,
  line: null,
  path: '',
  message: 'the file is empty, so there is no model to call',
  fix: 'add a model_list',
}

function readConfig(root: Section, file: string, options: { embedded: boolean }): Omit<Config, 'warnings'> {
  const litellm = sectionOf(root, 'litellm_settings')
  const general = sectionOf(root, 'general_settings')
  const router = sectionOf(root, 'router_settings')
  const either = (name: string, rule: NumberRule, inLitellm = name): number | null => {
    const below = litellm.take(inLitellm).number(rule)
    return router.take(name).number(rule) ?? below
  }
  const dropParams = readDropParams(litellm.take('drop_params')) ?? false
  const numRetries = either('num_retries', RETRIES) ?? DEFAULT_RETRIES
  const requestTimeoutMs = Math.ceil((either('timeout', SECONDS, 'request_timeout') ?? DEFAULT_TIMEOUT_SECONDS) * 1000)
  const list = root.take('model_list')
  if (list.empty && root.place.isMap) list.warn('missing, so there is no model to call', 'add a model_list')
  const allowedParams = readAllowedParams(litellm.take('allowed_openai_params'))
  const models = readDeployments(list, { dropParams, allowedParams })
  const traceSinks = readTraceSinks(litellm)
  const aliases = readAliases(router.take('model_group_alias'))
  const routing = readRouting(litellm, router, groupsOf(models, Object.keys(aliases.modelGroupAlias)))
  const databaseUrl = readDatabaseUrl(general.take('database_url'))
  const budgetExceededStatus = readBudgetStatus(general, litellm)
  const proxyBudget = readProxyBudget(litellm)
  const endUserBudget = readEndUserBudget(litellm)
  const keyDefaults = readKeyDefaults(litellm.take('default_key_generate_params'))
  const masterKey = readMasterKey(general.take('master_key'), options.embedded && databaseUrl === null)
  const keyHeader = readKeyHeader(general.take('litellm_key_header_name'))
  const settings = readTollgateSettings(root.take('tollgate'), masterKey)
  for (const [section, at] of [
    [root, 'top'],
    [litellm, 'litellm'],
    [general, 'general'],
    [router, 'router'],
  ] as const)
    reportProtections(section, at)
  litellm.finish(LITELLM_SETTINGS)
  general.finish(GENERAL_SETTINGS)
  router.finish(ROUTER_SETTINGS)
  root.finish(TOP_LEVEL)
  return {
    file,
    ...models,
    ...aliases,
    traceSinks,
    traceService: root.place.source.variable('OTEL_SERVICE_NAME') ?? 'tollgate',
    environmentKeys: readEnvironmentKeys(root.place.source),
    masterKey,
    keyHeader,
    databaseUrl,
    dropParams,
    numRetries,
    routing,
    budgetExceededStatus,
    proxyBudget,
    endUserBudget,
    keyDefaults,
    requestTimeoutMs,
    ...settings,
  }
}

/** What a fallback may name. Null where a pattern may stand for any name. */
function groupsOf({ deployments, leftOut }: Models, aliases: readonly string[]): ReadonlySet<string> | null {
  const names = [...deployments, ...leftOut].map(({ modelName }) => modelName)
  if (names.some((name) => name.includes('*'))) return null
  const bare = names.map((name) => name.slice(name.indexOf('/') + 1))
  return new Set([...names, ...bare, ...deployments.map(({ id }) => id), ...aliases])
}

type Models = Pick<Config, 'deployments' | 'leftOut'>

function sectionOf(root: Section, name: string): Section {
  const field = root.take(name)
  return field.section() ?? new Section(field, [])
}

function readBudgetStatus(...sections: readonly Section[]): number {
  const stated = sections.map((section) => section.take('budget_exceeded_status_code').number(STATUS))
  return stated.find((status) => status !== null) ?? DEFAULT_BUDGET_STATUS
}

function readKeyDefaults(field: Field): Config['keyDefaults'] {
  if (field.empty) return {}
  const value = field.isMap ? field.json() : null
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value
  return (
    field.error('not a map of what keys are made with', 'write default_key_generate_params: {max_budget: 10}') ?? {}
  )
}

function defineVariables(place: Field): void {
  for (const field of place.section()?.fields ?? []) {
    const value = field.json()
    if (typeof value === 'object' && value !== null) field.mismatch('a text', `write ${field.label}: "…"`)
    else if (value !== null) field.source.define(field.name, String(value))
  }
}

/** `alias: group`, or `alias: {model: group, hidden: true}`. */
function readAliases(place: Field): Pick<Config, 'modelGroupAlias' | 'hiddenAliases'> {
  const aliases: [string, string][] = []
  const hidden: string[] = []
  for (const field of place.section()?.fields ?? []) {
    const section = field.isMap ? field.section() : null
    const target = section?.take('model') ?? field
    const group = target.text('the name of a model group')?.trim() ?? ''
    if (section?.take('hidden').flag() === true) hidden.push(field.name)
    section?.finish(new Set())
    if (group !== '') aliases.push([field.name, group])
    else if (target.empty || target.rawText() !== null)
      target.error('missing: the model group it stands for', `write ${field.label}: gpt-4o`)
  }
  return { modelGroupAlias: Object.fromEntries(aliases), hiddenAliases: hidden }
}

function readDatabaseUrl(field: Field): string | null {
  const fromEnv = field.source.variable('DATABASE_URL')
  const fromFile = field.text('a PostgreSQL URL', fromEnv !== null)?.trim() ?? null
  const url = fromEnv ?? fromFile
  if (url === null || url === '') return null
  if (/^postgres(?:ql)?:\/\//.test(url) && URL.canParse(url)) return url
  const where =
    fromEnv === null ? 'not a PostgreSQL URL' : 'the environment variable DATABASE_URL is not a PostgreSQL URL'
  return field.error(where, 'write postgresql://user:password@host:5432/name')
}

function readMasterKey(field: Field, embedded: boolean): string | null {
  const written = field.text('a key')?.trim() ?? ''
  const variable = ['TOLLGATE_MASTER_KEY', 'LITELLM_MASTER_KEY'].find((name) => field.source.variable(name) !== null)
  const key = written !== '' ? written : variable === undefined ? '' : (field.source.variable(variable) ?? '').trim()
  if (key === '') return null
  const name = written !== '' || variable === undefined ? 'the master key' : `the master key in ${variable}`
  if (!key.startsWith('sk-'))
    field.warn(`${name} doesn't start with sk-, which LiteLLM's clients expect`, 'put sk- before it')
  if (written !== '' && field.variableName === null) {
    field.warn(
      'the master key is written into the file',
      'put it in the environment and write master_key: os.environ/TOLLGATE_MASTER_KEY',
    )
  }
  const weakness = weaknessOf(key)
  if (weakness === null) return key
  const fix = 'take a random one: echo "sk-$(openssl rand -hex 24)"'
  if (embedded) field.warn(`${name} ${weakness}; with a database of your own this stops the start`, fix)
  else field.unenforced(`${name} ${weakness}`, `${fix}, or start with --accept-unenforced master_key`)
  return key
}

function readKeyHeader(field: Field): string | null {
  const name = field.text('the name of a header')?.trim().toLowerCase() ?? ''
  if (name === '') return null
  if (/^[a-z0-9-]+$/.test(name)) return name
  return field.mismatch('the name of a header', 'write litellm_key_header_name: X-My-Key')
}

function deepFreeze<Value>(value: Value): Value {
  if (typeof value === 'object' && value !== null && !Object.isFrozen(value)) {
    Object.freeze(value)
    for (const member of Object.values(value)) deepFreeze(member)
  }
  return value
}
