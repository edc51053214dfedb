/** Whose key, of which provider: the names under which it is stored, sealed, announced and logged. */
import type { ProviderName } from '../config/config.ts'
import { isUuid } from '../db/uuid.ts'

export type KeyOwner = { kind: 'platform' } | { kind: 'organization'; id: string } | { kind: 'user'; id: string }

/**
 * A user as the owner of keys. Ids of identity providers (UUIDs) mean the same person everywhere, and are how Ops-Center stored
 * keys. Any other id means somebody in one organization: another organization's alice is not this one.
 */
export function userKeyOwner(user: { organizationId: string; userId: string }): KeyOwner & { kind: 'user' } {
  return { kind: 'user', id: isUuid(user.userId) ? user.userId : `${user.organizationId}/${user.userId}` }
}

/** A provider's prefix in config.yaml, or `provisioning`: the platform's key for making keys at OpenRouter. */
export type KeyProvider = ProviderName

/** What is stored under another name than its own: Ops-Center's tables say google where LiteLLM says gemini. */
const PLATFORM_NAMES: Readonly<Record<string, string>> = {
  gemini: 'google_ai_api_key',
  provisioning: 'provisioning_key',
}
const OTHER_NAMES: Readonly<Record<string, string>> = { gemini: 'google' }
const SUFFIX = '_api_key'

/** How the row of a key calls its provider. */
export function storedName(provider: KeyProvider, kind: KeyOwner['kind']): string {
  if (kind === 'platform') return PLATFORM_NAMES[provider] ?? `${provider}${SUFFIX}`
  return OTHER_NAMES[provider] ?? provider
}

/** Null for a setting that is no provider's key. */
export function providerOf(stored: string, kind: KeyOwner['kind']): KeyProvider | null {
  const named = Object.entries(kind === 'platform' ? PLATFORM_NAMES : OTHER_NAMES).find(([, name]) => name === stored)
  if (named !== undefined) return named[0]
  if (kind !== 'platform') return stored
  return stored.endsWith(SUFFIX) ? stored.slice(0, -SUFFIX.length) : null
}

/** Whether this owner can have a key of that name: one that leads to a row of its own and back. */
export function canStore(provider: KeyProvider, owner: KeyOwner): boolean {
  if (!/^[a-z][a-z0-9_-]{0,63}$/.test(provider)) return false
  if (provider === 'provisioning' && owner.kind !== 'platform') return false
  return providerOf(storedName(provider, owner.kind), owner.kind) === provider
}

/** The one name of a key in the cache, in notifications and in the audit log. */
export function subjectOf(provider: KeyProvider, owner: KeyOwner): string {
  const name = storedName(provider, owner.kind)
  return owner.kind === 'platform' ? `platform/${name}` : `${owner.kind}/${owner.id}/${name}`
}

/** What a sealed key is bound to: it opens in its own row only. */
export type SealContext = Readonly<Record<string, string>>

export function contextOf(provider: KeyProvider, owner: KeyOwner): SealContext {
  return {
    purpose: 'provider-key',
    provider,
    owner: owner.kind === 'platform' ? 'platform' : `${owner.kind}:${owner.id}`,
  }
}
