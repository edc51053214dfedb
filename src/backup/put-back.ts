/**
 * Puts a backup into an empty database: all of it in one transaction, or nothing. The rows are those of the backup to the byte, sums
 * included: no trigger runs, so nothing is counted twice. The books are to be audited afterwards.
 */
import { createHash } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { join } from 'node:path'
import { pipeline } from 'node:stream/promises'
import { createGunzip } from 'node:zlib'
import type pg from 'pg'
import { from as copyFrom } from 'pg-copy-streams'
import { migrate } from '../db/migrate.ts'
import { withClient } from '../db/with-client.ts'
import { BackupError } from './backup-error.ts'
import { type BackupTable, listTables } from './backup-tables.ts'
import { type Manifest, readManifest } from './manifest.ts'

export interface PutBackOptions {
  url: string
  folder: string
  onTable: (name: string, rows: number) => void
}

/** @throws {BackupError} where the backup is damaged or of another schema, or the database is not empty: nothing is changed then. */
export async function putBack({ url, folder, onTable }: PutBackOptions): Promise<Manifest> {
  const manifest = await readManifest(folder)
  for (const { file, sha256 } of manifest.tables) await verify(join(folder, file), sha256)
  await migrate(url)
  return withClient(url, 'restore', async (client) => {
    await client.query('begin')
    await client.query("set local statement_timeout = 0; set local lock_timeout = '5s'")
    await load(client, folder, manifest, onTable)
    await client.query('commit')
    // Plans that are made before there are statistics read tables whole.
    await client.query('analyze')
    return manifest
  })
}

async function load(
  client: pg.Client,
  folder: string,
  manifest: Manifest,
  onTable: PutBackOptions['onTable'],
): Promise<void> {
  const tables = await listTables(client)
  const names = tables.map(({ name }) => name)
  await client.query(`lock table ${names.join(', ')} in access exclusive mode`)
  await requireSameSchema(client, manifest, tables)
  await requireEmpty(client)
  for (const name of names) await client.query(`alter table ${name} disable trigger user`)
  await client.query(`truncate ${names.join(', ')}`)
  for (const { name, identity } of tables) {
    const saved = manifest.tables.find((one) => one.name === name)!
    const rows = await readTable(client, join(folder, saved.file), saved)
    if (rows !== saved.rows) throw new BackupError(`${saved.file} has ${rows} rows, not ${saved.rows}.`)
    if (identity !== null)
      await client.query(
        `select setval($1, greatest((select max(${identity.column}) from ${name}), 1), exists (select from ${name}))`,
        [identity.sequence],
      )
    onTable(name, rows)
  }
  // References that are checked at the end of a transaction are checked now: until then no table can be altered.
  await client.query('set constraints all immediate')
  for (const name of names) await client.query(`alter table ${name} enable trigger user`)
}

async function requireSameSchema(client: pg.Client, manifest: Manifest, tables: readonly BackupTable[]): Promise<void> {
  const { rows } = await client.query<{ schema: number }>('select max(id) as schema from tollgate.migrations')
  const isSame =
    rows[0]?.schema === manifest.schema &&
    manifest.tables.length === tables.length &&
    tables.every(({ name, columns }) =>
      manifest.tables.some((saved) => saved.name === name && saved.columns.join() === columns.join()),
    )
  if (isSame) return
  throw new BackupError(
    `The backup has the schema of Tollgate ${manifest.program} (${manifest.schema}), this program ${rows[0]?.schema}. Restore it with that version, then upgrade.`,
  )
}

/** What migrations themselves put in is replaced: the organization `default` among it. */
async function requireEmpty(client: pg.Client): Promise<void> {
  const { rows } = await client.query<{ used: boolean }>(
    `select exists (select from public.organizations where name <> 'default') or exists (select from tollgate.ledger_journal)
      or exists (select from tollgate.ledger_processes where stopped_at is null and lease_until > tollgate.tollgate_now()) as used`,
  )
  if (rows[0]?.used === true)
    throw new BackupError(
      'The database is in use: it has organizations, or a process runs on it. Restore into an empty one.',
    )
}

async function verify(path: string, sha256: string): Promise<void> {
  const hash = createHash('sha256')
  try {
    await pipeline(createReadStream(path), hash)
  } catch (error) {
    throw new BackupError(`${path} can't be read: ${(error as Error).message}.`, { cause: error })
  }
  if (hash.digest('hex') !== sha256) throw new BackupError(`${path} is damaged: its checksum is another one.`)
}

async function readTable(
  client: pg.Client,
  path: string,
  { name, columns }: Manifest['tables'][number],
): Promise<number> {
  const rows = client.query(copyFrom(`copy ${name} (${columns.join(', ')}) from stdin`))
  await pipeline(createReadStream(path), createGunzip(), rows)
  return rows.rowCount
}
