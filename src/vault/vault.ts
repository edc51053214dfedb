/**
 * Provider keys: stored sealed, opened here, changed under an audit log. A key in the cache costs a call a look into a map: no
 * database, no cryptography, no promise. Fails closed, and for one key only: a key that can't be opened is refused by name (503)
 * and logged with the reason, the others go on; without the database nothing older than a second is used.
 */
import type { Database } from '../db/connect.ts'
import { TollgateError } from '../http/errors.ts'
import type { Log } from '../observe/log.ts'
import { type Change, changing } from './audit-log.ts'
import { type ChangeListener, createChangeListener } from './change-listener.ts'
import type { FernetKey } from './fernet.ts'
import { createKeyCache, type Found } from './key-cache.ts'
import { createKeyOpener, type KeyOpener } from './key-opener.ts'
import { canStore, type KeyOwner, type KeyProvider, subjectOf } from './key-owner.ts'
import {
  canOwn,
  deleteKeyRow,
  findKeyRow,
  type KeyRow,
  lastActors,
  listKeyRows,
  setRowEnabled,
  subjectOfRow,
  upsertKeyRow,
} from './key-rows.ts'
import { maskOf } from './mask-of.ts'
import type { Root } from './root-key.ts'
import { UnreadableKeyError } from './unreadable-key-error.ts'

const CACHED_MAX = 10_000
const SENDABLE = /^[\x21-\x7e]{8,4096}$/

export type { Change } from './audit-log.ts'
export type { KeyOwner, KeyProvider } from './key-owner.ts'

export interface StoredKey {
  id: string
  provider: KeyProvider
  /** Seven characters, three dots, four characters; *** for a short key or one that does not open. */
  mask: string
  enabled: boolean
  metadata: unknown
  createdAt: Date
  updatedAt: Date
  updatedBy: string | null
  /** Why the key can't be used, for whoever stored it; null where it can. */
  problem: string | null
}

export interface Vault {
  /**
   * The owner's key of a provider. A promise only where the cache has to be filled. Null: none is stored, or it is switched off.
   * @throws {TollgateError} 503, as a rejected promise, when it can't be opened or the database can't be asked.
   */
  find(provider: KeyProvider, owner: KeyOwner): string | null | Promise<string | null>
  list(owner: KeyOwner): Promise<StoredKey[]>
  /** Makes or replaces the key and switches it on. @throws {TollgateError} 400 for a key that can't be sent in a header. */
  save(provider: KeyProvider, owner: KeyOwner, apiKey: string, change: Change, metadata?: unknown): Promise<StoredKey>
  /** Returns whether there is such a key. */
  setEnabled(provider: KeyProvider, owner: KeyOwner, enabled: boolean, change: Change): Promise<boolean>
  remove(provider: KeyProvider, owner: KeyOwner, change: Change): Promise<boolean>
  close(): Promise<void>
}

export interface VaultOptions {
  database: Database
  databaseUrl: string
  roots: readonly Root[]
  fernetKeys: readonly FernetKey[]
  log: Pick<Log, 'warn' | 'error'>
  /** Milliseconds of a clock that never jumps. */
  now: () => number
}

