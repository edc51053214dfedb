/**
 * Takes over the spools that dead processes left in the directory. A live process holds the lock of its own; what a file of another
 * ledger holds, or what can't be read, is left alone and told.
 */
import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import type { Close } from './close-batch.ts'
import { discard, isLocked, openSpoolFile, readEntry, type SpoolRow, SUFFIX } from './spool-file.ts'

export interface Adopted {
  close: Close
  booked(): void
}

export interface AdoptOptions {
  directory: string
  /** The file of this process. */
  ownName: string
  ledgerId: string
  onTrouble: (what: string, error: unknown) => void
}

/** Returns a function that looks for orphans and returns their entries. A file is taken over once. */
export function createAdopt({ directory, ownName, ledgerId, onTrouble }: AdoptOptions): () => Adopted[] {
  const adoptedFiles = new Set<string>()

  function adoptFile(name: string): Adopted[] {
    const orphan = openSpoolFile(join(directory, name))
    const rows = orphan.prepare('select call_id, ledger_id, entry from entries').all() as unknown as SpoolRow[]
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

  return function adopt() {
    const found: Adopted[] = []
    for (const name of namesIn(directory)) {
      if (!name.endsWith(SUFFIX) || name === ownName || adoptedFiles.has(name)) continue
      try {
        found.push(...adoptFile(name))
      } catch (error) {
        if (!isLocked(error)) onTrouble('spool', error)
      }
    }
    return found
  }
}
