/**
 * Keys that callers bring: a user's own, and an organization's, which its admins keep. Plans decide when they pay
 * (src/call/choose-key.ts). Everybody sees and changes what is theirs only; no answer holds a key.
 */
import type { Database } from '../../db/connect.ts'
import { TollgateError } from '../../http/errors.ts'
import { requirePermission } from '../../identity/permissions.ts'
import { storedName, userKeyOwner } from '../../vault/key-owner.ts'
import type { KeyOwner, StoredKey, Vault } from '../../vault/vault.ts'
import type { ApiRequest } from './api-request.ts'
import { findByokUsage, noteTest } from './byok-usage.ts'
import { findKeyFormat, hasFormat, type KeyFormat, nameOf, PROVIDER_KEYS, readApiKey } from './key-formats.ts'
import type { MinuteLimit } from './minute-limit.ts'
import type { TestKey } from './test-provider-key.ts'

export interface ByokDependencies {
  vault: Vault
  database: Database
  testKey: TestKey
  testLimit: MinuteLimit
  /** Each change is an entry of the audit log, which keeps them all for months. */
  changeLimit: MinuteLimit
  now: () => Date
}

type Owner = Exclude<KeyOwner, { kind: 'platform' }>
type View = Record<string, unknown>

const USAGE_DAYS = 30
const METADATA_MAX = 4_096

/** For everybody: nothing here is anybody's. */
export function listByokProviders(): View {
  const providers = PROVIDER_KEYS.map(({ name, label, description, example }) => ({
    id: name,
    provider: name,
    name: label,
    description,
    key_format: example,
  }))
  return { providers }
}

export async function listByokKeys({ vault }: ByokDependencies, request: ApiRequest): Promise<View> {
  const keys = await vault.list(ownerOf(request, request.query('scope')))
  return { providers: keys.map(keyView) }
}

function keyView({ id, provider, enabled, metadata, createdAt, updatedAt, mask, problem }: StoredKey): View {
  const { last_tested = null, test_status = null, ...rest } = (metadata ?? {}) as View
  return {
    id,
    provider: nameOf(provider),
    enabled,
    metadata: rest,
    created_at: createdAt.toISOString(),
    updated_at: updatedAt.toISOString(),
    key_preview: mask,
    masked_key: mask,
    last_tested,
    test_status,
    // The reason names root keys and other owners, which is for the operator: it is in the log.
    problem: problem === null ? null : "This key can't be used. Store it again, or tell the operator.",
  }
}

/** @throws {TollgateError} 400, 403, 422, 429. */
export async function saveByokKey({ vault, changeLimit }: ByokDependencies, request: ApiRequest): Promise<View> {
  const body = await request.body()
  const owner = ownerOf(request, body.scope)
  const format = providerNamed(body.provider)
  const apiKey = readApiKey(body.api_key)
  if (!hasFormat(format, apiKey) || apiKey.length <= format.longerThan) {
    const message = `Invalid API key format for ${format.name}`
    const hint = { expected: format.example, longer_than: format.longerThan }
    throw new TollgateError(400, 'invalid_key_format', message, { param: 'api_key', fields: hint })
  }
  changeLimit(request.change.actor)
  const saved = await vault.save(format.provider, owner, apiKey, request.change, metadataOf(body.metadata))
  return {
    success: true,
    key_id: saved.id,
    provider: format.name,
    message: 'API key stored successfully',
    key_preview: saved.mask,
    // Stored whether or not the provider can be asked just now: testing is a step of its own.
    test_result: null,
  }
}

/** @throws {TollgateError} 403, 404, 429. */
export async function deleteByokKey({ vault, changeLimit }: ByokDependencies, request: ApiRequest): Promise<View> {
  const owner = ownerOf(request, request.query('scope'))
  const format = findKeyFormat(request.param('provider'))
  changeLimit(request.change.actor)
  if (format === null || !(await vault.remove(format.provider, owner, request.change))) throw notFound()
  return { success: true, provider: format.name }
}

