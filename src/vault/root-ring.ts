/**
 * The root keys a process can open with, and which of them the database says to seal with. During a rotation the next one comes
 * from the database, sealed under the present one, so that no process has to be restarted. Fails closed: a process that has not
 * the root key in use neither starts nor seals.
 */
import { type Selectable, sql, type Transaction } from 'kysely'
import type { Database } from '../db/connect.ts'
import type { Tables, VaultRootTable } from '../db/tables.ts'
import { type Change, changing } from './audit-log.ts'
import type { SealContext } from './key-owner.ts'
import { type Root, RootKeyError, rawRoot } from './root-key.ts'
import type { Sealer } from './sealer.ts'

export type RootRow = Selectable<VaultRootTable>

export interface RootRing {
  known(): readonly Root[]
  /** Takes what the row hands over. Returns the root key to seal with. @throws {RootKeyError} where it can't be had. */
  learn(row: RootRow): Promise<Root>
}

export function createRootRing(roots: readonly Root[], sealer: Sealer): RootRing {
  const ring = [...roots]
  const find = (name: string | null) => ring.find((root) => root.name === name)

  async function take(name: string, sealed: string | null, context: SealContext): Promise<void> {
    if (sealed === null || find(name) !== undefined) return
    const root = rawRoot(Buffer.from(await sealer.open(sealed, context, ring), 'base64'))
    if (root.name === name && find(name) === undefined) ring.push(root)
  }

  return {
    known: () => ring,
    async learn(row) {
      if (row.previous !== null) {
        if (find(row.previous)) await take(row.name, row.handover, handoverContext(row.previous, row.name))
        if (find(row.name)) await take(row.previous, row.way_back, handoverContext(row.name, row.previous))
      }
      const current = find(row.name)
      if (current === undefined) throw unknown(row, roots)
      return current
    },
  }
}

/** What a root key on its way is bound to: `to`, sealed under `from`. */
export function handoverContext(from: string, to: string): SealContext {
  return { purpose: 'root-key', from, to }
}

/** What names the root key in use; the first process to ask makes it its own. */
export async function readRootRow(database: Database, first: Root, change: Change): Promise<RootRow> {
  const known = await database.query.selectFrom('tollgate.vault_root').selectAll().executeTakeFirst()
  if (known !== undefined) return known
  return changing(database, change, 'key.saved', async (transaction) => {
    const row = { name: first.name, previous: null, handover: null, way_back: null }
    await transaction
      .insertInto('tollgate.vault_root')
      .values(row)
      .onConflict((conflict) => conflict.doNothing())
      .execute()
    return transaction.selectFrom('tollgate.vault_root').selectAll().executeTakeFirstOrThrow()
  })
}

/** The name of the root key in use, which can't change before the transaction is over. */
export async function holdRootRow(transaction: Transaction<Tables>): Promise<string | null> {
  const { rows } = await sql<{ name: string }>`select name from tollgate.vault_root for share`.execute(transaction)
  return rows[0]?.name ?? null
}

function unknown(row: RootRow, roots: readonly Root[]): RootKeyError {
  return new RootKeyError(
    `The provider keys of this database are sealed under root key ${row.name} since ${row.since.toISOString()}; the one given ` +
      `here is ${roots.map(({ name }) => name).join(', ')}. Give that one in TOLLGATE_ROOT_KEY. If it is lost, so are the keys: ` +
      'stop every instance, run "delete from tollgate.vault_root" with psql, start again, and save each provider key again.',
  )
}
