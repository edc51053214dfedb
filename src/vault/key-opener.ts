/** Opens stored keys and seals new ones with the root keys this process has, learning of new ones as it goes. */
import type { Transaction } from 'kysely'
import type { Database } from '../db/connect.ts'
import type { Tables } from '../db/tables.ts'
import { type Change, type ChangeAction, changing } from './audit-log.ts'
import { type FernetKey, isFernetToken, openFernet } from './fernet.ts'
import { contextOf } from './key-owner.ts'
import type { KeyRow } from './key-rows.ts'
import type { Root } from './root-key.ts'
import { createRootRing, holdRootRow, readRootRow } from './root-ring.ts'
import { createSealer, type Sealer } from './sealer.ts'
import { UnreadableKeyError } from './unreadable-key-error.ts'

export interface KeyOpener {
  rootNames(): readonly string[]
  /** Returns the root key in use. @throws {RootKeyError} where this process does not have it. */
  learnRoots(): Promise<Root>
  /** @throws {UnreadableKeyError} and, where KMS can't be asked, any other error. */
  open(row: Pick<KeyRow, 'provider' | 'owner' | 'sealed'>): Promise<string>
  /** Seals under the root key in use and writes in one transaction with its entry in the log. Returns what `write` returns. */
  store<T>(
    place: Pick<KeyRow, 'provider' | 'owner'>,
    apiKey: string,
    change: Change,
    action: ChangeAction,
    write: (transaction: Transaction<Tables>, sealed: string) => Promise<T>,
  ): Promise<T>
}

export interface KeyOpenerOptions {
  database: Database
  roots: readonly Root[]
  fernetKeys: readonly FernetKey[]
  /** Told of a root key that came from a rotation. */
  onNewRoot?: (name: string) => Promise<void>
  sealer?: Sealer
}

const SENDABLE = /^[\x21-\x7e]+$/
const ITSELF: Change = { actor: 'tollgate', ip: null, requestId: null }

export function createKeyOpener(options: KeyOpenerOptions): KeyOpener {
  const { database, roots, fernetKeys, onNewRoot, sealer = createSealer() } = options
  const ring = createRootRing(roots, sealer)

  async function learnRoots(): Promise<Root> {
    const before = ring.known().length
    const current = await ring.learn(await readRootRow(database, roots[0]!, ITSELF))
    for (const { name } of ring.known().slice(before)) await onNewRoot?.(name)
    return current
  }

  async function unseal({ sealed, provider, owner }: Pick<KeyRow, 'provider' | 'owner' | 'sealed'>): Promise<string> {
    const context = contextOf(provider, owner)
    try {
      return await sealer.open(sealed, context, ring.known())
    } catch (error) {
      // A rotation may have begun that this process has not heard of yet.
      if (!(error instanceof UnreadableKeyError) || error.reason !== 'unknown_root') throw error
      await learnRoots()
      return sealer.open(sealed, context, ring.known())
    }
  }

  return {
    rootNames: () => ring.known().map(({ name }) => name),
    learnRoots,
    async open(row) {
      const apiKey = isFernetToken(row.sealed) ? openFernet(row.sealed, fernetKeys) : await unseal(row)
      // Keys that were saved here were checked; keys that Ops-Center stored may hold anything.
      if (SENDABLE.test(apiKey)) return apiKey
      throw new UnreadableKeyError(
        'not_sendable',
        'it holds characters that no header carries, so it is no key; save the key again',
      )
    },
    async store({ provider, owner }, apiKey, change, action, write) {
      for (;;) {
        const root = await learnRoots()
        const sealed = await sealer.seal(apiKey, contextOf(provider, owner), root)
        // A root key that was replaced during the sealing is noticed here, and its row can't change before the transaction ends.
        const written = await changing(database, change, action, async (transaction) =>
          (await holdRootRow(transaction)) === root.name ? { answer: await write(transaction, sealed) } : null,
        )
        if (written !== null) return written.answer
      }
    },
  }
}
