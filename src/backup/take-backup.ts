/**
 * Writes every row of the books, of keys and of settings into a folder, as of one instant, while calls run: one read-only transaction,
 * a file for each table in PostgreSQL's own text format, compressed, and a manifest with their checksums at the end.
 * Killed at any point it leaves a folder without a manifest, which nobody takes for a backup.
 */
import { createHash } from 'node:crypto'
import { createWriteStream } from 'node:fs'
import { mkdir, readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { Transform } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { createGzip } from 'node:zlib'
import type pg from 'pg'
import { to as copyTo } from 'pg-copy-streams'
import { withClient } from '../db/with-client.ts'
import { BackupError } from './backup-error.ts'
import { type BackupTable, listTables } from './backup-tables.ts'
import { type Manifest, writeManifest } from './manifest.ts'

/** Fast: what is in a row is mostly ids and numbers. */
const COMPRESSION = { level: 1 }

export interface TakeOptions {
  url: string
  /** Empty, or not there yet. */
  folder: string
  program: string
  /** Told of each table that is written. */
  onTable: (name: string, rows: number) => void
}

/** @throws {BackupError} */
export async function takeBackup({ url, folder, program, onTable }: TakeOptions): Promise<Manifest> {
  await makeEmpty(folder)
  return withClient(url, 'backup', async (client) => {
    await client.query('begin transaction isolation level repeatable read read only')
    await client.query('set local statement_timeout = 0')
    const about = await readAbout(client)
    const tables: Manifest['tables'] = []
    for (const table of await listTables(client)) {
      const written = await writeTable(client, folder, table)
      tables.push(written)
      onTable(table.name, written.rows)
    }
    await client.query('commit')
    const whole = { program, ...about, tables }
    await writeManifest(folder, whole)
    return { format: 1, ...whole }
  })
}

async function makeEmpty(folder: string): Promise<void> {
  await mkdir(folder, { recursive: true, mode: 0o700 })
  if ((await readdir(folder)).length > 0) throw new BackupError(`${folder} is not empty. Name a new folder.`)
}

type About = Pick<Manifest, 'ledger_id' | 'schema' | 'taken_at'>

async function readAbout(client: pg.Client): Promise<About> {
  const { rows } = await client.query<Omit<About, 'taken_at'> & { taken_at: Date }>(
    `select (select ledger_id from tollgate.ledger_identity) as ledger_id, (select max(id) from tollgate.migrations) as schema,
      tollgate.tollgate_now() as taken_at`,
  )
  const { ledger_id, schema, taken_at } = rows[0]!
  return { ledger_id, schema, taken_at: taken_at.toISOString() }
}

async function writeTable(
  client: pg.Client,
  folder: string,
  { name, columns }: BackupTable,
): Promise<Manifest['tables'][number]> {
  const file = `${name}.copy.gz`
  const rows = client.query(copyTo(`copy ${name} (${columns.join(', ')}) to stdout`))
  const hash = createHash('sha256')
  const hashing = new Transform({
    transform(chunk: Buffer, _, pass) {
      hash.update(chunk)
      pass(null, chunk)
    },
  })
  const target = createWriteStream(join(folder, file), { mode: 0o600, flags: 'wx', flush: true })
  await pipeline(rows, createGzip(COMPRESSION), hashing, target)
  return { name, columns, file, rows: rows.rowCount, sha256: hash.digest('hex') }
}
