/**
 * Asks a provider whether it accepts a key, by the cheapest request that only holders of a key may make. The key goes in a header, to
 * an address that was judged and pinned; redirects are not followed. It costs nothing and moves no credits. Whatever goes wrong on the
 * way is a result, not an error.
 */
import { performance } from 'node:perf_hooks'
import { findProvider } from '../../providers/registry.ts'
import type { Config } from '../config/config.ts'
import { type AddressGuard, createAddressGuard, guardedRequest } from '../http/address-guard.ts'
import { TollgateError } from '../http/errors.ts'
import type { KeyFormat } from './key-formats.ts'

export interface KeyTest {
  ok: boolean
  /** Null where the provider gave no response. */
  status_code: number | null
  latency_ms: number
  detail: string
}

/** @param apiBase where the operator wants it asked instead. @throws {TollgateError} 400 for an address that may not be called. */
export type TestKey = (format: KeyFormat, apiKey: string, apiBase?: string) => Promise<KeyTest>

interface Question {
  url: string
  headers: Record<string, string>
}

const TIMEOUT_MS = 10_000
/** Only the status of the response is needed. */
const ANSWER_BYTES_MAX = 1_024
/** Where the list of models is for everybody, it proves nothing about a key. */
const OPENROUTER_QUESTION = '/key'
const HUGGINGFACE_QUESTION = 'https://huggingface.co/api/whoami-v2'
const HUGGINGFACE_HOST = /^https:\/\/([\w-]+\.)?huggingface\.co(?:\/|$)/
/** These say 400 where others say 401. */
const REJECTS_BY_400 = ['xai', 'gemini']

export function createTestKey(config: Pick<Config, 'deployments' | 'allowedAddresses'>): TestKey {
  const custom = createAddressGuard(config.allowedAddresses)

  return async (format, apiKey, apiBase) => {
    if (apiBase !== undefined) return ask(custom, format, questionAt(format, apiBase, apiKey))
    const base = baseOf(config, format)
    // What the operator wrote for calls is where tests may go.
    const own = createAddressGuard([...config.allowedAddresses, ...(base === null ? [] : [new URL(base).host])])
    const question = questionAt(format, base ?? findProvider(format.provider)?.baseUrl ?? '', apiKey)
    return ask(own, format, question).catch((error: unknown) => {
      if (!(error instanceof TollgateError)) throw error
      return { ok: false, status_code: null, latency_ms: 0, detail: error.message }
    })
  }
}

/** Where calls go, if they all go elsewhere than to the public address; a key is not sent to hosts of others. */
function baseOf({ deployments }: Pick<Config, 'deployments'>, { provider }: KeyFormat): string | null {
  const bases = deployments
    .filter((one) => one.provider === provider && one.trustedHost && one.mockResponse === null)
    .map(({ apiBase }) => apiBase)
  return bases.includes(null) ? null : (bases[0] ?? null)
}

function questionAt({ provider }: KeyFormat, apiBase: string, apiKey: string): Question {
  const base = apiBase.replace(/\/+$/, '')
  const path = URL.canParse(base) ? new URL(base).pathname.replace(/\/$/, '') : ''
  switch (provider) {
    case 'anthropic':
      return {
        url: `${base}${path === '' ? '/v1' : ''}/models`,
        headers: { 'x-api-key': apiKey, 'anthropic-version': '2023-06-01' },
      }
    case 'gemini':
      return {
        url: `${base.replace(/\/openai$/, '')}${path === '' ? '/v1beta' : ''}/models`,
        headers: { 'x-goog-api-key': apiKey },
      }
    case 'openrouter':
      return { url: `${base}${OPENROUTER_QUESTION}`, headers: bearer(apiKey) }
    case 'huggingface':
      return {
        url: HUGGINGFACE_HOST.test(base) ? HUGGINGFACE_QUESTION : `${base}/whoami-v2`,
        headers: bearer(apiKey),
      }
    default:
      return { url: `${base}/models`, headers: bearer(apiKey) }
  }
}

function bearer(apiKey: string): Record<string, string> {
  return { authorization: `Bearer ${apiKey}` }
}

/** @throws {TollgateError} 400 where the address may not be called. */
async function ask(guard: AddressGuard, format: KeyFormat, { url, headers }: Question): Promise<KeyTest> {
  const startedAt = performance.now()
  const taken = () => Math.round(performance.now() - startedAt)
  try {
    const { status } = await guardedRequest(guard, url, {
      method: 'GET',
      headers: { ...headers, accept: 'application/json', 'user-agent': 'tollgate' },
      timeoutMs: TIMEOUT_MS,
      maxBytes: ANSWER_BYTES_MAX,
    })
    return { ok: status >= 200 && status < 300, status_code: status, latency_ms: taken(), detail: said(format, status) }
  } catch (error) {
    if (error instanceof TollgateError) throw error
    const detail = `${format.label} did not respond. Try again, and check that it can be reached from here.`
    return { ok: false, status_code: null, latency_ms: taken(), detail }
  }
}

function said({ label, provider }: KeyFormat, status: number): string {
  if (status >= 200 && status < 300) return `${label} accepts the key.`
  if (status === 401 || status === 403 || (status === 400 && REJECTS_BY_400.includes(provider)))
    return `${label} rejects the key. Check that it was copied in whole and is still active.`
  if (status === 402) return `${label} knows the key, but its account has no credit left.`
  if (status === 429) return `${label} limits how often it may be asked. Try again in a minute.`
  if (status >= 500) return `${label} failed with status ${status}, so the key could not be tested. Try again later.`
  return `${label} returned status ${status}, which does not tell whether the key is valid. Check the address.`
}
