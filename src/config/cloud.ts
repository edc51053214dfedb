/**
 * A deployment in a cloud: the region it stands in, the account that pays, and the credential, in LiteLLM's words. The cloud's own facts
 * say by which members and variables they are named and what becomes of them. Nothing read here is ever repeated in a message.
 */
import type { CloudFacts, CloudSetting } from '../../providers/cloud.ts'
import type { Deployment } from './config.ts'
import { NO_KEY, type ProviderKey, sendable } from './connection.ts'
import type { Field, Section } from './field.ts'
import { showText } from './problem.ts'

export interface CloudEntry {
  params: Section
  cloud: CloudFacts
  upstreamModel: string
  /** `api_base`, as written. */
  written: string | null
  /** `api_key` or the variable of one, where there is one. */
  key: ProviderKey
}

export type InCloud = Pick<Deployment, 'upstreamModel' | 'apiBase' | 'organization'> &
  ProviderKey & {
    /** The address is the cloud's own, and not one that was written. */
    isOwn: boolean
  }

const REGION = /^[a-z][a-z0-9-]{0,40}$/

/** Or why it can't be served, and what to do. */
export function readCloud(entry: CloudEntry): InCloud | { why: string; fix: string } {
  const { params, cloud } = entry
  const place = cloud.placeIn?.(entry.upstreamModel) ?? null
  const upstreamModel = place?.model ?? entry.upstreamModel
  const region = place?.region ?? settingOf(params, cloud.region) ?? cloud.region.usual
  const account = cloud.account === null ? null : settingOf(params, cloud.account)
  const written = readParts(params, cloud)
  const other = cloud.endpoint === null ? null : settingOf(params, cloud.endpoint)
  const endpoint = entry.written ?? addressOf(other)
  const unread = cloud.unread.filter((name) => !params.take(name).empty)
  const why = cloud.refuses(upstreamModel)
  if (why !== null) return { why, fix: 'leave it out, or serve it by another provider' }
  if (!REGION.test(region))
    return { why: `${showText(region)} is no region`, fix: `write ${cloud.region.member}: ${cloud.region.usual}` }
  const isWritten = entry.key.keyWritten || written.source !== null
  if (unread.length > 0 && !isWritten)
    return { why: `credentials are not taken from ${unread.join(', ')}`, fix: fixOf(cloud) }
  const own = cloud.baseOf(region)
  const apiBase = endpoint === null ? own : `${endpoint}${new URL(own).search}`
  // What stands in the environment goes to the cloud's own address only.
  const mayUse = endpoint === null || isLoopback(endpoint)
  const key = keyOf({ ...entry, cloud }, written, mayUse)
  if ('why' in key) return key
  const isNamed = account !== null || key.apiKey === null || cloud.accountOf?.(key.apiKey) !== null
  if (!isNamed) return { why: 'nothing names the project that pays', fix: `write ${cloud.account?.member}` }
  return { upstreamModel, apiBase, organization: account ?? accountIn(cloud, key), isOwn: endpoint === null, ...key }
}

/** The operator's own: a caller's credential has another. */
function accountIn({ accountOf }: CloudFacts, { apiKey }: ProviderKey): string | null {
  return apiKey === null ? null : (accountOf?.(apiKey) ?? null)
}

/** A key that was written for the deployment, else parts that were, else what the environment has of either. */
function keyOf(
  { key, cloud, params }: CloudEntry,
  { parts, source }: Parts,
  mayUse: boolean,
): ProviderKey | { why: string; fix: string } {
  if (key.keyWritten) return key
  if (source === null && !mayUse) return NO_KEY
  if (source === null && key.apiKey !== null) return key
  const inEnvironment = source === null ? environmentParts(params, cloud) : null
  const found = inEnvironment ?? { parts, source }
  if (found.source === null) return NO_KEY
  try {
    const apiKey = cloud.credentialOf(found.parts)
    return { apiKey, apiKeySource: found.source, keyWritten: source !== null }
  } catch (error) {
    return { why: (error as Error).message, fix: fixOf(cloud) }
  }
}

interface Parts {
  parts: Record<string, string>
  /** Where the first of them came from; null where there are none. */
  source: string | null
}

/** What the entry says of its credential. */
function readParts(params: Section, { parts, file }: CloudFacts): Parts {
  const found: Parts = { parts: {}, source: null }
  for (const field of [...parts, ...(file === null ? [] : [file])].map(({ member }) => params.take(member))) {
    const text = textOf(field)
    if (text === null) continue
    found.parts[field.name] = file?.member === field.name ? fileText(field, text) : text
    found.source ??= field.variableName ?? field.source.file.split(/[/\\]/).at(-1) ?? field.source.file
  }
  return found
}

function textOf(field: Field): string | null {
  if (field.isMap) return JSON.stringify(field.json())
  const text = field.text('a text')?.trim() ?? ''
  return text === '' ? null : text
}

/** JSON as it is, else the text of the file that is named. */
function fileText(field: Field, text: string): string {
  return text.startsWith('{') ? text : (field.source.readFile(text) ?? '')
}

function environmentParts(params: Section, { parts, file }: CloudFacts): Parts {
  const found: Parts = { parts: {}, source: null }
  for (const setting of [...parts, ...(file === null ? [] : [file])]) {
    const named = variableOf(params, setting)
    if (named === null) continue
    const field = params.absent(setting.member)
    const text =
      setting === file
        ? fileText(field, named.value)
        : sendable(field, named.value, `the environment variable ${named.variable}`)
    if (text === null) continue
    found.parts[setting.member] = text
    found.source ??= named.variable
  }
  return found
}

function settingOf(params: Section, setting: CloudSetting): string | null {
  const written = params.take(setting.member).text('a text')?.trim() ?? ''
  return written !== '' ? written : (variableOf(params, setting)?.value ?? null)
}

function variableOf(params: Section, { variables }: CloudSetting): { variable: string; value: string } | null {
  const { source } = params.place
  for (const variable of variables) {
    const value = source.variable(variable)?.trim() ?? ''
    if (value !== '') return { variable, value }
  }
  return null
}

function addressOf(text: string | null): string | null {
  const url = text !== null && URL.canParse(text) ? new URL(text) : null
  return url === null || !/^https?:$/.test(url.protocol) ? null : `${url.origin}${url.pathname}`.replace(/\/+$/, '')
}

function isLoopback(address: string): boolean {
  return /^(?:localhost|\[::1\]|127(?:\.\d+){3})$/.test(new URL(address).hostname)
}

function fixOf({ parts, file }: CloudFacts): string {
  const members = [...parts, ...(file === null ? [] : [file])].map(({ member }) => member)
  return `write ${members.slice(0, 2).join(' and ')}`
}
