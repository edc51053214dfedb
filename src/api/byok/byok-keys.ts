/**
 * Keys that callers bring: a user's own, and an organization's, which its admins manage. The plan decides when they pay
 * (src/call/choose-keys.ts). Callers see and change only their own. No response holds a key.
 */
import { z } from '@hono/zod-openapi'
import type { Database } from '../../db/connect.ts'
import { TollgateError } from '../../http/errors.ts'
import { findKeyFormat, hasFormat, type KeyFormat, PROVIDER_KEYS } from '../../vault/key-formats.ts'
import { noteKeyTest } from '../../vault/note-key-test.ts'
import type { KeyTest, TestKey } from '../../vault/test-provider-key.ts'
import type { Change, StoredKey, Vault } from '../../vault/vault.ts'
import type { CallerLimit } from '../caller-limit.ts'
import { providerKeySchema } from '../provider-key-schema.ts'
import { openRoute, type Route, route } from '../route.ts'
import { byokKey, byokKeyView, withoutNoted } from './byok-key-view.ts'
import { type ByokOwner, byokOwner, scopeSchema } from './byok-owner.ts'

export interface ByokDependencies {
  vault: Vault
  reports: Database
  testKey: TestKey
  testLimit: CallerLimit
  /** Changes are limited because each one is an entry of the audit log, which keeps them for months. */
  changeLimit: CallerLimit
  now: () => Date
}

const PATH = '/api/v1/llm/byok'
const MAY = 'byok:own'
const METADATA_MAX = 4_096
const METADATA = `"metadata" must be a JSON object of at most ${METADATA_MAX} characters.`
export const NOT_STORED = { 404: 'No such key is stored.' }
export const TOO_MANY_CHANGES = { 429: 'More than 20 changes in a minute.' }

export const byokProviderParams = z.object({
  provider: z.string().openapi({ description: `One of ${namesOfProviders()}.`, example: 'openai' }),
})
const scopeQuery = z.object({ scope: scopeSchema })

const metadataSchema = z
  .record(z.string(), z.unknown(), METADATA)
  .refine((value) => JSON.stringify(value).length <= METADATA_MAX, METADATA)
  .nullish()

export function byokKeyRoutes(deps: ByokDependencies): readonly Route[] {
  return [providersRoute(), listRoute(deps), saveRoute(deps), deleteRoute(deps), toggleRoute(deps), testRoute(deps)]
}

function providersRoute(): Route {
  const provider = z.object({
    id: z.string(),
    provider: z.string(),
    name: z.string(),
    description: z.string(),
    key_format: z.string(),
  })
  return openRoute({
    method: 'get',
    path: `${PATH}/providers`,
    summary: 'Providers you can bring a key for',
    returns: z.object({ providers: z.array(provider) }),
    handle: () => ({
      providers: PROVIDER_KEYS.map(({ name, label, description, example }) => ({
        id: name,
        provider: name,
        name: label,
        description,
        key_format: example,
      })),
    }),
  })
}

function listRoute({ vault }: ByokDependencies): Route {
  return route({
    method: 'get',
    path: `${PATH}/keys`,
    may: MAY,
    summary: 'Your own keys, masked',
    query: scopeQuery,
    returns: z.object({ providers: z.array(byokKey) }),
    async handle({ caller, query: { scope } }) {
      const keys = await vault.list(byokOwner(caller, scope))
      return { providers: keys.map(byokKeyView) }
    },
  })
}

function saveRoute(deps: ByokDependencies): Route {
  return route({
    method: 'post',
    path: `${PATH}/keys`,
    may: MAY,
    summary: 'Store a key of your own',
    description:
      "On the plan byok, calls are made with your own keys only. On hybrid they are made with yours first: the user's, then the organization's. Such a call is not charged and its response says X-BYOK: true.",
    body: z.object({
      provider: z.string('Send "provider", the name of a provider.'),
      api_key: providerKeySchema,
      metadata: metadataSchema,
      scope: scopeSchema,
    }),
    returns: z.object({
      success: z.literal(true),
      key_id: z.string(),
      provider: z.string(),
      message: z.string(),
      key_preview: z.string(),
      test_result: z.null(),
    }),
    errors: {
      400: 'The body is not a JSON object, the provider is unknown, or the key is not in its format.',
      ...TOO_MANY_CHANGES,
    },
    async handle({ caller, body, change }) {
      const owner = byokOwner(caller, body.scope)
      const format = byokProvider(body.provider)
      const key = { format, owner, apiKey: body.api_key, param: 'api_key' }
      const saved = await saveByokKey(deps, key, change, withoutNoted(body.metadata ?? {}))
      return {
        success: true as const,
        key_id: saved.id,
        provider: format.name,
        message: 'API key stored successfully',
        key_preview: saved.mask,
        // The key is stored even if the provider can't be reached now: the test is a step of its own.
        test_result: null,
      }
    },
  })
}

