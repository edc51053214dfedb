/**
 * Directories the embedded PostgreSQL trusts. Whoever can plant one of them reads the ledger or poses as it, so each is
 * opened without following a link and judged by its open handle. Fails closed: a directory that isn't ours stops the start.
 */
import { constants } from 'node:fs'
import { type FileHandle, lstat, mkdir, open, readdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { EmbeddedStoreError, errorCode, explaining } from './embedded-error.ts'
import type { ServerUser } from './embedded-user.ts'

/** Makes `path` a directory of mode 0700 that `user` owns, or throws if it is a link or somebody else's. */
export async function privateDirectory(path: string, user: ServerUser): Promise<void> {
  await explaining(`Can't use ${path}`, async () => {
    await makeDirectory(path, 0o700)
    const handle = await openDirectory(path)
    try {
      const { uid, mode } = await handle.stat()
      // Root makes it, then gives it away; a second process of root may look in between.
      if (uid !== user.uid && uid === 0 && user.borrowed) await handle.chown(user.uid, user.gid)
      else if (uid !== user.uid) throw foreign(path, uid, user.name)
      if ((mode & 0o077) !== 0) await handle.chmod(0o700)
    } finally {
      await handle.close()
    }
  })
}

/** Makes root's own directory for what the server's user must reach: root alone may write in it, anyone may pass through. */
export async function systemDirectory(path: string): Promise<void> {
  await explaining(`Can't use ${path}`, async () => {
    await mkdir(path, { recursive: true, mode: 0o711 })
    const handle = await openDirectory(path)
    try {
      const { uid, mode } = await handle.stat()
      if (uid !== 0) throw foreign(path, uid, 'root')
      if ((mode & 0o022) !== 0) {
        throw new EmbeddedStoreError(
          `${path} can be written by others than root. Check what is in it, then run: chmod 711 ${path}`,
        )
      }
      if ((mode & 0o001) === 0) await handle.chmod(0o711)
    } finally {
      await handle.close()
    }
  })
}

/** The owner of a directory; null when nothing is there. A link is not followed, and refused. */
export async function directoryOwner(path: string): Promise<{ uid: number; gid: number } | null> {
  try {
    const found = await lstat(path)
    if (!found.isDirectory()) throw notDirectory(path)
    return { uid: found.uid, gid: found.gid }
  } catch (thrown) {
    if (errorCode(thrown) === 'ENOENT') return null
    throw thrown
  }
}

/** Forces the names in a directory to disk: a rename survives a power cut only after this. */
export async function syncDirectory(path: string): Promise<void> {
  const handle = await open(path, constants.O_RDONLY)
  try {
    await handle.sync()
  } finally {
    await handle.close()
  }
}

/** Removes what processes that died on the way left under `prefix`: older than ten minutes, so nobody can be at it still. */
export async function removeLeftovers(directory: string, prefix: string): Promise<void> {
  for (const name of await readdir(directory)) {
    if (!name.startsWith(prefix)) continue
    const path = join(directory, name)
    const found = await lstat(path).catch(() => null)
    if (found === null || Date.now() - found.mtimeMs < 600_000) continue
    await rm(path, { recursive: true, force: true }).catch(() => {})
  }
}

async function makeDirectory(path: string, mode: number): Promise<void> {
  try {
    await mkdir(path, { mode })
  } catch (thrown) {
    if (errorCode(thrown) !== 'EEXIST') throw thrown
  }
}

async function openDirectory(path: string): Promise<FileHandle> {
  try {
    return await open(path, constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW)
  } catch (thrown) {
    const code = errorCode(thrown)
    if (code === 'ELOOP' || code === 'ENOTDIR') throw notDirectory(path)
    if (code === 'EACCES') throw foreign(path, (await lstat(path)).uid, `uid ${process.getuid?.() ?? '?'}`)
    throw thrown
  }
}

function notDirectory(path: string): EmbeddedStoreError {
  return new EmbeddedStoreError(
    `${path} is a link or a file, and Tollgate needs a directory of its own there. Move it away and start again.`,
  )
}

function foreign(path: string, owner: number, expected: string): EmbeddedStoreError {
  return new EmbeddedStoreError(
    `${path} belongs to uid ${owner}, not to ${expected}. Run Tollgate as that user or as root, or move the directory away if it is not Tollgate's.`,
  )
}
