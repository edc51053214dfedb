/** `model_list`: every entry becomes a deployment, or says what keeps it from being one. */

import { splitModel } from '../../providers/provider-name.ts'
import type { Deployment, JsonValue } from './config.ts'
import { mayUseStandardKey, publicHostOf, readApiBase, readApiKey, readHeaders } from './connection.ts'
import { deploymentId } from './deployment-id.ts'
import type { Field, NumberRule, Section } from './field.ts'
import { ENTRY, LITELLM_PARAMS } from './litellm-settings.ts'
import { readOperatorPrice } from './operator-prices.ts'
import { showText } from './problem.ts'
import { readRequestDefaults } from './request-defaults.ts'

export const SECONDS: NumberRule = { what: 'a number of seconds', example: '60', moreThan: 0, most: 2_000_000 }
const COUNT: NumberRule = { what: 'a number, 0 or more', example: '100', least: 0 }
const TOKENS: NumberRule = { what: 'a whole number of tokens', example: '16384', least: 1, whole: true }

/** What holds for all deployments: `drop_params` where one doesn't say, the allowed members beside its own. */
export type SharedParams = Pick<Deployment, 'dropParams' | 'allowedParams'>

export function readDeployments(list: Field, shared: SharedParams): Deployment[] {
  const entries = list.list().flatMap((entry) => readEntry(entry) ?? [])
  const written = new Set(entries.map((entry) => entry.modelName))
  const deployments = entries.flatMap((entry) =>
    entry.model === '*' ? expandEverything(entry, written, shared) : (readDeployment(entry, shared) ?? []),
  )
  return uniqueIds(deployments, list)
}

interface Entry {
  modelName: string
  model: string
  modelField: Field
  params: Section
  info: Section | null
}

function readEntry(field: Field): Entry | null {
  const section = field.section()
  if (section === null) return field.empty ? field.error('an empty entry', 'fill it or delete the "-"') : null
  const name = section.take('model_name')
  const modelName = name.text('a name') ?? ''
  const params = section.take('litellm_params')
  const info = section.take('model_info').section()
  if (isBlank(name, modelName)) name.error('missing: the name clients ask for', 'write model_name: gpt-4o')
  if (params.empty)
    return params.error('missing: what serves this model', 'write litellm_params: with model: provider/name below it')
  const paramsSection = params.section()
  section.finish(ENTRY)
  if (paramsSection === null) return null
  const modelField = paramsSection.take('model')
  const model = modelField.text('provider/model')?.trim() ?? ''
  if (isBlank(modelField, model)) modelField.error('missing: the model to call', 'write model: openai/gpt-4o')
  return { modelName: modelName.trim(), model, modelField, params: paramsSection, info }
}

/** The value is missing; one of the wrong type has been reported already. */
function isBlank(field: Field, text: string): boolean {
  return text.trim() === '' && (field.empty || field.rawText() !== null)
}

/** `*` to `*` serves every provider; written out, it is one wildcard for each that has none of its own. */
function expandEverything(entry: Entry, written: ReadonlySet<string>, shared: SharedParams): Deployment[] {
  const narrow = ['api_key', 'api_base'].find((name) => !entry.params.take(name).empty)
  if (entry.modelName !== '*' || narrow !== undefined) {
    const why = narrow === undefined ? '' : `, so ${narrow} would go to every provider`
    entry.modelField.error(
      `can't tell the provider of "*"${why}`,
      'write one entry for each provider, such as openai/*',
    )
    return []
  }
  const missing = Object.keys(entry.modelField.source.providers).filter((provider) => !written.has(`${provider}/*`))
  return missing.flatMap((provider) => {
    const pattern = `${provider}/*`
    return readDeployment({ ...entry, modelName: pattern, model: pattern }, shared) ?? []
  })
}

/** Reads all of an entry, also of one that can't become a deployment, so that nothing wrong in it stays unsaid. */
function readDeployment(entry: Entry, shared: SharedParams): Deployment | null {
  const { params, info, modelName } = entry
  const target = readTarget(entry)
  const mockResponse = params.take('mock_response').text('a text')
  const apiBase = readApiBase(firstWritten(params, 'api_base', 'base_url'))
  const key = readApiKey(params.take('api_key'), {
    provider: target?.provider ?? null,
    apiBase,
    quiet: modelName.includes('*'),
    mock: mockResponse !== null,
  })
  const seconds = (name: string): number | null => milliseconds(params.take(name).number(SECONDS))
  const count = (name: string): number | null => params.take(name).number(COUNT)
  const deployment = {
    id: info?.take('id').text('a text')?.trim() || deploymentId(asWritten(entry)),
    modelName,
    ...key,
    apiBase,
    shownApiBase: readShownBase(info) ?? publicHostOf(params.place.source.providers, apiBase),
    organization: params.take('organization').text('a text'),
    extraHeaders: readHeaders(params.take('extra_headers')),
    defaults: readRequestDefaults(params),
    timeoutMs: seconds('timeout'),
    streamTimeoutMs: seconds('stream_timeout'),
    mockResponse,
    price: readOperatorPrice([params, info]),
    ...readTokenLimits(info),
    ...readEndpoints(info),
    ...readMode(info),
    ...(isCounted(params.take('statement'), info?.take('statement') ?? null) ? { statement: 'counted' as const } : {}),
    dropParams: params.take('drop_params').flag() ?? shared.dropParams,
    allowedParams: [...new Set([...shared.allowedParams, ...readAllowedParams(params.take('allowed_openai_params'))])],
    weight: count('weight'),
    rpm: count('rpm'),
    tpm: count('tpm'),
  }
  finishParams(params)
  for (const extra of info?.rest() ?? []) extra.noEffect(undefined, true)
  if (target === null || modelName === '') return null
  const facts = params.place.source.providers[target.provider]
  return { ...deployment, ...target, trustedHost: facts !== undefined && mayUseStandardKey(facts, apiBase) }
}

