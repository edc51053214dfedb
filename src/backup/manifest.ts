/** What a backup says of itself. It is written last: a folder without one is not whole. */
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { z } from 'zod'
import { BackupError } from './backup-error.ts'

const MANIFEST = 'manifest.json'
const FORMAT = 1

const manifest = z.object({
  format: z.literal(FORMAT),
  /** The Tollgate that made it. */
  program: z.string(),
  ledger_id: z.uuid(),
  /** The last migration that was applied. */
  schema: z.number().int(),
  taken_at: z.iso.datetime(),
  tables: z.array(
    z.object({
      name: z.string(),
      columns: z.array(z.string()),
      /** Within the folder. */
      file: z.string().regex(/^[a-z_.]+\.copy\.gz$/),
      rows: z.number().int(),
      /** SHA-256 of the file, in hex. */
      sha256: z.string().regex(/^[0-9a-f]{64}$/),
    }),
  ),
})

export type Manifest = z.output<typeof manifest>

export async function writeManifest(folder: string, written: Omit<Manifest, 'format'>): Promise<void> {
  const text = `${JSON.stringify({ format: FORMAT, ...written }, null, 2)}\n`
  await writeFile(join(folder, MANIFEST), text, { mode: 0o600, flag: 'wx', flush: true })
}

/** @throws {BackupError} for what is no backup, or not a whole one. */
export async function readManifest(folder: string): Promise<Manifest> {
  let text: string
  try {
    text = await readFile(join(folder, MANIFEST), 'utf8')
  } catch (error) {
    const message = `${folder} is no backup, or one that was broken off: it has no ${MANIFEST}.`
    throw new BackupError(message, { cause: error })
  }
  const read = manifest.safeParse(parsed(text))
  if (read.success) return read.data
  throw new BackupError(
    `${join(folder, MANIFEST)} is damaged, or of a later Tollgate: ${read.error.issues[0]?.message}.`,
  )
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return null
  }
}
