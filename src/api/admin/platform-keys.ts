/**
 * The platform's own keys: which there are, and changing them while calls run. What is stored here is what the next call uses,
 * before any key of the environment; only `api_key` written for a deployment in config.yaml comes first. No answer holds a key.
 */
import type { Config } from '../../config/config.ts'
import { TollgateError } from '../../http/errors.ts'
import type { KeyOwner, StoredKey, Vault } from '../../vault/vault.ts'
import type { ApiRequest } from './api-request.ts'
import {
  findKeyFormat,
  hasFormat,
  type KeyFormat,
  PROVIDER_KEYS,
  PROVISIONING,
  readApiKey,
  variableOf,
} from './key-formats.ts'
import type { MinuteLimit } from './minute-limit.ts'
import type { TestKey } from './test-provider-key.ts'

export interface PlatformKeyDependencies {
  vault: Vault
  config: Pick<Config, 'environmentKeys' | 'masterKey'>
  testKey: TestKey
  testLimit: MinuteLimit
}

type Source = 'database' | 'environment' | 'not_set'

const PLATFORM: KeyOwner = { kind: 'platform' }
const FORMATS = [...PROVIDER_KEYS, PROVISIONING]

export async function listPlatformKeys({ vault, config }: PlatformKeyDependencies): Promise<Record<string, unknown>> {
  const stored = await vault.list(PLATFORM).catch((cause: unknown) => {
    if (cause instanceof TollgateError) throw cause
    const headers = { 'Retry-After': '2' }
    throw new TollgateError(503, 'database_unavailable', 'Database connection not available', { headers, cause })
  })
  const keys = [
    ...FORMATS.map((format) =>
      keyView(
        format,
        stored.find(({ provider }) => provider === format.provider),
        config,
      ),
    ),
    masterKeyView(config.masterKey !== null),
  ]
  return { keys, total: keys.length }
}

/** A key that is stored and switched off is not used, so the environment's stands for it. */
function keyView(
  format: KeyFormat,
  stored: StoredKey | undefined,
  { environmentKeys }: Pick<Config, 'environmentKeys'>,
): Record<string, unknown> {
  const found = environmentKeys[format.provider]
  const active = stored?.enabled === true
  const source: Source = active ? 'database' : found === undefined ? 'not_set' : 'environment'
  return {
    key_name: format.title,
    provider: format.name,
    description: format.description,
    has_key: source !== 'not_set',
    key_preview: active ? stored.mask : found === undefined ? null : maskOf(found.apiKey),
    last_updated: active ? stored.updatedAt.toISOString() : null,
    source,
    updated_by: active ? stored.updatedBy : null,
    /** Why a stored key can't be used. */
    problem: active ? stored.problem : null,
  }
}

/** Listed because Ops-Center's screen has it; it is this product's own key, and changed where it is configured. */
function masterKeyView(isSet: boolean): Record<string, unknown> {
  return {
    key_name: 'LiteLLM Master Key',
    provider: 'litellm',
    description: "The operator's key of this proxy, from config.yaml or TOLLGATE_MASTER_KEY",
    has_key: isSet,
    key_preview: isSet ? '***' : null,
    last_updated: null,
    source: isSet ? 'environment' : 'not_set',
    updated_by: null,
    problem: null,
  }
}

/** As the vault masks. */
function maskOf(apiKey: string): string {
  return apiKey.length < 12 ? '***' : `${apiKey.slice(0, 7)}...${apiKey.slice(-4)}`
}

/** @throws {TollgateError} 400, 404, 422, 500. */
export async function savePlatformKey(
  { vault }: PlatformKeyDependencies,
  request: ApiRequest,
): Promise<Record<string, unknown>> {
  const format = formatOf(request)
  const apiKey = readApiKey((await request.body()).api_key)
  if (!hasFormat(format, apiKey)) {
    const message = `Invalid ${format.label} API key format. Expected format: ${format.example}`
    throw new TollgateError(400, 'invalid_key_format', message, { param: 'api_key' })
  }
  const { mask } = await stored(format, 'update', () => vault.save(format.provider, PLATFORM, apiKey, request.change))
  return {
    success: true,
    message: `${format.label} API key updated successfully`,
    key_preview: mask,
    ...(format.name === 'openrouter' ? { next_steps: NEXT_STEPS } : {}),
  }
}

