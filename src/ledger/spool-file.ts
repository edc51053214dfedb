/** The file of a spool: SQLite, locked by its process, and the form in which a closing is written there. */
import { closeSync, openSync, rmSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import type { Close } from './close-batch.ts'
import { storableJson } from './storable.ts'

export const SUFFIX = '.spool'
const OWN_PATIENCE_MS = 2_000

export interface SpoolRow {
  call_id: string
  ledger_id: string
  entry: string
}

/** A file of our own, which somebody looking for orphans may have had in hand for a moment. */
export function openOwnFile(path: string): DatabaseSync {
  closeSync(openSync(path, 'a', 0o600))
  const { ino } = statSync(path)
  const database = openSpoolFile(path, OWN_PATIENCE_MS)
  if (statSync(path, { throwIfNoEntry: false })?.ino === ino) return database
  database.close()
  return openOwnFile(path)
}

/** Locked until it is closed. @throws when another process has it. */
export function openSpoolFile(path: string, timeout = 0): DatabaseSync {
  const database = new DatabaseSync(path, { timeout })
  try {
    database.exec(`
      pragma locking_mode = exclusive;
      pragma journal_mode = wal;
      pragma synchronous = full;
      begin immediate;
      create table if not exists entries (
        call_id text primary key, ledger_id text not null, owner text not null, entry text not null) without rowid;
      create table if not exists probe (id integer primary key, count integer not null);
      commit`)
    return database
  } catch (error) {
    database.close()
    throw error
  }
}

export function transaction(database: DatabaseSync, work: () => void): void {
  database.exec('begin immediate')
  try {
    work()
    database.exec('commit')
  } catch (error) {
    if (database.isTransaction) database.exec('rollback')
    throw error
  }
}

export function discard(directory: string, name: string): void {
  for (const suffix of ['', '-wal', '-shm', '-journal']) rmSync(join(directory, `${name}${suffix}`), { force: true })
}

export function isLocked(error: unknown): boolean {
  const busy = 5
  return (error as { errcode?: number }).errcode === busy
}

/** Amounts as decimal strings of integers; details as they will be stored. */
export function writeEntry({ state, closing }: Close): string {
  return JSON.stringify(
    { state, closing: { ...closing, details: JSON.parse(storableJson(closing.details)) } },
    (_, value) => (typeof value === 'bigint' ? value.toString() : value),
  )
}

/** Null where it can't be read. */
export function readEntry(text: string): Close | null {
  try {
    const { state, closing: written } = JSON.parse(text)
    // Entries of the versions before serviceType was written were all of this one.
    const closing = { serviceType: 'llm_inference', ...written }
    if (state === 'released') return { state, closing }
    const { charge, apiCost, markup } = closing
    return { state, closing: { ...closing, charge: BigInt(charge), apiCost: BigInt(apiCost), markup: BigInt(markup) } }
  } catch {
    return null
  }
}