/** An `api_base` may tell of a private network; who wants callers to see something writes what. */
function readShownBase(info: Section | null): string | null {
  return info === null ? null : readApiBase(info.take('shown_api_base'))
}

/** Names of members, their places (`messages[].prefix`), or `*`. */
export function readAllowedParams(field: Field): string[] {
  return field.list().flatMap((entry) => {
    const name = entry.text('the name of a parameter')?.trim() ?? ''
    return name === '' ? [] : [name]
  })
}

function readTarget({ model, modelField, modelName }: Entry): Pick<Deployment, 'provider' | 'upstreamModel'> | null {
  if (model === '') return null
  const target = splitModel(modelField.source.providers, model)
  if (target === null) return complainAboutProvider(modelField, model)
  if (modelName === '' || stars(target.upstreamModel) <= stars(modelName)) return target
  return modelField.error('holds more * than model_name', 'write the model in full, or put * into model_name too')
}

function readTokenLimits(info: Section | null): Pick<Deployment, 'maxOutputTokens' | 'maxInputTokens'> {
  const tokens = (name: string): number | null => info?.take(name).number(TOKENS) ?? null
  const all = tokens('max_tokens')
  return { maxOutputTokens: tokens('max_output_tokens') ?? all, maxInputTokens: tokens('max_input_tokens') }
}

/** LiteLLM's word, in its price list: `/v1/responses` behind an `api_base` that has it. */
function readEndpoints(info: Section | null): Pick<Deployment, 'supportedEndpoints'> {
  const field = info?.take('supported_endpoints')
  if (field === undefined || field.empty) return {}
  return { supportedEndpoints: field.list().flatMap((entry) => entry.text('a path, such as /v1/responses') ?? []) }
}

/** Of LiteLLM's words those are honoured that an endpoint here asks about. */
function readMode(info: Section | null): Pick<Deployment, 'mode'> {
  const mode = info?.take('mode').text('a word, such as chat or embedding')?.trim() ?? ''
  return mode === '' ? {} : { mode }
}

/** How far the server's own numbers are believed; may stand in either section. */
function isCounted(param: Field, info: Field | null): boolean {
  const field = param.empty && info !== null ? info : param
  const text = field.text('believed or counted')?.trim() ?? 'believed'
  if (text !== 'believed' && text !== 'counted') field.mismatch('believed or counted', `write ${field.label}: counted`)
  return text === 'counted'
}

function finishParams(params: Section): void {
  for (const field of params.rest()) {
    if (LITELLM_PARAMS.has(field.name)) field.noEffect()
    else
      field.warn(
        'unknown setting, ignored',
        'check the spelling; a parameter only the provider knows goes under extra_body',
      )
  }
}

function complainAboutProvider(field: Field, model: string): null {
  const known = Object.keys(field.source.providers)
    .map((name) => `${name}/`)
    .join(', ')
  if (!model.includes('/'))
    return field.error(`can't tell the provider of ${showText(model)}`, `write it with one of ${known}`)
  const prefix = model.slice(0, model.indexOf('/'))
  if (model.endsWith('/') && model.indexOf('/') === model.length - 1) {
    return field.error(`no model after ${showText(model)}`, 'write model: openai/gpt-4o')
  }
  const hint = `an OpenAI-compatible server goes as openai/<model> with api_base`
  return field.error(`no such provider here: ${showText(prefix)}`, `use one of ${known}; ${hint}`)
}

function firstWritten(section: Section, name: string, alias: string): Field {
  const field = section.take(name)
  const other = section.take(alias)
  return field.empty && !other.empty ? other : field
}

function milliseconds(seconds: number | null): number | null {
  return seconds === null ? null : Math.ceil(seconds * 1000)
}

function stars(pattern: string): number {
  return pattern.split('*').length - 1
}

function asWritten(entry: Entry): JsonValue {
  const expanded = entry.modelField.rawText() === '*'
  const value = (field: Field): JsonValue => (expanded && field.name === 'model' ? entry.model : field.writtenJson())
  return Object.fromEntries(entry.params.fields.map((field) => [field.name, value(field)]))
}

/** Ids name deployments in headers, logs and cooldowns, so two may not share one: a repeated id gets `-2`, `-3` ... in file order. */
function uniqueIds(deployments: readonly Deployment[], list: Field): Deployment[] {
  const taken = new Set(deployments.map(({ id }) => id))
  const seen = new Set<string>()
  return deployments.map((deployment) => {
    if (!seen.has(deployment.id)) {
      seen.add(deployment.id)
      return deployment
    }
    let id = deployment.id
    for (let number = 2; taken.has(id); number++) id = `${deployment.id}-${number}`
    taken.add(id)
    seen.add(id)
    if (!deployment.id.startsWith('mdl_')) {
      list.warn(
        `the deployment id ${showText(deployment.id)} is used twice; the second is called ${showText(id)}`,
        'give each its own model_info.id',
      )
    }
    return { ...deployment, id }
  })
}
