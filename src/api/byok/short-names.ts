/** A caller's own keys under `/api/v1/byok`, with the names and shapes of another part of Ops-Center. They are the same keys. */
import { z } from '@hono/zod-openapi'
import { TollgateError } from '../../http/errors.ts'
import { findKeyFormat, nameOf, PROVIDER_KEYS } from '../../vault/key-formats.ts'
import { userKeyOwner } from '../../vault/key-owner.ts'
import type { StoredKey } from '../../vault/vault.ts'
import { tierOf } from '../llm/tier.ts'
import { providerKeySchema } from '../provider-key-schema.ts'
import { type Route, route } from '../route.ts'
import { byokKeyView } from './byok-key-view.ts'
import {
  type ByokDependencies,
  byokProvider,
  NOT_STORED,
  removeByokKey,
  saveByokKey,
  TOO_MANY_CHANGES,
  testByokKey,
} from './byok-keys.ts'

const PATH = '/api/v1/byok'
const MAY = 'byok:own'

const params = z.object({ provider: z.string().openapi({ example: 'openai' }) })

const ownKey = z
  .object({
    provider: z.string(),
    provider_name: z.string(),
    key_preview: z.string(),
    label: z.string().nullable(),
    added_date: z.iso.datetime(),
    last_tested: z.iso.datetime().nullable(),
    test_status: z.enum(['valid', 'invalid']).nullable(),
  })
  .openapi('OwnKey')

export function shortByokRoutes(deps: ByokDependencies): readonly Route[] {
  return [providersRoute(deps), listRoute(deps), addRoute(deps), deleteRoute(deps), testRoute(deps), statsRoute(deps)]
}

function providersRoute({ vault }: ByokDependencies): Route {
  const provider = z.object({ id: z.string(), name: z.string(), key_format: z.string(), configured: z.boolean() })
  return route({
    method: 'get',
    path: `${PATH}/providers`,
    may: MAY,
    summary: 'Providers you can bring a key for, and whether you have one',
    returns: z.array(provider),
    async handle({ caller }) {
      const stored = await vault.list(userKeyOwner(caller))
      return PROVIDER_KEYS.map(({ name, provider: id, label, prefix }) => ({
        id: name,
        name: label,
        key_format: prefix,
        configured: stored.some((key) => key.provider === id && key.enabled),
      }))
    },
  })
}

function listRoute({ vault }: ByokDependencies): Route {
  return route({
    method: 'get',
    path: `${PATH}/keys`,
    may: MAY,
    summary: 'Your own keys that are switched on, masked',
    returns: z.array(ownKey),
    async handle({ caller }) {
      const stored = await vault.list(userKeyOwner(caller))
      return stored.filter(({ enabled }) => enabled).map(showKey)
    },
  })
}

function addRoute(deps: ByokDependencies): Route {
  return route({
    method: 'post',
    path: `${PATH}/keys/add`,
    may: MAY,
    summary: 'Store a key of your own',
    body: z.object({
      provider: z.string('Send "provider", the name of a provider.'),
      key: providerKeySchema,
      label: z.string().max(100).nullish(),
      endpoint: z.null().optional().openapi({ description: 'Not possible: keys go to their provider only.' }),
    }),
    returns: z.object({ message: z.string(), provider: z.string(), provider_name: z.string() }),
    errors: {
      400: 'The body is not a JSON object, the provider is unknown, or the key is not in its format.',
      ...TOO_MANY_CHANGES,
    },
    async handle({ caller, body: { provider, key, label }, change }) {
      const format = byokProvider(provider)
      const metadata = { name: label ?? `${format.label} Key` }
      await saveByokKey(deps, { format, owner: userKeyOwner(caller), apiKey: key, param: 'key' }, change, metadata)
      return { message: 'API key added successfully', provider: format.name, provider_name: format.label }
    },
  })
}

function deleteRoute(deps: ByokDependencies): Route {
  return route({
    method: 'delete',
    path: `${PATH}/keys/{provider}`,
    may: MAY,
    summary: 'Delete a key of your own',
    params,
    returns: z.object({ message: z.string(), provider: z.string(), success: z.literal(true) }),
    errors: { ...NOT_STORED, ...TOO_MANY_CHANGES },
    async handle({ caller, params: { provider }, change }) {
      const format = await removeByokKey(deps, provider, userKeyOwner(caller), change)
      if (format === null) throw new TollgateError(404, 'key_not_found', 'API key not found for this provider')
      return { message: 'API key removed successfully', provider: format.name, success: true as const }
    },
  })
}

function testRoute(deps: ByokDependencies): Route {
  return route({
    method: 'post',
    path: `${PATH}/keys/test/{provider}`,
    may: MAY,
    summary: 'Ask the provider whether it accepts your key',
    params,
    returns: z.object({
      provider: z.string(),
      status: z.enum(['valid', 'invalid', 'error']),
      message: z.string(),
      details: z.object({ status_code: z.int().nullable() }),
    }),
    errors: { ...NOT_STORED, 429: 'More than 5 tests in a minute.' },
    async handle({ caller, params: { provider }, change }) {
      const { format, ok, status_code, detail } = await testByokKey(deps, provider, userKeyOwner(caller), change)
      const status = ok ? ('valid' as const) : status_code === null ? ('error' as const) : ('invalid' as const)
      return { provider: format.name, status, message: detail, details: { status_code } }
    },
  })
}

function statsRoute({ vault }: ByokDependencies): Route {
  return route({
    method: 'get',
    path: `${PATH}/stats`,
    may: MAY,
    summary: 'How many keys of your own are stored, and how many were tested',
    returns: z.object({
      total_providers: z.int(),
      configured_providers: z.int(),
      tested_providers: z.int(),
      valid_providers: z.int(),
      user_tier: z.string(),
    }),
    async handle({ caller }) {
      const keys = (await vault.list(userKeyOwner(caller))).filter(({ enabled }) => enabled).map(showKey)
      return {
        total_providers: PROVIDER_KEYS.length,
        configured_providers: keys.length,
        tested_providers: keys.filter(({ last_tested }) => last_tested !== null).length,
        valid_providers: keys.filter(({ test_status }) => test_status === 'valid').length,
        user_tier: tierOf(caller),
      }
    },
  })
}

function showKey(key: StoredKey): z.output<typeof ownKey> {
  const { metadata, last_tested, test_status, key_preview, created_at } = byokKeyView(key)
  const label = metadata.name ?? metadata.label
  return {
    provider: nameOf(key.provider),
    provider_name: findKeyFormat(key.provider)?.label ?? key.provider,
    key_preview,
    label: typeof label === 'string' ? label : null,
    added_date: created_at,
    last_tested,
    test_status: test_status === 'failed' ? 'invalid' : test_status,
  }
}
