/** What lies in the spool directory of a process. */
import { readdir, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'

/** One of each process that has not been adopted. */
export async function spoolFiles(directory: string): Promise<string[]> {
  const names = await readdir(directory).catch(() => [])
  return names.filter((name) => name.endsWith('.spool')).map((name) => join(directory, name))
}

/** Settlements that wait. @throws while a process has the file. */
export function entriesIn(file: string): number {
  const spool = new DatabaseSync(file)
  try {
    return Number(spool.prepare('select count(*) as entries from entries').get()?.entries)
  } finally {
    spool.close()
  }
}

/** Bytes of the largest file, the journal of a spool included. */
export async function largestFile(directory: string): Promise<number> {
  const names = await readdir(directory).catch(() => [])
  const sizes = await Promise.all(
    // It may be removed while it is looked at.
    names.map((name) =>
      stat(join(directory, name)).then(
        ({ size }) => size,
        () => 0,
      ),
    ),
  )
  return Math.max(0, ...sizes)
}
