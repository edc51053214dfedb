/** `tollgate backup` and `tollgate restore`. */
import { BackupError } from '../backup/backup-error.ts'
import type { Manifest } from '../backup/manifest.ts'
import { putBack } from '../backup/put-back.ts'
import { takeBackup } from '../backup/take-backup.ts'
import { embeddedStoreExists } from '../db/embedded.ts'
import { auditPatiently, checkedBy } from './audit.ts'
import { databaseConfig } from './database-config.ts'
import { CommandError, EXIT } from './exit.ts'
import { asCommandError, openServer, openStore } from './open-store.ts'
import type { Options } from './options.ts'
import { version } from './version.ts'

const say = (line: string): void => void process.stderr.write(`${line}\n`)
const onTable = (name: string, rows: number): void => say(`${String(rows).padStart(12)} rows of ${name}`)

export async function backup(options: Options): Promise<number> {
  const config = await databaseConfig(options, say)
  const embedded = !(options.env.DATABASE_URL || config.databaseUrl)
  if (embedded && !(await embeddedStoreExists(options.dataDir)))
    throw new CommandError(
      EXIT.database,
      `There are no books in ${options.dataDir}. Name another folder with --data-dir.`,
    )
  const store = await openStore(options, config, say)
  try {
    const manifest = await takeBackup({ url: store.url, folder: options.to, program: version(), onTable })
    process.stdout.write(`${describe(manifest)} is in ${options.to}.\n`)
    say('It holds sealed provider keys and hashes of API keys: keep it like the database, and the root key elsewhere.')
    return EXIT.ok
  } catch (error) {
    throw failure(error)
  } finally {
    await store.close()
  }
}

export async function restore(options: Options): Promise<number> {
  const server = await openServer(options, await databaseConfig(options, say), say)
  try {
    const manifest = await putBack({ url: server.url, folder: options.from, onTable })
    process.stdout.write(`${describe(manifest)} is restored.\n`)
    return await auditRestored(server.url)
  } catch (error) {
    throw error instanceof BackupError || error instanceof CommandError ? failure(error) : asCommandError(error, server)
  } finally {
    await server.close()
  }
}

/** A backup of wrong books is restored as it was; it is said. */
async function auditRestored(url: string): Promise<number> {
  const report = await auditPatiently(url)
  const { findings } = report
  const checked = checkedBy(report)
  const isRight = findings.length === 0
  const words = isRight
    ? `The books are right: ${checked}.`
    : `${findings.length} differences in ${checked}: tollgate audit prints them.`
  process.stdout.write(`${words}\n`)
  return isRight ? EXIT.ok : EXIT.failed
}

function describe({ taken_at, tables }: Manifest): string {
  return `The backup of ${taken_at} (${tables.reduce((sum, { rows }) => sum + rows, 0)} rows)`
}

function failure(error: unknown): unknown {
  return error instanceof BackupError ? new CommandError(EXIT.failed, error.message, { cause: error }) : error
}