const NEXT_STEPS = [
  'Test the key: POST /api/v1/admin/platform-keys/openrouter/test',
  'Call a model as openrouter/<vendor>/<model>; GET /v1/models lists what there is',
]

/** What the environment has stands in from the next call on. @throws {TollgateError} 404, 500. */
export async function deletePlatformKey(
  { vault, config }: PlatformKeyDependencies,
  request: ApiRequest,
): Promise<Record<string, unknown>> {
  const format = formatOf(request)
  const removed = await stored(format, 'delete', () => vault.remove(format.provider, PLATFORM, request.change))
  if (!removed) throw notConfigured(format)
  const source: Source = config.environmentKeys[format.provider] === undefined ? 'not_set' : 'environment'
  return { success: true, message: `${format.label} API key deleted successfully`, source }
}

/**
 * The key in use, or one that is sent along. Only such a one goes to an address that is sent along: a stored key could be read
 * there. @throws {TollgateError} 400, 404, 422, 429.
 */
export async function testPlatformKey(
  deps: PlatformKeyDependencies,
  request: ApiRequest,
): Promise<Record<string, unknown>> {
  const format = formatOf(request)
  if (format === PROVISIONING)
    throw new TollgateError(
      400,
      'not_testable',
      'No provider is called with the provisioning key, so none can test it.',
    )
  const { api_key: given, api_base: apiBase } = await request.body()
  if (apiBase !== undefined && (typeof apiBase !== 'string' || given === undefined)) {
    const message = 'Send "api_base", a URL, together with the "api_key" to test there: a stored key is not sent to it.'
    throw new TollgateError(422, 'invalid_request', message, { param: 'api_base' })
  }
  const { apiKey, source } =
    given === undefined ? await keyInUse(deps, format) : { apiKey: readApiKey(given), source: 'request' }
  if (!/^[\x21-\x7e]+$/.test(apiKey))
    throw new TollgateError(422, 'invalid_request', 'The key holds characters that no key has.', { param: 'api_key' })
  deps.testLimit(request.change.actor)
  return { ...(await deps.testKey(format, apiKey, apiBase)), key_type: format.name, source }
}

async function keyInUse(
  { vault, config }: PlatformKeyDependencies,
  format: KeyFormat,
): Promise<{ apiKey: string; source: Source }> {
  const saved = await vault.find(format.provider, PLATFORM)
  if (saved !== null) return { apiKey: saved, source: 'database' }
  const found = config.environmentKeys[format.provider]
  if (found === undefined) throw notConfigured(format)
  return { apiKey: found.apiKey, source: 'environment' }
}

/** Ops-Center answered with the key itself here. */
export function refuseDecrypted(request: ApiRequest): never {
  const { label } = formatOf(request)
  throw new TollgateError(
    410,
    'keys_are_not_shown',
    `Stored keys are never shown. The ${label} key can be tested (POST .../test); one that is lost is made anew at the provider.`,
  )
}

function formatOf(request: ApiRequest): KeyFormat {
  const format = findKeyFormat(request.param('key'), FORMATS)
  if (format !== null) return format
  const names = FORMATS.map(({ name }) => name).join(', ')
  throw new TollgateError(404, 'key_type_not_found', `There is no such key. There are: ${names}.`)
}

function notConfigured(format: KeyFormat): TollgateError {
  return new TollgateError(404, 'key_not_configured', `${format.label} API key not configured`, {
    fields: { variable: variableOf(format) },
  })
}

async function stored<T>({ label }: KeyFormat, what: 'update' | 'delete', work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (cause) {
    if (cause instanceof TollgateError) throw cause
    throw new TollgateError(500, 'key_not_changed', `Failed to ${what} ${label} key`, { cause })
  }
}
