/** Reads `model_list`: every entry becomes a deployment, or a problem that says why it can't. */

import { splitModel } from '../../providers/provider-name.ts'
import type { Config, Deployment, JsonValue, LeftOut } from './config.ts'
import { readApiBase, readHeaders } from './connection.ts'
import { deploymentId } from './deployment-id.ts'
import { type Entry, leaveOut, type Target } from './entry.ts'
import type { Field, NumberRule, Section } from './field.ts'
import { ENTRY, LITELLM_PARAMS } from './litellm-settings.ts'
import { readOperatorPrice } from './operator-prices.ts'
import { showName, showText, UNKNOWN_SETTING } from './problem.ts'
import { reportProtections } from './protections.ts'
import { readReach } from './reach.ts'
import { readRequestDefaults } from './request-defaults.ts'

export const SECONDS: NumberRule = { what: 'a number of seconds', example: '60', moreThan: 0, most: 2_000_000 }
const COUNT: NumberRule = { what: 'a number, 0 or more', example: '100', least: 0 }
const WHOLE: NumberRule = { what: 'a whole number', example: '1', whole: true }
const TOKENS: NumberRule = { what: 'a whole number of tokens', example: '16384', least: 1, whole: true }

/** Settings for all deployments: the default of `drop_params`, and members that are allowed besides a deployment's own. */
export type SharedParams = Pick<Deployment, 'dropParams' | 'allowedParams'>

export function readDeployments(list: Field, shared: SharedParams): Pick<Config, 'deployments' | 'leftOut'> {
  const entries = list.list().flatMap((entry) => readEntry(entry) ?? [])
  const written = new Set(entries.map((entry) => entry.modelName))
  const read = entries.flatMap((entry) =>
    entry.model === '*' ? expandEverything(entry, written, shared) : (readDeployment(entry, shared) ?? []),
  )
  const served = read.filter((one): one is Deployment => !('why' in one))
  return { deployments: uniqueIds(served, list), leftOut: read.filter((one): one is LeftOut => 'why' in one) }
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
  if (modelField.variableName === null && isBlank(modelField, model))
    modelField.error('missing: the model to call', 'write model: openai/gpt-4o')
  return { modelName: modelName.trim(), model, modelField, params: paramsSection, info }
}

/** True where the value is missing. A value of the wrong type has been reported already. */
function isBlank(field: Field, text: string): boolean {
  return text.trim() === '' && (field.empty || field.rawText() !== null)
}

/** A model `*` serves every provider: it becomes one wildcard for each provider that has none of its own. */
function expandEverything(entry: Entry, written: ReadonlySet<string>, shared: SharedParams): (Deployment | LeftOut)[] {
  const narrow = ['api_key', 'api_base'].find((name) => !entry.params.take(name).empty)
  if (entry.modelName !== '*' || narrow !== undefined) {
    const why = narrow === undefined ? '' : `, so ${narrow} would go to every provider`
    const fix = 'write one entry for each provider, such as openai/*'
    return [leaveOut(entry, `can't tell the provider of "*"${why}`, fix)]
  }
  const { providers } = entry.modelField.source
  // One that stands where its operator put it has no models that anybody could name.
  const missing = Object.keys(providers).filter(
    (provider) => !written.has(`${provider}/*`) && providers[provider]?.baseVariable === undefined,
  )
  return missing.flatMap((provider) => {
    const pattern = `${provider}/*`
    return readDeployment({ ...entry, modelName: pattern, model: pattern }, shared) ?? []
  })
}

/** Reads the whole entry, even one that can't become a deployment, so that every problem in it is reported. */
function readDeployment(entry: Entry, shared: SharedParams): Deployment | LeftOut | null {
  const { params, info, modelName } = entry
  const named = readTarget(entry)
  const mockResponse = params.take('mock_response').text('a text')
  const { target, publicBase, ...reach } = readReach(entry, named, mockResponse !== null)
  const seconds = (name: string): number | null => milliseconds(params.take(name).number(SECONDS))
  const count = (name: string): number | null => params.take(name).number(COUNT)
  const deployment = {
    id: info?.take('id').text('a text')?.trim() || deploymentId(asWritten(entry)),
    modelName,
    ...reach,
    shownApiBase: readShownBase(info) ?? publicBase,
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
    dropParams: readDropParams(params.take('drop_params')) ?? shared.dropParams,
    allowedParams: [...new Set([...shared.allowedParams, ...readAllowedParams(params.take('allowed_openai_params'))])],
    weight: count('weight'),
    rpm: count('rpm'),
    tpm: count('tpm'),
    ...readPlace(params),
  }
  reportProtections(params, 'params')
  reportProtections(info, 'info')
  finishParams(params)
  for (const extra of info?.rest() ?? []) extra.noEffect(undefined, true)
  if (target === null || modelName === '') return null
  if ('why' in target) return target
  return { ...deployment, ...target, ...readBaseModel(entry, target.provider) }
}

