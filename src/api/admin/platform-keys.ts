/**
 * Lists the platform's own keys and changes them while calls run. The next call prefers the key stored here to one of the
 * environment; only an `api_key` of a deployment in config.yaml comes first. No response holds a key.
 */
import { z } from '@hono/zod-openapi'
import type { Config } from '../../config/config.ts'
import { TollgateError } from '../../http/errors.ts'
import { findKeyFormat, type KeyFormat, PROVIDER_KEYS, PROVISIONING, variableOf } from '../../vault/key-formats.ts'
import type { TestKey } from '../../vault/test-provider-key.ts'
import type { Vault } from '../../vault/vault.ts'
import type { CallerLimit } from '../caller-limit.ts'
import { errorSchema } from '../describe-route.ts'
import { providerKeySchema } from '../provider-key-schema.ts'
import { type Route, route } from '../route.ts'
import { keyInUse, listPlatformKeys, removePlatformKey, savePlatformKey } from './platform-key-changes.ts'
import { keySource, masterKeyView, platformKey, platformKeyView } from './platform-key-view.ts'

export interface PlatformKeyDependencies {
  vault: Vault
  config: Pick<Config, 'environmentKeys' | 'masterKey'>
  testKey: TestKey
  testLimit: CallerLimit
}

type Source = z.output<typeof keySource>

const FORMATS = [...PROVIDER_KEYS, PROVISIONING]
const PATH = '/api/v1/admin/platform-keys'
const MAY = 'platform_keys:manage'
const NO_SUCH_KEY = { 404: 'There is no such key, or none is set.' }
const NEXT_STEPS = [
  'Test the key: POST /api/v1/admin/platform-keys/openrouter/test',
  'Call a model as openrouter/<vendor>/<model>; GET /v1/models lists what there is',
]

const params = z.object({
  key: z.string().openapi({ description: `One of ${FORMATS.map(({ name }) => name).join(', ')}.`, example: 'openai' }),
})

export function platformKeyRoutes(deps: PlatformKeyDependencies): readonly Route[] {
  return [listRoute(deps), saveRoute(deps), deleteRoute(deps), testRoute(deps), decryptedRoute()]
}

function listRoute(deps: PlatformKeyDependencies): Route {
  const { config } = deps
  return route({
    method: 'get',
    path: PATH,
    may: MAY,
    summary: "The platform's keys, masked",
    description:
      'A stored key is used before one of the environment, from the next call on, on every instance of Tollgate.',
    returns: z.object({ keys: z.array(platformKey), total: z.int() }),
    async handle() {
      const stored = await listPlatformKeys(deps)
      const ofProvider = (name: string) => stored.find(({ provider }) => provider === name)
      const keys = [
        ...FORMATS.map((format) => platformKeyView(format, ofProvider(format.provider), config.environmentKeys)),
        masterKeyView(config.masterKey !== null),
      ]
      return { keys, total: keys.length }
    },
  })
}

function saveRoute(deps: PlatformKeyDependencies): Route {
  return route({
    method: 'put',
    path: `${PATH}/{key}`,
    may: MAY,
    summary: 'Store a key of the platform',
    params,
    body: z.object({ api_key: providerKeySchema }),
    returns: z.object({
      success: z.literal(true),
      message: z.string(),
      key_preview: z.string(),
      next_steps: z.array(z.string()).optional(),
    }),
    errors: { ...NO_SUCH_KEY, 400: 'The body is not a JSON object, or the key is not in the format of this provider.' },
    async handle({ params: { key }, body: { api_key: apiKey }, change }) {
      const format = formatNamed(key)
      const { mask } = await savePlatformKey(deps, format, apiKey, change)
      return {
        success: true as const,
        message: `${format.label} API key updated successfully`,
        key_preview: mask,
        ...(format.name === 'openrouter' ? { next_steps: NEXT_STEPS } : {}),
      }
    },
  })
}

