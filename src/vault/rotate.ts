/**
 * Seals every stored key anew under another root key, while calls run:
 *
 *   hand over -> wait until every process can open with both -> seal anew, row by row -> forget the old one
 *
 * The next root key reaches running processes through the database, sealed under the present one, and is gone from there at the
 * end. Can be run again after any failure: it takes up where it was.
 */
import { setTimeout as delay } from 'node:timers/promises'
import { sql } from 'kysely'
import type { Database } from '../db/connect.ts'
import { type Change, changing } from './audit-log.ts'
import { ROOT_LOCK, rootLockOf } from './change-listener.ts'
import { contextOf } from './key-owner.ts'
import { type KeyRow, KINDS, pageOfKeyRows, replaceSealed, subjectOfRow } from './key-rows.ts'
import { type Root, RootKeyError } from './root-key.ts'
import { createRootRing, handoverContext, type RootRing, type RootRow, readRootRow } from './root-ring.ts'
import { type Sealer, sealedUnder } from './sealer.ts'
import { UnreadableKeyError } from './unreadable-key-error.ts'

const PAGE = 200
const ASK_EVERY_MS = 100
/** A process whose connection for notifications is just being made again asks for the root key when it has one. */
const SETTLE_MS = 2_000

export interface RotateOptions {
  /** What opens the keys now. */
  roots: readonly Root[]
  target: Root
  sealer: Sealer
  change: Change
  /** How long to wait for running processes. */
  patienceMs: number
}

export interface RotateReport {
  root_key: string
  previous: string | null
  resealed: number
  /** Tokens that wait for `keys import-fernet`. */
  fernet: number
  /** Keys that could not be opened before either. */
  unreadable: { key: string; problem: string }[]
}

/** @throws {RootKeyError} when nothing, or not everything, could be done; the message says what to do. */
export async function rotate(database: Database, options: RotateOptions): Promise<RotateReport> {
  const { target, sealer, roots } = options
  const ring = createRootRing([...roots.filter(({ name }) => name !== target.name), target], sealer)
  const row = await readRootRow(database, roots[0]!, options.change)
  await ring.learn(row)
  // What is in KMS can't be handed over.
  if (target.kind === 'kms') await everyoneHas(database, target, options.patienceMs)
  const handed = row.name === target.name ? row : await handOver(database, row, ring, options)
  await delay(SETTLE_MS)
  await everyoneHas(database, target, options.patienceMs)
  const report: RotateReport = {
    root_key: target.name,
    previous: handed.previous,
    resealed: 0,
    fernet: 0,
    unreadable: [],
  }
  for (const kind of KINDS) await resealAll(database, kind, ring, options, report)
  await changing(database, options.change, 'key.resealed', (transaction) =>
    transaction
      .updateTable('tollgate.vault_root')
      .set({ previous: null, handover: null, way_back: null })
      .where('name', '=', target.name)
      .where('previous', 'is not', null)
      .execute(),
  )
  return report
}

async function handOver(
  database: Database,
  row: RootRow,
  ring: RootRing,
  { target, sealer, change }: RotateOptions,
): Promise<RootRow> {
  if (row.previous !== null) {
    throw new RootKeyError(
      `A rotation to root key ${row.name} is under way and not finished. Run it again with that key; then rotate to another.`,
    )
  }
  const old = await ring.learn(row)
  const next = { name: target.name, previous: old.name, since: sql<Date>`tollgate.tollgate_now()` }
  const handover = await sealedRoot(sealer, target, old)
  const wayBack = await sealedRoot(sealer, old, target)
  return changing(database, change, 'key.resealed', async (transaction) => {
    const changed = await transaction
      .updateTable('tollgate.vault_root')
      .set({ ...next, handover, way_back: wayBack })
      .where('name', '=', old.name)
      .where('previous', 'is', null)
      .returningAll()
      .executeTakeFirst()
    if (changed === undefined)
      throw new RootKeyError('Somebody else rotates at this moment. Run it again when they are done.')
    return changed
  })
}

/** Null where the key is in KMS: every process asks there itself. */
async function sealedRoot(sealer: Sealer, root: Root, under: Root): Promise<string | null> {
  return root.kind === 'raw'
    ? sealer.seal(root.bytes.toString('base64'), handoverContext(under.name, root.name), under)
    : null
}

/** @throws {RootKeyError} when a running process can't open with `root` in time. */
async function everyoneHas(database: Database, root: Root, patienceMs: number): Promise<void> {
  const until = performance.now() + patienceMs
  for (;;) {
    const { rows } = await sql<{ pid: number }>`select pid from pg_locks
      where locktype = 'advisory' and classid::bigint = ${ROOT_LOCK} and objsubid = 2 and granted
        and database = (select oid from pg_database where datname = current_database())
      group by pid having not bool_or(objid::bigint = ${unsigned(rootLockOf(root.name))})`.execute(database.query)
    if (rows.length === 0) return
    if (performance.now() > until) {
      throw new RootKeyError(
        `${rows.length} running instances can't open with root key ${root.name} (database connections ${rows.map(({ pid }) => pid).join(', ')}), ` +
          'so nothing was sealed anew. ' +
          (root.kind === 'kms'
            ? 'Start them with TOLLGATE_KMS_KEY_ARN, then run this again.'
            : 'Their logs say why. Then run this again.'),
      )
    }
    await delay(ASK_EVERY_MS)
  }
}

/** As pg_locks shows it. */
function unsigned(lock: number): number {
  return lock >>> 0
}

async function resealAll(
  database: Database,
  kind: KeyRow['owner']['kind'],
  ring: RootRing,
  options: RotateOptions,
  report: RotateReport,
): Promise<void> {
  let after: string | null = ''
  while (after !== null) {
    const page: Awaited<ReturnType<typeof pageOfKeyRows>> = await pageOfKeyRows(database.query, kind, '%', after, PAGE)
    for (const row of page.rows) {
      const under = sealedUnder(row.sealed)
      if (under === options.target.name) continue
      if (under === null && row.sealed.startsWith('gAAAA')) report.fernet += 1
      else await reseal(database, row, ring, options, report)
    }
    after = page.last
  }
}

async function reseal(
  database: Database,
  row: KeyRow,
  ring: RootRing,
  { target, sealer, change }: RotateOptions,
  report: RotateReport,
): Promise<void> {
  const context = contextOf(row.provider, row.owner)
  try {
    const sealed = await sealer.seal(await sealer.open(row.sealed, context, ring.known()), context, target)
    const replaced = await changing(database, change, 'key.resealed', (transaction) =>
      replaceSealed(transaction, row, sealed),
    )
    // If nothing was written, somebody stored another key meanwhile, which is sealed under the new root key already.
    if (replaced) report.resealed += 1
  } catch (error) {
    if (!(error instanceof UnreadableKeyError)) throw error
    report.unreadable.push({ key: subjectOfRow(row), problem: error.message })
  }
}
