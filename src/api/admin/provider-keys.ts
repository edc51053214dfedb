/**
 * The platform's keys under the names of Ops-Center's "provider keys", for its screens. They are the keys of platform-keys.ts. A
 * provider's name is its id. Addresses of providers are set in config.yaml only: whoever sets an address receives the key.
 */
import { z } from '@hono/zod-openapi'
import { TollgateError } from '../../http/errors.ts'
import { findKeyFormat, type KeyFormat, PROVIDER_KEYS } from '../../vault/key-formats.ts'
import { providerKeySchema } from '../provider-key-schema.ts'
import { type Route, route } from '../route.ts'
import { keyInUse, listPlatformKeys, removePlatformKey, savePlatformKey } from './platform-key-changes.ts'
import { keySource, platformKeyView } from './platform-key-view.ts'
import type { PlatformKeyDependencies } from './platform-keys.ts'

const BASE = '/api/v1/llm/providers'
const MAY = 'platform_keys:manage'
const providerType = z.string('Send "provider_type", the name of a provider.').max(100)

const providerKey = z
  .object({
    id: z.string(),
    name: z.string(),
    provider_type: z.string(),
    has_key: z.boolean(),
    key_source: keySource,
    enabled: z.boolean(),
    health_status: z.literal('unknown').openapi({ description: 'Calls show the health of a provider; see /metrics.' }),
    last_tested: z.null(),
    test_status: z.null(),
    key_preview: z.string().nullable(),
    config: z.object({}),
  })
  .openapi('ProviderKey')

export function providerKeyRoutes(deps: PlatformKeyDependencies): readonly Route[] {
  return [listRoute(deps), saveRoute(deps), testRoute(deps), deleteRoute(deps), infoRoute()]
}

function listRoute(deps: PlatformKeyDependencies): Route {
  return route({
    method: 'get',
    path: `${BASE}/keys`,
    may: MAY,
    summary: "The platform's keys, masked, by provider",
    returns: z.object({ success: z.literal(true), providers: z.array(providerKey), total: z.int() }),
    async handle() {
      const stored = await listPlatformKeys(deps)
      const providers = PROVIDER_KEYS.map((format) => {
        const own = stored.find(({ provider }) => provider === format.provider)
        const { has_key, source, key_preview } = platformKeyView(format, own, deps.config.environmentKeys)
        return {
          id: format.name,
          name: format.label,
          provider_type: format.name,
          has_key,
          key_source: source,
          enabled: true,
          health_status: 'unknown' as const,
          last_tested: null,
          test_status: null,
          key_preview,
          config: {},
        }
      })
      return { success: true as const, providers, total: providers.length }
    },
  })
}

function saveRoute(deps: PlatformKeyDependencies): Route {
  return route({
    method: 'post',
    path: `${BASE}/keys`,
    may: MAY,
    summary: 'Store a key of the platform, by provider',
    description:
      'The key is stored without a test: use POST /api/v1/llm/providers/keys/test. An address in `config` is refused.',
    body: z.object({
      provider_type: providerType,
      api_key: providerKeySchema,
      name: z.string().max(200).nullish().openapi({ description: 'Not used: each provider has one key.' }),
      config: z.record(z.string(), z.unknown()).nullish(),
    }),
    returns: z.object({
      success: z.literal(true),
      provider_id: z.string(),
      name: z.string(),
      provider_type: z.string(),
      has_key: z.literal(true),
      enabled: z.literal(true),
      test_result: z.null(),
      message: z.string(),
    }),
    errors: { 400: 'The body is not a JSON object, the provider is unknown, or the key is not in its format.' },
    async handle({ body, change }) {
      const format = formatOf(body.provider_type)
      refuseAddress(body.config)
      await savePlatformKey(deps, format, body.api_key, change)
      return {
        success: true as const,
        provider_id: format.name,
        name: format.label,
        provider_type: format.name,
        has_key: true as const,
        enabled: true as const,
        test_result: null,
        message: 'API key saved successfully',
      }
    },
  })
}