function deleteRoute(deps: ByokDependencies): Route {
  return route({
    method: 'delete',
    path: `${PATH}/keys/{provider}`,
    may: MAY,
    summary: 'Delete a key of your own',
    params: byokProviderParams,
    query: scopeQuery,
    returns: z.object({ success: z.literal(true), provider: z.string() }),
    errors: { ...NOT_STORED, ...TOO_MANY_CHANGES },
    async handle({ caller, params: { provider }, query: { scope }, change }) {
      const owner = byokOwner(caller, scope)
      const format = await removeByokKey(deps, provider, owner, change)
      if (format === null) throw notFound()
      return { success: true as const, provider: format.name }
    },
  })
}

function toggleRoute({ vault, changeLimit }: ByokDependencies): Route {
  return route({
    method: 'post',
    path: `${PATH}/keys/{provider}/toggle`,
    may: MAY,
    summary: 'Switch a key of your own on or off',
    params: byokProviderParams,
    query: scopeQuery,
    body: z.object({ enabled: z.boolean('Send "enabled", true or false.'), scope: scopeSchema }),
    returns: z.object({
      success: z.literal(true),
      provider: z.string(),
      enabled: z.boolean(),
      message: z.string(),
    }),
    errors: { ...NOT_STORED, ...TOO_MANY_CHANGES },
    async handle({ caller, params: { provider }, query, body: { enabled, scope }, change }) {
      const owner = byokOwner(caller, scope ?? query.scope)
      const format = findKeyFormat(provider)
      await changeLimit(change.actor)
      if (format === null || !(await vault.setEnabled(format.provider, owner, enabled, change))) throw notFound()
      const message = `API key ${enabled ? 'enabled' : 'disabled'} successfully`
      return { success: true as const, provider: format.name, enabled, message }
    },
  })
}

/** A key that is switched off is not tested: it is not used either. */
function testRoute(deps: ByokDependencies): Route {
  const details = z.object({ status_code: z.int().nullable(), latency_ms: z.number(), last_tested: z.iso.datetime() })
  return route({
    method: 'post',
    path: `${PATH}/keys/{provider}/test`,
    may: MAY,
    summary: 'Ask the provider whether it accepts your key',
    params: byokProviderParams,
    query: scopeQuery,
    body: z.object({ scope: scopeSchema }),
    returns: z.object({ success: z.boolean(), provider: z.string(), message: z.string(), details }),
    errors: { 404: 'No such key is stored, or it is switched off.', 429: 'More than 5 tests in a minute.' },
    async handle({ caller, params: { provider }, query, body, change }) {
      const owner = byokOwner(caller, body.scope ?? query.scope)
      const { format, ok, detail, ...measured } = await testByokKey(deps, provider, owner, change)
      return { success: ok, provider: format.name, message: detail, details: measured }
    },
  })
}

/** @throws {TollgateError} 400 for a key that is not in the format of its provider, 429. */
export async function saveByokKey(
  { vault, changeLimit }: ByokDependencies,
  { format, owner, apiKey, param }: { format: KeyFormat; owner: ByokOwner; apiKey: string; param: string },
  change: Change,
  metadata: Record<string, unknown>,
): Promise<StoredKey> {
  if (!hasFormat(format, apiKey) || apiKey.length <= format.longerThan) {
    const message = `Invalid API key format for ${format.name}`
    const hint = { expected: format.example, longer_than: format.longerThan }
    throw new TollgateError(400, 'invalid_key_format', message, { param, fields: hint })
  }
  await changeLimit(change.actor)
  return vault.save(format.provider, owner, apiKey, change, metadata)
}

/** Null where no such key is stored. @throws {TollgateError} 429. */
export async function removeByokKey(
  { vault, changeLimit }: ByokDependencies,
  provider: string,
  owner: ByokOwner,
  change: Change,
): Promise<KeyFormat | null> {
  const format = findKeyFormat(provider)
  await changeLimit(change.actor)
  return format !== null && (await vault.remove(format.provider, owner, change)) ? format : null
}

/** The result is kept with the key. @throws {TollgateError} 404 where none is stored and switched on, 429. */
export async function testByokKey(
  deps: ByokDependencies,
  provider: string,
  owner: ByokOwner,
  change: Change,
): Promise<KeyTest & { format: KeyFormat; last_tested: string }> {
  const format = findKeyFormat(provider)
  const apiKey = format === null ? null : await deps.vault.find(format.provider, owner)
  if (format === null || apiKey === null) {
    throw new TollgateError(404, 'key_not_found', `No API key found for provider '${provider.slice(0, 64)}'`)
  }
  await deps.testLimit(change.actor)
  const result = await deps.testKey(format, apiKey)
  const test = { at: deps.now().toISOString(), ok: result.ok }
  await noteKeyTest(deps.reports, format.provider, owner, test)
  return { ...result, format, last_tested: test.at }
}

/** @throws {TollgateError} 400. */
export function byokProvider(name: string): KeyFormat {
  const format = findKeyFormat(name)
  if (format !== null) return format
  const message = `Invalid provider. Supported: ${namesOfProviders()}`
  throw new TollgateError(400, 'invalid_provider', message, { param: 'provider' })
}

function namesOfProviders(): string {
  return PROVIDER_KEYS.map(({ name }) => name).join(', ')
}

function notFound(): TollgateError {
  return new TollgateError(404, 'key_not_found', 'Provider key not found')
}
