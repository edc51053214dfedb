/** Provider keys there: the platform's, those its chat used (llm_providers), and users' own. Opened, or named with what stands against it. */
import { isUuid } from '../db/uuid.ts'
import { isFernetToken } from '../vault/fernet.ts'
import type { KeyOpener } from '../vault/key-opener.ts'
import { canStore, type KeyOwner, type KeyProvider, providerOf, subjectOf, userKeyOwner } from '../vault/key-owner.ts'
import { UnreadableKeyError } from '../vault/unreadable-key-error.ts'
import type { Findings } from './finding.ts'
import { rowId } from './row-id.ts'
import type { Source, SourceRow } from './source.ts'
import { MEMBERS, PLATFORM_KEYS, SYSTEM_KEYS, USER_KEYS } from './source-columns.ts'

export interface MovedKey {
  provider: KeyProvider
  owner: KeyOwner
  /** In clear, in memory only. */
  apiKey: string
  enabled: boolean
  metadata: unknown
}

export interface KeyReader {
  opener: Pick<KeyOpener, 'open'>
  /** Whether a key of that subject is here. */
  isHere(provider: KeyProvider, owner: KeyOwner): Promise<boolean>
  findings: Findings
}

interface Keys {
  keys: MovedKey[]
  /** How many are here already. */
  already: number
}

interface Found {
  table: string
  row: string
  provider: string
  owners: KeyOwner[]
  sealed: string
  enabled: boolean
  metadata: unknown
}

export async function readKeys(source: Source, reader: KeyReader): Promise<Keys> {
  const keys = new Map<string, MovedKey>()
  let already = 0
  for (const found of await foundKeys(source, reader.findings)) {
    const { table, row, provider, owners, enabled, metadata } = found
    const left = (code: 'unreadable_key' | 'not_a_key_of_ours' | 'duplicate', says: string) =>
      reader.findings.add('left', code, table, says, { row, user: owners[0]?.kind === 'user' ? owners[0].id : null })
    for (const owner of owners) {
      const subject = subjectOf(provider, owner)
      if (!canStore(provider, owner)) left('not_a_key_of_ours', `No calls go to ${JSON.stringify(provider)} from here.`)
      else if (keys.has(subject)) left('duplicate', `${subject} is carried from another row.`)
      else if (await reader.isHere(provider, owner)) already += 1
      else {
        const apiKey = await open(reader, found, owner)
        if (typeof apiKey === 'string') keys.set(subject, { provider, owner, apiKey, enabled, metadata })
        else left('unreadable_key', `${subject} does not open: ${apiKey.message}.`)
      }
    }
  }
  return { keys: [...keys.values()], already }
}

async function open({ opener }: KeyReader, { provider, sealed }: Found, owner: KeyOwner): Promise<string | Error> {
  if (!isFernetToken(sealed))
    return new Error('it is no Fernet token, so nothing says that it is a key; save it here by hand')
  try {
    return await opener.open({ provider, owner, sealed })
  } catch (error) {
    if (error instanceof UnreadableKeyError) return error
    throw error
  }
}

/** The platform's own table comes first: what it has is what an operator saved for all. */
async function foundKeys(source: Source, findings: Findings): Promise<Found[]> {
  const found: Found[] = []
  const platform: KeyOwner[] = [{ kind: 'platform' }]
  const base = { owners: platform, enabled: true, metadata: {} }
  await each(source.pages('platform_settings', PLATFORM_KEYS, ['key']), ({ key, value, category }) => {
    if (!key || !value || category !== 'api_keys') return
    const provider = providerOf(key, 'platform')
    if (provider !== null) found.push({ ...base, table: 'platform_settings', row: key, provider, sealed: value })
    else findings.add('left', 'not_a_key_of_ours', 'platform_settings', `${key} is no provider's key.`, { row: key })
  })
  await each(source.pages('llm_providers', SYSTEM_KEYS, ['priority', 'id']), ({ id, type, sealed, enabled }) => {
    if (!type || !sealed) return
    const provider = type === 'google' ? 'gemini' : type
    found.push({ ...base, table: 'llm_providers', row: id ?? type, provider, sealed, enabled: enabled !== 'false' })
  })
  const memberships = await organizationsOfUsers(source)
  await each(source.pages('user_provider_keys', USER_KEYS, ['user_id', 'provider']), (row) => {
    const user = userKey(row, memberships, findings)
    if (user !== null) found.push(user)
  })
  return found
}

/** An id that is no UUID means somebody in one organization: the key goes along to each organization the user is in. */
function userKey(row: SourceRow, memberships: ReadonlyMap<string, string[]>, findings: Findings): Found | null {
  const { id, user_id: userId, provider, sealed, enabled, metadata } = row
  const table = 'user_provider_keys'
  const at = { row: id ?? null, user: userId ?? null }
  if (!sealed || !provider) return null
  if (!userId) {
    findings.add('left', 'no_user', table, 'It names no user.', at)
    return null
  }
  const organizations = isUuid(userId) ? [''] : (memberships.get(userId) ?? [])
  if (organizations.length === 0)
    findings.add(
      'left',
      'orphan',
      table,
      'Its user is in no organization, and the id is no UUID that means the same person everywhere.',
      at,
    )
  return {
    table,
    row: id ?? `${userId}/${provider}`,
    provider: providerOf(provider, 'user') ?? provider,
    owners: organizations.map((organizationId) => userKeyOwner({ organizationId, userId })),
    sealed,
    enabled: enabled !== 'false',
    metadata: metadata ? JSON.parse(metadata) : {},
  }
}

async function organizationsOfUsers(source: Source): Promise<Map<string, string[]>> {
  const known = new Map<string, string[]>()
  await each(source.pages('organization_members', MEMBERS, []), ({ org_id: org, user_id: user }) => {
    if (org && user) known.set(user, [...(known.get(user) ?? []), rowId('organizations', org)])
  })
  return known
}

async function each(pages: AsyncGenerator<SourceRow[]>, take: (row: SourceRow) => void): Promise<void> {
  for await (const rows of pages) for (const row of rows) take(row)
}