function testRoute(deps: PlatformKeyDependencies): Route {
  return route({
    method: 'post',
    path: `${BASE}/keys/test`,
    may: MAY,
    summary: 'Ask a provider whether it accepts a key: the one in use, or `api_key`',
    body: z.object({
      provider_type: providerType,
      api_key: providerKeySchema.regex(/^[\x21-\x7e]+$/, 'The API key contains invalid characters.').nullish(),
    }),
    returns: z.object({
      success: z.boolean(),
      latency_ms: z.number(),
      models_found: z.null(),
      error: z.string().nullable(),
    }),
    errors: {
      400: 'The body is not a JSON object, the provider is unknown, or it has no key.',
      429: 'More than 10 tests in a minute.',
    },
    async handle({ body, change }) {
      const format = formatOf(body.provider_type)
      const apiKey = body.api_key ?? (await keyInUse(deps, format))?.apiKey
      if (apiKey === undefined) {
        const message = `No API key configured for provider: ${format.name}`
        throw new TollgateError(400, 'key_not_configured', message, { param: 'provider_type' })
      }
      await deps.testLimit(change.actor)
      const { ok, latency_ms, detail } = await deps.testKey(format, apiKey)
      return { success: ok, latency_ms, models_found: null, error: ok ? null : detail }
    },
  })
}

function deleteRoute(deps: PlatformKeyDependencies): Route {
  return route({
    method: 'delete',
    path: `${BASE}/keys/{provider_id}`,
    may: MAY,
    summary: 'Delete a stored key of the platform, by provider',
    params: z.object({ provider_id: z.string() }),
    returns: z.object({ success: z.literal(true), provider_id: z.string(), message: z.string() }),
    errors: { 404: 'Provider not found' },
    async handle({ params: { provider_id }, change }) {
      const format = findKeyFormat(provider_id)
      if (format === null) throw new TollgateError(404, 'provider_not_found', 'Provider not found')
      await removePlatformKey(deps, format, change)
      const message = 'API key deleted successfully (will fall back to environment variable if configured)'
      return { success: true as const, provider_id: format.name, message }
    },
  })
}

function infoRoute(): Route {
  const info = z.object({
    provider_type: z.string(),
    display_name: z.string(),
    description: z.string(),
    key_format: z.string(),
    supports_test: z.literal(true),
    auth_type: z.enum(['bearer', 'x-api-key']),
  })
  return route({
    method: 'get',
    path: `${BASE}/info`,
    may: MAY,
    summary: 'The providers a key of the platform can be stored for',
    returns: z.object({ success: z.literal(true), providers: z.array(info), total: z.int() }),
    handle: () => ({ success: true as const, providers: PROVIDER_KEYS.map(infoOf), total: PROVIDER_KEYS.length }),
  })
}

const OWN_HEADER = ['anthropic', 'google']

function infoOf({ name, label, description, example }: KeyFormat) {
  return {
    provider_type: name,
    display_name: label,
    description,
    key_format: example,
    supports_test: true as const,
    auth_type: OWN_HEADER.includes(name) ? ('x-api-key' as const) : ('bearer' as const),
  }
}

/** @throws {TollgateError} 400. */
function formatOf(name: string): KeyFormat {
  const format = findKeyFormat(name.toLowerCase())
  if (format !== null) return format
  const names = PROVIDER_KEYS.map((known) => known.name).join(', ')
  const message = `Invalid provider type. Supported: ${names}`
  throw new TollgateError(400, 'invalid_provider', message, { param: 'provider_type' })
}

/** @throws {TollgateError} 400. */
function refuseAddress(config: Readonly<Record<string, unknown>> | null | undefined): void {
  const named = Object.keys(config ?? {}).find((name) => /url|base|endpoint|host/i.test(name))
  if (named === undefined) return
  const message = `"config.${named.slice(0, 100)}" can't be set here. Addresses of providers are in config.yaml, as api_base.`
  throw new TollgateError(400, 'address_not_settable', message, { param: 'config' })
}
