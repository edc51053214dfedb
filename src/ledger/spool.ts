/**
 * Closings the database has not taken yet, on the local disk: one SQLite file a process, locked by it for as long as it lives
 * (the kernel lets go of the lock when it dies, however it dies). An entry is on disk when `add` returns. What a dead process
 * left is adopted by the next one that looks; an entry that was booked meanwhile changes nothing, every closing being idempotent.
 *
 * Fails closed: while the spool can't be written no new paid call starts.
 */
import { closeSync, existsSync, mkdirSync, openSync, readdirSync, rmSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { setImmediate as nextTurn } from 'node:timers/promises'
import type { Close } from './close-batch.ts'
import { storableJson } from './storable.ts'

const SUFFIX = '.spool'
const REMOVE_MS = 200
const OWN_PATIENCE_MS = 2_000

export interface SpoolOptions {
  directory: string
  /** Of this process, which its file is named after; kept with every entry. */
  id: string
  /** Entries of another ledger are never booked here. */
  ledgerId: string
  onTrouble: (what: string, error: unknown) => void
}

export interface Spool {
  /** Whether the last write succeeded. */
  readonly writable: boolean
  /** Entries in this process's file. */
  readonly size: number
  /** Resolves when it is on disk, together with whatever else comes in the same turn of the loop. Rejects when it can't be. */
  add(close: Close): Promise<void>
  /** It is on the books. Done when there is time: an entry left behind changes nothing. */
  remove(callId: string): void
  /** Tries a write where the last one failed. */
  probe(): void
  /** Takes over what dead processes left: each entry, to be booked and then told so by `booked`. */
  adopt(): Adopted[]
  /** Keeps the file where it still has entries. */
  close(): void
}

export interface Adopted {
  close: Close
  booked(): void
}

/** @throws when the directory or the file can't be made. */
export function openSpool({ directory, id, ledgerId, onTrouble }: SpoolOptions): Spool {
  mkdirSync(directory, { recursive: true, mode: 0o700 })
  const file = join(directory, `${id}${SUFFIX}`)
  const database = openOwn(file)
  const insert = database.prepare(
    'insert or replace into entries (call_id, ledger_id, owner, entry) values (?, ?, ?, ?)',
  )
  const remove = database.prepare('delete from entries where call_id = ?')
  const touch = database.prepare('insert or replace into probe (id, count) values (1, ?)')
  const adoptedFiles = new Set<string>()
  const held = new Set<string>()
  let writable = true
  let probes = 0
  let adding: { entries: Close[]; written: Promise<void> } | null = null
  const removing: string[] = []
  let timer: NodeJS.Timeout | undefined

  function write(work: () => void): void {
    try {
      work()
      writable = true
    } catch (error) {
      writable = false
      throw error
    }
  }

  function adoptFile(name: string): Adopted[] {
    const orphan = openFile(join(directory, name))
    const rows = orphan.prepare('select call_id, ledger_id, entry from entries').all() as unknown as Row[]
    const ours = rows.filter((row) => row.ledger_id === ledgerId).map((row) => ({ row, close: readEntry(row.entry) }))
    const readable = ours.flatMap(({ row, close }) => (close === null ? [] : [{ row, close }]))
    const foreign = rows.length - readable.length
    if (foreign > 0) {
      const what = ours.length === readable.length ? 'of another ledger' : 'that can not be read'
      onTrouble('spool', new Error(`${name} holds ${foreign} closings ${what}; they are left alone`))
    }
    let left = readable.length
    const finish = () => {
      if (left > 0) return
      // Under the lock: a process that is just making this file sees that it is gone, and makes another.
      if (foreign === 0) discard(directory, name)
      orphan.close()
    }
    if (left > 0 || foreign > 0) adoptedFiles.add(name)
    finish()
    const forget = left > 0 ? orphan.prepare('delete from entries where call_id = ?') : null
    return readable.map(({ row, close }) => ({
      close,
      booked() {
        forget?.run(row.call_id)
        left -= 1
        finish()
      },
    }))
  }

  function namesIn(folder: string): string[] {
    try {
      return readdirSync(folder)
    } catch (error) {
      onTrouble('spool', error)
      return []
    }
  }

  function insertEntry(close: Close): void {
    insert.run(close.closing.callId, ledgerId, id, writeEntry(close))
  }

  function removeBooked(): void {
    timer = undefined
    const booked = removing.splice(0)
    try {
      // Not worth a flush.
      database.exec('pragma synchronous = normal')
      transaction(database, () => {
        for (const callId of booked) remove.run(callId)
      })
    } catch (error) {
      onTrouble('spool', error)
    } finally {
      database.exec('pragma synchronous = full')
    }
  }

  return {
    get writable() {
      return writable
    },
    get size() {
      return held.size
    },
    add(close) {
      if (adding === null) {
        const entries: Close[] = []
        const written = nextTurn().then(() => {
          adding = null
          write(() => transaction(database, () => entries.forEach(insertEntry)))
          for (const { closing } of entries) held.add(closing.callId)
        })
        adding = { entries, written }
      }
      adding.entries.push(close)
      return adding.written
    },
    remove(callId) {
      if (!held.delete(callId)) return
      removing.push(callId)
      timer ??= setTimeout(removeBooked, REMOVE_MS).unref()
    },
    probe() {
      if (!existsSync(file)) {
        writable = false
        onTrouble('spool', new Error(`${file} is gone, and with it what was in it. Restart to begin another.`))
        return
      }
      if (writable) return
      try {
        write(() => touch.run(++probes))
      } catch (error) {
        onTrouble('spool', error)
      }
    },
    adopt() {
      const found: Adopted[] = []
      for (const name of namesIn(directory)) {
        if (!name.endsWith(SUFFIX) || name === `${id}${SUFFIX}` || adoptedFiles.has(name)) continue
        try {
          found.push(...adoptFile(name))
        } catch (error) {
          if (!isLocked(error)) onTrouble('spool', error)
        }
      }
      return found
    },
    close() {
      clearTimeout(timer)
      if (removing.length > 0) removeBooked()
      database.close()
      if (held.size === 0) discard(directory, `${id}${SUFFIX}`)
    },
  }
}

interface Row {
  call_id: string
  ledger_id: string
  entry: string
}

/** A file of our own, which somebody looking for orphans may have had in hand for a moment. */
function openOwn(path: string): DatabaseSync {
  closeSync(openSync(path, 'a', 0o600))
  const { ino } = statSync(path)
  const database = openFile(path, OWN_PATIENCE_MS)
  if (statSync(path, { throwIfNoEntry: false })?.ino === ino) return database
  database.close()
  return openOwn(path)
}

/** Locked until it is closed. @throws when another process has it. */
function openFile(path: string, timeout = 0): DatabaseSync {
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

function transaction(database: DatabaseSync, work: () => void): void {
  database.exec('begin immediate')
  try {
    work()
    database.exec('commit')
  } catch (error) {
    if (database.isTransaction) database.exec('rollback')
    throw error
  }
}

function discard(directory: string, name: string): void {
  for (const suffix of ['', '-wal', '-shm', '-journal']) rmSync(join(directory, `${name}${suffix}`), { force: true })
}

function isLocked(error: unknown): boolean {
  const busy = 5
  return (error as { errcode?: number }).errcode === busy
}

/** Amounts as decimal strings of integers; details as they will be stored. */
function writeEntry({ state, closing }: Close): string {
  return JSON.stringify(
    { state, closing: { ...closing, details: JSON.parse(storableJson(closing.details)) } },
    (_, value) => (typeof value === 'bigint' ? value.toString() : value),
  )
}

/** Null where it can't be read. */
function readEntry(text: string): Close | null {
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
