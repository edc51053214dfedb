/** How a deployment reaches its provider: key, base URL, headers. Nothing read here is ever repeated in a message. */

import type { KnownProviders, ProviderFacts } from '../../providers/provider-name.ts'
import type { Deployment, EnvironmentKey, ProviderName } from './config.ts'
import type { Field } from './field.ts'
import type { Source } from './source.ts'

export type ProviderKey = Pick<Deployment, 'apiKey' | 'apiKeySource' | 'keyWritten'>

export const NO_KEY: ProviderKey = { apiKey: null, apiKeySource: null, keyWritten: false }
const SENDABLE = /^[\x21-\x7e]+$/
const HEADER_NAME = /^[A-Za-z0-9!#$%&'*+.^_`|~-]+$/
const OWN_HEADERS = new Set([
  'host',
  'content-length',
  'transfer-encoding',
  'connection',
  'te',
  'trailer',
  'upgrade',
  'expect',
])

export interface KeyContext {
  /** Null where the model names no provider: that was reported, so a missing key is not. */
  provider: ProviderName | null
  apiBase: string | null
  /** A missing key is not reported at start: the deployment is a wildcard that nobody has to use, or a canned response. */
  quiet: boolean
  /** No provider is called, so no key is missing. */
  mock: boolean
}

/** The key as written, else from the provider's standard variables. */
export function readApiKey(field: Field, context: KeyContext): ProviderKey {
  const { provider } = context
  if (provider === null) {
    field.text('a key', true)
    return NO_KEY
  }
  const facts = factsOf(field, provider)
  const quiet = context.quiet || context.mock || facts.isOwnServer === true
  const variables = facts.keyVariables
  const variable = field.variableName
  if (!field.empty && variable === null) {
    const literal = sendable(field, field.text('a key'), 'the key')
    if (literal === null) return NO_KEY
    const [standard = 'PROVIDER_API_KEY'] = variables
    field.warn('a key is written into the file', `put it in the environment and write api_key: os.environ/${standard}`)
    const apiKeySource = field.source.file.split(/[/\\]/).at(-1) ?? field.source.file
    return { apiKey: literal, apiKeySource, keyWritten: true }
  }
  const named = sendable(field, field.text('a key', quiet), 'the key')
  if (named !== null) return { apiKey: named, apiKeySource: variable, keyWritten: true }
  if (!mayUseStandardKey(facts, context.apiBase)) {
    if (field.empty)
      field.warn(
        `no key: ${variables[0]} goes to ${provider}'s own hosts over https, and to this machine, only`,
        `write api_key: os.environ/${variables[0]} if that host may have it`,
        quiet,
      )
    return NO_KEY
  }
  return standardKey(field, provider, context)
}

function factsOf(field: Field, provider: ProviderName): ProviderFacts {
  return field.source.providers[provider] ?? { keyVariables: [], bareName: null, domain: 'localhost' }
}

function standardKey(field: Field, provider: ProviderName, context: KeyContext): ProviderKey {
  const { keyVariables } = factsOf(field, provider)
  for (const name of keyVariables) {
    const value = field.source.variable(name)
    if (value === null) continue
    const apiKey = sendable(field, value, `the environment variable ${name}`)
    return apiKey === null ? NO_KEY : { apiKey, apiKeySource: name, keyWritten: false }
  }
  if (field.empty && !context.mock) field.keyless(provider, keyVariables, context.quiet)
  return NO_KEY
}

/** The keys in the providers' own variables. One that can't be sent in a header is ignored, and reported where a deployment would use it. */
export function readEnvironmentKeys(source: Source): Record<ProviderName, EnvironmentKey> {
  const variables = Object.entries(source.providers).map(([name, facts]) => [name, facts.keyVariables] as const)
  const found = [...variables, ['provisioning', ['PROVISIONING_KEY']] as const].flatMap(([name, candidates]) => {
    const variable = candidates.find((candidate) => source.variable(candidate) !== null)
    const apiKey = variable === undefined ? '' : (source.variable(variable) ?? '').trim()
    return variable !== undefined && SENDABLE.test(apiKey) ? [[name, { variable, apiKey }] as const] : []
  })
  return Object.fromEntries(found)
}

/**
 * The standard variable, and what is stored of the provider's keys, goes to the provider's own hosts and to this machine
 * only. Sending OPENAI_API_KEY to whatever host api_base names would hand the key to that host; LiteLLM does so.
 */
export function mayUseStandardKey({ domain }: Pick<ProviderFacts, 'domain'>, apiBase: string | null): boolean {
  if (apiBase === null) return true
  const { hostname, protocol } = new URL(apiBase)
  if (isLoopback(hostname)) return true
  // Over http everybody on the way can read the key.
  return protocol === 'https:' && isWithin(hostname, domain)
}

/** Scheme and host, without the path, which may name an account; null for a host that is not known to be a provider's own. */
export function publicHostOf(known: KnownProviders, apiBase: string | null): string | null {
  if (apiBase === null) return null
  const { hostname, origin, protocol } = new URL(apiBase)
  const isKnown = Object.values(known).some(({ domain }) => isWithin(hostname, domain))
  return protocol === 'https:' && isKnown ? origin : null
}

function isWithin(hostname: string, domain: string): boolean {
  return hostname === domain || hostname.endsWith(`.${domain}`)
}

function isLoopback(hostname: string): boolean {
  return hostname === 'localhost' || hostname === '[::1]' || /^127\.\d+\.\d+\.\d+$/.test(hostname)
}

/** A text that fits into a header, less the white space around it. */
export function sendable(field: Field, value: string | null, what: string): string | null {
  const trimmed = value?.trim() ?? ''
  if (trimmed === '') return null
  if (SENDABLE.test(trimmed)) return trimmed
  return field.error(
    `${what} holds characters that can't be sent in a header`,
    'copy it again, without spaces, quotes or line breaks',
  )
}

/** @param complain about a text that is no such URL. */
export function readApiBase(
  field: Field,
  complain = (message: string, fix: string): null => field.error(message, fix),
): string | null {
  const text = field.text('a URL')?.trim()
  if (text === undefined || text === '') return null
  const example = `write ${field.name}: https://api.example.com/v1`
  const url = URL.canParse(text) ? new URL(text) : null
  if (url === null || (url.protocol !== 'https:' && url.protocol !== 'http:'))
    return complain(`expected an http(s) URL, found ${field.found}`, example)
  if (url.username !== '' || url.password !== '')
    return complain('the URL holds credentials', `put them in api_key; ${example}`)
  if (url.search !== '' || url.hash !== '') return complain('the URL has a query or a fragment', example)
  return `${url.origin}${url.pathname}`.replace(/\/+$/, '')
}

export function readHeaders(field: Field): Record<string, string> {
  const headers: Record<string, string> = {}
  for (const header of field.section()?.fields ?? []) {
    if (!HEADER_NAME.test(header.name)) header.error('not a header name', 'use letters, digits and dashes')
    else if (OWN_HEADERS.has(header.name.toLowerCase()))
      header.error('this header is set by Tollgate itself', 'leave it out')
    else {
      const value = header.json()
      if (value === null) continue
      if (typeof value === 'object') header.mismatch('a text', `write ${header.label}: "…"`)
      else if (!/^[\t\x20-\x7e\x80-\xff]*$/.test(String(value)))
        header.error("the value can't be sent in a header", 'write plain characters on one line')
      else headers[header.name] = String(value)
    }
  }
  return headers
}
