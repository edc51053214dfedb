/** The platform's keys under the names of Ops-Center's "system keys". They are the keys of platform-keys.ts; a provider's name is its id. */
import { z } from '@hono/zod-openapi'
import { TollgateError } from '../../http/errors.ts'
import { findKeyFormat, type KeyFormat, PROVIDER_KEYS } from '../../vault/key-formats.ts'
import { type Route, route } from '../route.ts'
import { keyInUse, listPlatformKeys, removePlatformKey, savePlatformKey } from './platform-key-changes.ts'
import { keySource, platformKeyView } from './platform-key-view.ts'
import type { PlatformKeyDependencies } from './platform-keys.ts'

const PATH = '/api/v1/llm/admin/system-keys'
const MAY = 'platform_keys:manage'
const LEAST = 10

const params = z.object({ provider_id: z.string().openapi({ example: 'openai' }) })
const NO_SUCH_PROVIDER = { 404: 'Provider not found' }

const systemKey = z
  .object({
    id: z.string(),
    name: z.string(),
    type: z.string(),
    provider_type: z.string(),
    has_db_key: z.boolean(),
    has_env_key: z.boolean(),
    key_source: keySource,
    last_tested: z.null(),
    test_status: z.null(),
    key_preview: z.string().nullable(),
  })
  .openapi('SystemKey')

const changed = z.object({ success: z.literal(true), message: z.string(), provider_id: z.string() })

export function systemKeyRoutes(deps: PlatformKeyDependencies): readonly Route[] {
  return [listRoute(deps), saveRoute(deps), deleteRoute(deps), testRoute(deps)]
}

function listRoute(deps: PlatformKeyDependencies): Route {
  return route({
    method: 'get',
    path: PATH,
    may: MAY,
    summary: 'Providers, and whether the platform has a key of each',
    returns: z.object({ providers: z.array(systemKey) }),
    async handle() {
      const stored = await listPlatformKeys(deps)
      const { environmentKeys } = deps.config
      const providers = PROVIDER_KEYS.map((format) => {
        const own = stored.find(({ provider }) => provider === format.provider)
        const { source, key_preview } = platformKeyView(format, own, environmentKeys)
        return {
          id: format.name,
          name: format.label,
          type: format.name,
          provider_type: format.name,
          has_db_key: own?.enabled === true,
          has_env_key: environmentKeys[format.provider] !== undefined,
          key_source: source,
          last_tested: null,
          test_status: null,
          key_preview,
        }
      })
      return { providers }
    },
  })
}

function saveRoute(deps: PlatformKeyDependencies): Route {
  return route({
    method: 'put',
    path: `${PATH}/{provider_id}`,
    may: MAY,
    summary: 'Store the key of the platform for a provider',
    params,
    body: z.object({
      api_key: z
        .string()
        .optional()
        .openapi({ format: 'password', minLength: LEAST, description: 'A shorter one is 400.' }),
    }),
    returns: changed,
    errors: {
      ...NO_SUCH_PROVIDER,
      400: 'The body is no JSON object, or the key is not in the format of its provider.',
    },
    async handle({ params: { provider_id }, body, change }) {
      const format = providerOf(provider_id)
      const apiKey = body.api_key?.trim() ?? ''
      if (apiKey.length < LEAST)
        throw new TollgateError(400, 'invalid_key_format', 'Invalid API key', { param: 'api_key' })
      await savePlatformKey(deps, format, apiKey, change)
      return { success: true as const, message: 'System key updated successfully', provider_id: format.name }
    },
  })
}

function deleteRoute(deps: PlatformKeyDependencies): Route {
  return route({
    method: 'delete',
    path: `${PATH}/{provider_id}`,
    may: MAY,
    summary: 'Delete the stored key of the platform for a provider',
    params,
    returns: changed,
    errors: NO_SUCH_PROVIDER,
    async handle({ params: { provider_id }, change }) {
      const format = providerOf(provider_id)
      await removePlatformKey(deps, format, change)
      const message = 'System key deleted (will fall back to environment variable)'
      return { success: true as const, message, provider_id: format.name }
    },
  })
}

function testRoute(deps: PlatformKeyDependencies): Route {
  return route({
    method: 'post',
    path: `${PATH}/{provider_id}/test`,
    may: MAY,
    summary: 'Ask a provider whether it accepts the key in use',
    params,
    returns: z.object({
      success: z.boolean(),
      provider_id: z.string(),
      provider_name: z.string(),
      message: z.string(),
      details: z.object({ status_code: z.int().nullable(), latency_ms: z.number() }),
    }),
    errors: { ...NO_SUCH_PROVIDER, 400: 'No API key configured', 429: 'More than 10 tests in a minute.' },
    async handle({ params: { provider_id }, change }) {
      const format = providerOf(provider_id)
      const used = await keyInUse(deps, format)
      if (used === null) throw new TollgateError(400, 'key_not_configured', 'No API key configured')
      await deps.testLimit(change.actor)
      const { ok, detail, ...details } = await deps.testKey(format, used.apiKey)
      return { success: ok, provider_id: format.name, provider_name: format.label, message: detail, details }
    },
  })
}

/** @throws {TollgateError} 404. */
function providerOf(id: string): KeyFormat {
  const format = findKeyFormat(id)
  if (format === null) throw new TollgateError(404, 'provider_not_found', 'Provider not found')
  return format
}