/** @throws {RootKeyError} when the keys in the database are sealed under a root key that is not among `roots`. */
export async function openVault({ database, log, now, ...options }: VaultOptions): Promise<Vault> {
  let listener: ChangeListener | null = null
  const cache = createKeyCache(CACHED_MAX, now, () => listener?.heardUntil() ?? Number.NEGATIVE_INFINITY)
  const opener = createKeyOpener({ database, ...options, onNewRoot: async (name) => listener?.holdRoot(name) })
  await opener.learnRoots()
  // What is sealed under a root key that stays unknown is refused key by key.
  const relearn = () =>
    opener.learnRoots().then(
      () => {},
      (err: unknown) => log.error({ err }, 'the root key in use is not to be had'),
    )
  listener = await createChangeListener({
    databaseUrl: options.databaseUrl,
    now,
    rootNames: opener.rootNames,
    onConnected: async () => {
      await relearn()
      cache.forgetAll()
    },
    onChange(subject) {
      if (subject === 'root') void relearn()
      else if (subject.startsWith('all of ')) cache.forgetAll()
      else cache.forget(subject)
    },
    onLost: (err) => log.warn({ err }, 'changes of provider keys are not heard; each is read again every second'),
  })

  /** The change counts in this process at once; the others hear of it. */
  async function changed<T>(provider: KeyProvider, owner: KeyOwner, work: () => Promise<T>): Promise<T> {
    try {
      return await work()
    } finally {
      cache.forget(subjectOf(provider, owner))
    }
  }

  return {
    find(provider, owner) {
      const subject = subjectOf(provider, owner)
      const found = cache.get(subject)
      if (found !== undefined) return 'key' in found ? found.key : Promise.reject(found.failure)
      if (!canOwn(owner) || !canStore(provider, owner)) return null
      return keyOf(cache.fill(subject, () => readKey(database, opener, log, provider, owner)))
    },
    async list(owner) {
      const rows = canOwn(owner) ? await listKeyRows(database.query, owner) : []
      return describeKeys(database, opener, rows)
    },
    async save(provider, owner, apiKey, change, metadata = {}) {
      refuseUnusable(provider, owner, apiKey)
      const row = await changed(provider, owner, () =>
        opener.store({ provider, owner }, apiKey, change, 'key.saved', async (transaction, sealed) => {
          await upsertKeyRow(transaction, { provider, owner, sealed, metadata })
          return findKeyRow(transaction, provider, owner)
        }),
      )
      const [stored] = await describeKeys(database, opener, row === null ? [] : [row])
      return stored!
    },
    setEnabled: (provider, owner, enabled, change) =>
      changed(provider, owner, async () => {
        if (!canOwn(owner)) return false
        return changing(database, change, 'key.saved', (transaction) =>
          setRowEnabled(transaction, provider, owner, enabled),
        )
      }),
    remove: (provider, owner, change) =>
      changed(provider, owner, async () => {
        if (!canOwn(owner)) return false
        return changing(database, change, 'key.saved', (transaction) => deleteKeyRow(transaction, provider, owner))
      }),
    close: async () => listener?.close(),
  }
}

async function keyOf(filling: Promise<Found>): Promise<string | null> {
  const found = await filling
  if ('failure' in found) throw found.failure
  return found.key
}

async function readKey(
  database: Database,
  opener: KeyOpener,
  log: VaultOptions['log'],
  provider: KeyProvider,
  owner: KeyOwner,
): Promise<Found> {
  const row = await findKeyRow(database.query, provider, owner).catch((cause: unknown) => {
    throw unavailable(`The key of ${provider} could not be read. Try again shortly.`, cause)
  })
  if (row === null || !row.enabled) return { key: null }
  try {
    return { key: await opener.open(row) }
  } catch (err) {
    log.error({ err, subject: subjectOfRow(row) }, "a stored provider key can't be used")
    return {
      failure: unavailable(`The stored key of ${provider} can't be used. Save it again, or tell the operator.`, err),
    }
  }
}

async function describeKeys(database: Database, opener: KeyOpener, rows: readonly KeyRow[]): Promise<StoredKey[]> {
  const actors = await lastActors(database.query, rows.map(subjectOfRow))
  return Promise.all(
    rows.map(async (row) => {
      const { id, provider, enabled, metadata, createdAt, updatedAt } = row
      const updatedBy = actors.get(subjectOfRow(row)) ?? null
      const shown = await opener.open(row).then(
        (key) => ({ mask: maskOf(key), problem: null }),
        (error: unknown) => ({ mask: '***', problem: problemOf(error) }),
      )
      return { id, provider, enabled, metadata, createdAt, updatedAt, updatedBy, ...shown }
    }),
  )
}

function problemOf(error: unknown): string {
  return error instanceof UnreadableKeyError ? error.message : 'it could not be opened just now'
}

function refuseUnusable(provider: KeyProvider, owner: KeyOwner, apiKey: string): void {
  if (!SENDABLE.test(apiKey)) {
    throw new TollgateError(
      400,
      'invalid_provider_key',
      'A provider key has 8 to 4096 visible ASCII characters. Copy it again, without spaces, quotes or line breaks.',
      { param: 'api_key' },
    )
  }
  if (!canStore(provider, owner))
    throw new TollgateError(400, 'invalid_provider', 'There is no such provider to store a key of.', {
      param: 'provider',
    })
  if (!canOwn(owner)) throw new TollgateError(404, 'owner_not_found', 'There is no such owner of keys.')
}

function unavailable(message: string, cause: unknown): TollgateError {
  return new TollgateError(503, 'provider_key_unavailable', message, { headers: { 'Retry-After': '2' }, cause })
}