function deleteRoute(deps: PlatformKeyDependencies): Route {
  const { config } = deps
  return route({
    method: 'delete',
    path: `${PATH}/{key}`,
    may: MAY,
    summary: 'Delete a stored key of the platform',
    description: "The environment's key, where there is one, is used from the next call on.",
    params,
    returns: z.object({ success: z.literal(true), message: z.string(), source: keySource }),
    errors: NO_SUCH_KEY,
    async handle({ params: { key }, change }) {
      const format = formatNamed(key)
      if (!(await removePlatformKey(deps, format, change))) throw notConfigured(format)
      const source: Source = config.environmentKeys[format.provider] === undefined ? 'not_set' : 'environment'
      return { success: true as const, message: `${format.label} API key deleted successfully`, source }
    },
  })
}

/** An address in the request is tested only with a key in the request: whoever owns the address could read a stored key. */
function testRoute(deps: PlatformKeyDependencies): Route {
  return route({
    method: 'post',
    path: `${PATH}/{key}/test`,
    may: MAY,
    summary: 'Ask the provider whether it accepts the key',
    description:
      'Tests the key in use, or `api_key`. With `api_key`, `api_base` may name a public address or one that the operator allows.',
    params,
    body: z
      .object({
        api_key: providerKeySchema.regex(/^[\x21-\x7e]+$/, 'The API key contains invalid characters.').optional(),
        api_base: z.string('Send "api_base" as a URL.').optional(),
      })
      .refine(({ api_key, api_base }) => api_base === undefined || api_key !== undefined, {
        path: ['api_base'],
        message: 'Send "api_base", a URL, together with the "api_key" to test there: a stored key is not sent to it.',
      }),
    returns: z.object({
      ok: z.boolean(),
      key_type: z.string(),
      source: z.enum([...keySource.options, 'request']),
      status_code: z.int().nullable().openapi({ description: 'Null where the provider did not respond.' }),
      latency_ms: z.number(),
      detail: z.string(),
    }),
    errors: {
      ...NO_SUCH_KEY,
      400: 'The body is not a JSON object, the key can not be tested, or the address may not be called.',
      429: 'More than 10 tests in a minute.',
    },
    async handle({ params: { key }, body: { api_key: given, api_base: apiBase }, change }) {
      const format = formatNamed(key)
      if (format === PROVISIONING) {
        const message = 'The provisioning key is not used to call a provider, so it can not be tested.'
        throw new TollgateError(400, 'not_testable', message)
      }
      const used = given === undefined ? await keyInUse(deps, format) : { apiKey: given, source: 'request' as const }
      if (used === null) throw notConfigured(format)
      const { apiKey, source } = used
      await deps.testLimit(change.actor)
      return { ...(await deps.testKey(format, apiKey, apiBase)), key_type: format.name, source }
    },
  })
}

/** Ops-Center returned the key itself here. */
function decryptedRoute(): Route {
  return route({
    method: 'get',
    path: `${PATH}/{key}/decrypted`,
    may: MAY,
    summary: 'Stored keys are never shown: always 410',
    params,
    status: 410,
    returns: errorSchema,
    errors: NO_SUCH_KEY,
    handle({ params: { key } }) {
      const { label } = formatNamed(key)
      const message = `Stored keys are never shown. Test the ${label} key with POST .../test. Make a new one at the provider if it is lost.`
      throw new TollgateError(410, 'keys_are_not_shown', message)
    },
  })
}

function formatNamed(name: string): KeyFormat {
  const format = findKeyFormat(name, FORMATS)
  if (format !== null) return format
  const names = FORMATS.map((known) => known.name).join(', ')
  throw new TollgateError(404, 'key_type_not_found', `There is no such key. The keys are: ${names}.`)
}

function notConfigured(format: KeyFormat): TollgateError {
  return new TollgateError(404, 'key_not_configured', `${format.label} API key not configured`, {
    fields: { variable: variableOf(format) },
  })
}
