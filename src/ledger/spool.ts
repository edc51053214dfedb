/**
 * Closings the database has not taken yet, on the local disk: one SQLite file a process, locked by it for as long as it lives
 * (the kernel lets go of the lock when it dies, however it dies). An entry is on disk when `add` returns. What a dead process
 * left is adopted by the next one that looks; an entry that was booked meanwhile changes nothing, every closing being idempotent.
 *
 * Fails closed: while the spool can't be written no new paid call starts.
 */
import { existsSync, mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { type Adopted, createAdopt } from './adopt-spools.ts'
import type { Close } from './close-batch.ts'
import { discard, openOwnFile, SUFFIX, transaction, writeEntry } from './spool-file.ts'

const REMOVE_MS = 200

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

/** @throws when the directory or the file can't be made. */
export function openSpool({ directory, id, ledgerId, onTrouble }: SpoolOptions): Spool {
  mkdirSync(directory, { recursive: true, mode: 0o700 })
  const name = `${id}${SUFFIX}`
  const file = join(directory, name)
  const database = openOwnFile(file)
  const insert = database.prepare(
    'insert or replace into entries (call_id, ledger_id, owner, entry) values (?, ?, ?, ?)',
  )
  const insertEntry = (close: Close) => insert.run(close.closing.callId, ledgerId, id, writeEntry(close))
  const remove = database.prepare('delete from entries where call_id = ?')
  const touch = database.prepare('insert or replace into probe (id, count) values (1, ?)')
  const adopt = createAdopt({ directory, ownName: name, ledgerId, onTrouble })
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
    adopt,
    close() {
      clearTimeout(timer)
      if (removing.length > 0) removeBooked()
      database.close()
      if (held.size === 0) discard(directory, name)
    },
  }
}
