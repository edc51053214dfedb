/**
 * Decides where the embedded PostgreSQL of a data directory lives: in the data directory or, when we are root and the
 * unprivileged user of the server can't reach that, under /var/lib/tollgate. Every process comes to the same answer by itself.
 */
import { createHash, randomUUID } from 'node:crypto'
import { lstat, mkdir, readFile, realpath, rename, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { directoryOwner, privateDirectory, systemDirectory } from './embedded-directory.ts'
import { EmbeddedStoreError, errorCode, explaining } from './embedded-error.ts'
import { canEnter, type ServerUser, serverUser } from './embedded-user.ts'

export interface StorePlace {
  /** Holds the cluster, the log and (where its path is short enough) the socket. 0700, owned by `user`. */
  root: string
  cluster: string
  log: string
  socketDirectory: string
  user: ServerUser
}

/** What `postgres.json` in a data directory says when its cluster lives elsewhere. */
interface PlaceRecord {
  /** The data directory this was written for; another one than it lies in after a move or a copy. */
  dataDirectory: string
  place: string
}

const recordName = 'postgres.json'
/** In a place outside its data directory: the path of that data directory. */
const backReference = 'data-directory'

/** `sockaddr_un.sun_path` has 108 bytes on Linux and 104 on macOS and the BSDs, the closing NUL included. */
const longestSocketPath = process.platform === 'linux' ? 107 : 103

/**
 * Whether a data directory has an embedded store, running or not. True also when it is there but closed to this user:
 * the one who asks must not take it for a fresh directory.
 */
export async function embeddedStoreExists(dataDir: string): Promise<boolean> {
  for (const path of [join(dataDir, 'postgres', 'cluster', 'PG_VERSION'), join(dataDir, recordName)]) {
    try {
      await stat(path)
      return true
    } catch (thrown) {
      if (errorCode(thrown) === 'EACCES') return true
    }
  }
  return false
}

/** @param systemDir where root keeps what the server's user must reach; `/var/lib/tollgate` outside tests. */
export async function findPlace(dataDir: string, systemDir: string): Promise<StorePlace> {
  const asRoot = process.getuid?.() === 0
  const home = await explaining(`Can't use the data directory ${dataDir}`, async () => {
    // Root's is open to pass through, or the user that the server runs as could not get at the cluster in it.
    await mkdir(dataDir, { recursive: true, mode: asRoot ? 0o711 : 0o700 })
    return await realpath(dataDir)
  })
  const { root, user } = asRoot ? await rootsPlace(home, systemDir) : await ownPlace(home)
  await privateDirectory(root, user)
  if (user.borrowed && !(await canEnter(user, root))) {
    throw new EmbeddedStoreError(
      `PostgreSQL runs as user ${user.name}, which can't reach its data in ${root}. Let others pass through the directories above it (chmod o+x), or set DATABASE_URL.`,
    )
  }
  if (root !== join(home, 'postgres')) await writeWhole(join(root, backReference), home)
  const socketDirectory = await findSocketDirectory(root, user)
  return { root, cluster: join(root, 'cluster'), log: join(root, 'postgres.log'), socketDirectory, user }
}

async function ownPlace(home: string): Promise<{ root: string; user: ServerUser }> {
  const record = await readRecord(home)
  if (record !== null) {
    throw new EmbeddedStoreError(
      `The data of ${home} was set up by root and lives in ${record.place}. Run Tollgate as root, set DATABASE_URL, or choose another data directory.`,
    )
  }
  return { root: join(home, 'postgres'), user: await serverUser(null) }
}

async function rootsPlace(home: string, systemDir: string): Promise<{ root: string; user: ServerUser }> {
  const local = join(home, 'postgres')
  const elsewhere = join(systemDir, shortHash(home))
  const recorded = await recordedPlace(home, systemDir)
  for (const root of recorded === null ? [local, elsewhere] : [recorded]) {
    const owner = await explaining(`Can't use ${root}`, () => directoryOwner(join(root, 'cluster')))
    if (owner === null) continue
    if (owner.uid === 0) {
      throw new EmbeddedStoreError(
        `${root} belongs to root, and PostgreSQL may not run as root. Give it to the user it shall run as, for one: chown -R nobody ${root}`,
      )
    }
    if (root === elsewhere && recorded === null) await claim(home, elsewhere)
    return { root, user: await serverUser(owner) }
  }
  const user = await serverUser(null)
  if (recorded === null && (await canEnter(user, home))) return { root: local, user }
  await systemDirectory(systemDir)
  if (recorded === null) await writeRecord(home, elsewhere)
  return { root: recorded ?? elsewhere, user }
}

/**
 * Writes into `home` that its data lives in `place`, for a directory that was moved or that lost its `postgres.json`. Not
 * when another directory has that place: two Tollgates must not share a ledger unknowingly.
 */
async function claim(home: string, place: string): Promise<void> {
  const holder = await readFile(join(place, backReference), 'utf8').catch(() => home)
  if (holder !== home && (await readRecord(holder))?.place === place) {
    throw new EmbeddedStoreError(
      `The data in ${place} belongs to ${holder}, of which ${home} is a copy or whose path it was. To begin with an empty ledger instead, remove ${join(home, recordName)} from a copy, or use a new path.`,
    )
  }
  await writeRecord(home, place)
}

/** The place that `postgres.json` names, or null. Only our own kind of place is believed, and no copy of a directory. */
async function recordedPlace(home: string, systemDir: string): Promise<string | null> {
  const record = await readRecord(home)
  if (record === null) return null
  const { place, dataDirectory } = record
  const recordPath = join(home, recordName)
  if (!/^[0-9a-f]{16}$/.test(place.slice(systemDir.length + 1)) || !place.startsWith(`${systemDir}/`)) {
    throw new EmbeddedStoreError(`${recordPath} names ${place}, which is no place of Tollgate's. Correct or remove it.`)
  }
  if (dataDirectory !== home) await claim(home, place)
  return place
}

async function readRecord(home: string): Promise<PlaceRecord | null> {
  const path = join(home, recordName)
  try {
    const content: unknown = JSON.parse(await readFile(path, 'utf8'))
    if (typeof content === 'object' && content !== null && 'dataDirectory' in content && 'place' in content) {
      const { dataDirectory, place } = content
      if (typeof dataDirectory === 'string' && typeof place === 'string') return { dataDirectory, place }
    }
  } catch (thrown) {
    if (['ENOENT', 'ENOTDIR'].includes(errorCode(thrown) ?? '')) return null
    throw new EmbeddedStoreError(
      `Can't read ${path}, which says where the data of ${home} lives. Correct or remove it.`,
      thrown,
    )
  }
  throw new EmbeddedStoreError(`${path} does not say where the data of ${home} lives. Correct or remove it.`)
}

async function writeRecord(home: string, place: string): Promise<void> {
  const record: PlaceRecord & { about: string } = {
    about: "Tollgate's database lives elsewhere, as the user that PostgreSQL runs as can't reach this directory.",
    dataDirectory: home,
    place,
  }
  await writeWhole(join(home, recordName), `${JSON.stringify(record, null, 2)}\n`)
}

/** By rename: another process that starts at this instant must not read half of it. */
async function writeWhole(path: string, content: string): Promise<void> {
  await explaining(`Can't write ${path}`, async () => {
    const temporary = `${path}.${randomUUID()}`
    await writeFile(temporary, content, { mode: 0o644, flag: 'wx' })
    await rename(temporary, path)
  })
}

/** The store's own directory or, where that makes the socket's path too long for the system, a private one for temporary files. */
async function findSocketDirectory(root: string, user: ServerUser): Promise<string> {
  if (fits(root)) return root
  const name = `tollgate-${shortHash(root)}`
  for (const base of [tmpdir(), '/tmp']) {
    const path = join(base, name)
    const isThere = await lstat(base).then(
      () => true,
      () => false,
    )
    if (!fits(path) || !isThere || (user.borrowed && !(await canEnter(user, base)))) continue
    await privateDirectory(path, user)
    return path
  }
  throw new EmbeddedStoreError(
    `${root} is too long a path for a socket and there is no usable directory for temporary files. Choose a data directory with a shorter path.`,
  )
}

function fits(directory: string): boolean {
  return Buffer.byteLength(join(directory, '.s.PGSQL.5432')) <= longestSocketPath
}

function shortHash(path: string): string {
  return createHash('sha256').update(path).digest('hex').slice(0, 16)
}
