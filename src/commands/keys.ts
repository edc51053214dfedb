/** `tollgate keys rotate` and `tollgate keys import-fernet`: seal stored provider keys anew, and print what was done as JSON. */
import { randomBytes } from 'node:crypto'
import { rename, rm } from 'node:fs/promises'
import type { Database } from '../db/connect.ts'
import type { Change } from '../vault/audit-log.ts'
import { importFernet } from '../vault/import-fernet.ts'
import { newRoot, type RootConfig, readRootFile, rootKeyText, writeSecret } from '../vault/root-config.ts'
import { type RawRoot, type Root, RootKeyError, rootWeakness } from '../vault/root-key.ts'
import { type RotateReport, rotate } from '../vault/rotate.ts'
import { createSealer } from '../vault/sealer.ts'
import { EXIT } from './exit.ts'
import type { Options } from './options.ts'
import { asCommandError, requireRootConfig } from './root-config.ts'
import { withPrepared } from './with-store.ts'

const PATIENCE_MS = 30_000

export function keysRotate(options: Options): Promise<number> {
  return withKeys(options, (database, root) => {
    const { newRootKeyFile } = options
    if (root.ownFile === null) return toGivenRoot(database, root, newRootKeyFile)
    if (newRootKeyFile === null) return toNewOwnRoot(database, root, root.ownFile)
    throw new RootKeyError(
      `Tollgate keeps the root key of its own store in ${root.ownFile} and makes the next one itself: leave --new-root-key-file out.`,
    )
  })
}

export function keysImportFernet(options: Options): Promise<number> {
  return withKeys(options, (database, { roots, fernetKeys }) =>
    importFernet(database, {
      roots,
      fernetKeys,
      change: changeBy('tollgate keys import-fernet'),
    }),
  )
}

async function withKeys(
  options: Options,
  work: (database: Database, root: RootConfig) => Promise<{ unreadable: unknown[] }>,
): Promise<number> {
  const report = await withPrepared(
    options,
    (config, say) => requireRootConfig(options, config, say),
    (database, root) => asCommandError(() => work(database, root)),
  )
  process.stdout.write(`${JSON.stringify(report, null, 2)}\n`)
  return report.unreadable.length === 0 ? EXIT.ok : EXIT.failed
}

/** The key to rotate to: the first one of the file, else the one in KMS. */
async function toGivenRoot(database: Database, { roots }: RootConfig, file: string | null): Promise<RotateReport> {
  const [first] =
    file === null ? roots.filter(({ kind }) => kind === 'kms') : await readRootFile(file, '--new-root-key-file')
  if (first === undefined) {
    throw new RootKeyError(
      'Name a file with the next root key: openssl rand -base64 32 > next-root-key, then --new-root-key-file next-root-key; ' +
        'or set TOLLGATE_KMS_KEY_ARN to rotate to KMS.',
    )
  }
  const weakness = first.kind === 'raw' ? rootWeakness(first) : null
  if (weakness !== null)
    throw new RootKeyError(`The new root key ${weakness}. Take 32 random bytes: openssl rand -base64 32`)
  return run(database, roots, first)
}

/** The file can open the stored keys at every instant: it holds both root keys first, and the new one alone at the end. */
async function toNewOwnRoot(database: Database, { roots }: RootConfig, file: string): Promise<RotateReport> {
  const own = roots.filter((root): root is RawRoot => root.kind === 'raw')
  // An interrupted rotation left both of its keys in the file.
  const next = own.length > 1 ? own.at(-1)! : newRoot()
  await replaceFile(file, [...own.filter(({ name }) => name !== next.name), next])
  const report = await run(database, roots, next)
  await replaceFile(file, [next])
  return report
}

function run(database: Database, roots: readonly Root[], target: Root): Promise<RotateReport> {
  const change = changeBy('tollgate keys rotate')
  return rotate(database, { roots, target, sealer: createSealer(), change, patienceMs: PATIENCE_MS })
}

async function replaceFile(file: string, roots: readonly RawRoot[]): Promise<void> {
  const temporary = `${file}.${randomBytes(6).toString('hex')}.new`
  try {
    await writeSecret(temporary, rootKeyText(roots))
    await rename(temporary, file)
  } finally {
    await rm(temporary, { force: true })
  }
}

/** A container's user may have no name. */
function changeBy(command: string): Change {
  return { actor: `${command}, uid ${process.getuid?.() ?? 'unknown'}`, ip: null, requestId: null }
}