/** Its place among others of its group. */
function readPlace(params: Section): Pick<Deployment, 'order' | 'maxParallel' | 'numRetries' | 'tags'> {
  const numbers = {
    order: params.take('order').number(WHOLE),
    maxParallel: params.take('max_parallel_requests').number({ ...WHOLE, least: 1 }),
    numRetries: params.take('num_retries').number({ ...WHOLE, least: 0, most: 100 }),
  }
  const tags = params
    .take('tags')
    .list()
    .flatMap((entry) => entry.text('a tag')?.trim() || [])
  return {
    ...Object.fromEntries(Object.entries(numbers).filter(([, value]) => value !== null)),
    ...(tags.length === 0 ? {} : { tags }),
  }
}

/** An `api_base` may reveal a private network, so callers see only what the operator writes here. */
function readShownBase(info: Section | null): string | null {
  return info === null ? null : readApiBase(info.take('shown_api_base'))
}

/** LiteLLM takes a list too, and drops what it names by `additional_drop_params` only. */
export function readDropParams(field: Field): boolean | null {
  if (!field.isList) return field.flag()
  field.warn('a list is read as true: what the provider is known not to honour is left out', 'write drop_params: true')
  return true
}

/** Names of members, their places (`messages[].prefix`), or `*`. */
export function readAllowedParams(field: Field): string[] {
  return field.list().flatMap((entry) => {
    const name = entry.text('the name of a parameter')?.trim() ?? ''
    return name === '' ? [] : [name]
  })
}

/** Null where something that must be there is missing, which was reported. */
function readTarget(entry: Entry): Target | LeftOut | null {
  const { model, modelField, modelName } = entry
  const { variableName } = modelField
  if (model === '' && variableName !== null) {
    const variable = showName(variableName)
    return leaveOut(entry, `the environment variable ${variable} names no model`, `set ${variable} before the start`)
  }
  if (model === '') return null
  const { providers } = modelField.source
  const named = entry.params.take('custom_llm_provider').text('the name of a provider')?.trim() ?? ''
  const target = splitModel(providers, named === '' || model.startsWith(`${named}/`) ? model : `${named}/${model}`)
  if (target === null) return withoutProvider(named === '' ? entry : { ...entry, model: `${named}/${model}` })
  if (modelName === '' || stars(target.upstreamModel) <= stars(modelName)) return target
  return leaveOut(entry, 'holds more * than model_name', 'write the model in full, or put * into model_name too')
}

/** May stand in either section: a name of LiteLLM's price list, or one of this deployment's provider. */
function readBaseModel({ params, info, modelField }: Entry, provider: string): Pick<Deployment, 'baseModel'> {
  const [own, other] = [params.take('base_model'), info?.take('base_model')]
  const name = (own.empty ? other : own)?.text('the name of a model')?.trim() ?? ''
  if (name === '') return {}
  const target = splitModel(modelField.source.providers, name) ?? { provider, upstreamModel: name }
  return { baseModel: { provider: target.provider, model: target.upstreamModel } }
}

function readTokenLimits(info: Section | null): Pick<Deployment, 'maxOutputTokens' | 'maxInputTokens'> {
  const tokens = (name: string): number | null => info?.take(name).number(TOKENS) ?? null
  const all = tokens('max_tokens')
  return { maxOutputTokens: tokens('max_output_tokens') ?? all, maxInputTokens: tokens('max_input_tokens') }
}

/** `supported_endpoints`, as in LiteLLM's price list: `/v1/responses` where the server behind `api_base` has it. */
function readEndpoints(info: Section | null): Pick<Deployment, 'supportedEndpoints'> {
  const field = info?.take('supported_endpoints')
  if (field === undefined || field.empty) return {}
  return { supportedEndpoints: field.list().flatMap((entry) => entry.text('a path, such as /v1/responses') ?? []) }
}

/** LiteLLM's `mode`, as far as an endpoint here uses it. */
function readMode(info: Section | null): Pick<Deployment, 'mode'> {
  const mode = info?.take('mode').text('a word, such as chat or embedding')?.trim() ?? ''
  return mode === '' ? {} : { mode }
}

/** How far the server's own numbers are believed; either section may hold it. */
function isCounted(param: Field, info: Field | null): boolean {
  const field = param.empty && info !== null ? info : param
  const text = field.text('believed or counted')?.trim() ?? 'believed'
  if (text !== 'believed' && text !== 'counted') field.mismatch('believed or counted', `write ${field.label}: counted`)
  return text === 'counted'
}

function finishParams(params: Section): void {
  for (const field of params.rest()) {
    if (LITELLM_PARAMS.has(field.name)) field.noEffect()
    else field.warn(UNKNOWN_SETTING, 'check the spelling; a parameter only the provider knows goes under extra_body')
  }
}

function withoutProvider(entry: Entry): LeftOut {
  const { model, modelField } = entry
  const known = Object.keys(modelField.source.providers)
    .map((name) => `${name}/`)
    .join(', ')
  if (!model.includes('/'))
    return leaveOut(entry, `can't tell the provider of ${showText(model)}`, `write it with one of ${known}`)
  const prefix = model.slice(0, model.indexOf('/'))
  if (model.indexOf('/') === model.length - 1)
    return leaveOut(entry, `no model after ${showText(model)}`, 'write model: openai/gpt-4o')
  const hint = `an OpenAI-compatible server goes as openai/<model> with api_base`
  return leaveOut(entry, `no such provider here: ${showText(prefix)}`, `use one of ${known}; ${hint}`)
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