/** @throws {TollgateError} 403, 404, 422, 429. */
export async function toggleByokKey({ vault, changeLimit }: ByokDependencies, request: ApiRequest): Promise<View> {
  const { enabled, scope } = await request.body()
  const owner = ownerOf(request, scope ?? request.query('scope'))
  const format = findKeyFormat(request.param('provider'))
  if (typeof enabled !== 'boolean') throw invalid('enabled', 'Send "enabled", true or false.')
  changeLimit(request.change.actor)
  if (format === null || !(await vault.setEnabled(format.provider, owner, enabled, request.change))) throw notFound()
  const message = `API key ${enabled ? 'enabled' : 'disabled'} successfully`
  return { success: true, provider: format.name, enabled, message }
}

/** A key that is switched off is not tested: it is not used either. @throws {TollgateError} 403, 404, 429. */
export async function testByokKey(deps: ByokDependencies, request: ApiRequest): Promise<View> {
  const { scope } = await request.body()
  const owner = ownerOf(request, scope ?? request.query('scope'))
  const format = findKeyFormat(request.param('provider'))
  const apiKey = format === null ? null : await deps.vault.find(format.provider, owner)
  if (format === null || apiKey === null) {
    const name = request.param('provider').slice(0, 64)
    throw new TollgateError(404, 'key_not_found', `No API key found for provider '${name}'`)
  }
  deps.testLimit(request.change.actor)
  const { ok, detail, ...details } = await deps.testKey(format, apiKey)
  const test = { at: deps.now().toISOString(), ok }
  await noteTest(deps.database, owner, storedName(format.provider, owner.kind), test)
  return { success: ok, provider: format.name, message: detail, details: { ...details, last_tested: test.at } }
}

/** @throws {TollgateError} 400, 403, 422. */
export async function byokUsage({ database }: ByokDependencies, request: ApiRequest): Promise<View> {
  const owner = ownerOf(request, request.query('scope'))
  const format = providerNamed(request.param('provider'))
  const days = Number(request.query('days') ?? USAGE_DAYS)
  if (!Number.isInteger(days) || days < 1 || days > 366)
    throw invalid('days', '"days" must be a whole number from 1 to 366.')
  const usage = await findByokUsage(database, owner.kind, request.caller, format.provider, days)
  return { provider: format.name, period_days: days, ...usage }
}

/** @throws {TollgateError} 403, 422. */
function ownerOf({ caller }: ApiRequest, scope: unknown): Owner {
  if (scope === undefined || scope === null || scope === 'user') return userKeyOwner(caller)
  if (scope !== 'organization') throw invalid('scope', '"scope" must be "user" or "organization".')
  requirePermission(caller, 'byok:organization')
  return { kind: 'organization', id: caller.organizationId }
}

/** @throws {TollgateError} 400. */
function providerNamed(name: unknown): KeyFormat {
  const format = typeof name === 'string' ? findKeyFormat(name) : null
  if (format !== null) return format
  const names = PROVIDER_KEYS.map((known) => known.name).join(', ')
  throw new TollgateError(400, 'invalid_provider', `Invalid provider. Supported: ${names}`, { param: 'provider' })
}

/** @throws {TollgateError} 422. */
function metadataOf(value: unknown): View {
  if (value === undefined || value === null) return {}
  const text = JSON.stringify(value)
  // What PostgreSQL can't store would be a failure of ours.
  if (
    typeof value !== 'object' ||
    Array.isArray(value) ||
    text.length > METADATA_MAX ||
    /\\u(?:0000|d[89a-f])/i.test(text)
  )
    throw invalid('metadata', `"metadata" must be a JSON object of at most ${METADATA_MAX} characters.`)
  const { last_tested: _, test_status: __, ...own } = value as View
  return own
}

function invalid(param: string, message: string): TollgateError {
  return new TollgateError(422, 'invalid_request', message, { param })
}

function notFound(): TollgateError {
  return new TollgateError(404, 'key_not_found', 'Provider key not found')
}
