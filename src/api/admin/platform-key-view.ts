/** A platform key as the operator sees it: where it comes from and whether it can be used, never the key. */
import { z } from '@hono/zod-openapi'
import type { Config } from '../../config/config.ts'
import type { KeyFormat } from '../../vault/key-formats.ts'
import { maskOf } from '../../vault/mask-of.ts'
import type { StoredKey } from '../../vault/vault.ts'

export const keySource = z.enum(['database', 'environment', 'not_set'])

export const platformKey = z
  .object({
    key_name: z.string(),
    provider: z.string(),
    description: z.string(),
    has_key: z.boolean(),
    key_preview: z.string().nullable(),
    last_updated: z.iso.datetime().nullable(),
    source: keySource,
    updated_by: z.string().nullable(),
    problem: z.string().nullable().openapi({ description: "Why a stored key can't be used." }),
  })
  .openapi('PlatformKey')

export type PlatformKey = z.output<typeof platformKey>

/** Where the stored key is switched off, the environment's key is used. */
export function platformKeyView(
  format: KeyFormat,
  stored: StoredKey | undefined,
  environmentKeys: Config['environmentKeys'],
): PlatformKey {
  const found = environmentKeys[format.provider]
  const active = stored?.enabled === true
  const source = active ? 'database' : found === undefined ? 'not_set' : 'environment'
  return {
    key_name: format.title,
    provider: format.name,
    description: format.description,
    has_key: source !== 'not_set',
    key_preview: active ? stored.mask : found === undefined ? null : maskOf(found.apiKey),
    last_updated: active ? stored.updatedAt.toISOString() : null,
    source,
    updated_by: active ? stored.updatedBy : null,
    problem: active ? stored.problem : null,
  }
}

/** Ops-Center's screen lists the master key too. It is Tollgate's own key, and is changed where it is configured. */
export function masterKeyView(isSet: boolean): PlatformKey {
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
