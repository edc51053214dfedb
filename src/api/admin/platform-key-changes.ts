/** Changes the platform's keys, for every route that does so. */
import type { Config } from '../../config/config.ts'
import { TollgateError } from '../../http/errors.ts'
import { hasFormat, type KeyFormat } from '../../vault/key-formats.ts'
import type { Change, KeyOwner, StoredKey, Vault } from '../../vault/vault.ts'

export interface PlatformKeys {
  vault: Vault
  config: Pick<Config, 'environmentKeys'>
}

export interface KeyInUse {
  apiKey: string
  source: 'database' | 'environment'
}

const PLATFORM: KeyOwner = { kind: 'platform' }

/** @throws {TollgateError} 503. */
export async function listPlatformKeys({ vault }: PlatformKeys): Promise<StoredKey[]> {
  try {
    return await vault.list(PLATFORM)
  } catch (cause) {
    if (cause instanceof TollgateError) throw cause
    const headers = { 'Retry-After': '2' }
    throw new TollgateError(503, 'database_unavailable', 'Database connection not available', { headers, cause })
  }
}

/** The key that calls use; null where there is none. */
export async function keyInUse({ vault, config }: PlatformKeys, { provider }: KeyFormat): Promise<KeyInUse | null> {
  const saved = await vault.find(provider, PLATFORM)
  if (saved !== null) return { apiKey: saved, source: 'database' }
  const found = config.environmentKeys[provider]
  return found === undefined ? null : { apiKey: found.apiKey, source: 'environment' }
}

/** @throws {TollgateError} 400 for a key that is not in the format of its provider. */
export function savePlatformKey(
  { vault }: PlatformKeys,
  format: KeyFormat,
  apiKey: string,
  change: Change,
): Promise<StoredKey> {
  if (!hasFormat(format, apiKey)) {
    const message = `Invalid ${format.label} API key format. Expected format: ${format.example}`
    throw new TollgateError(400, 'invalid_key_format', message, { param: 'api_key' })
  }
  return changed(format, 'update', () => vault.save(format.provider, PLATFORM, apiKey, change))
}

/** @returns true if there was a key to delete. */
export function removePlatformKey({ vault }: PlatformKeys, format: KeyFormat, change: Change): Promise<boolean> {
  return changed(format, 'delete', () => vault.remove(format.provider, PLATFORM, change))
}

async function changed<T>({ label }: KeyFormat, what: 'update' | 'delete', work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (cause) {
    if (cause instanceof TollgateError) throw cause
    throw new TollgateError(500, 'key_not_changed', `Failed to ${what} ${label} key`, { cause })
  }
}
