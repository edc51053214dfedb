/**
 * Decides where the embedded PostgreSQL of a data directory lives: in the data directory or, when we are root and the
 * unprivileged user of the server can't reach that, in a folder under /var/lib/tollgate that the data directory names. Every process
 * finds the same place by itself. A data directory that names none is a new one, also where an earlier one had the same path:
 * the root key that opens the provider keys of the earlier store went with it.
 */
import { createHash, randomBytes, randomUUID } from 'node:crypto'
import { link, lstat, mkdir, readdir, readFile, realpath, rename, rm, stat, writeFile } from 'node:fs/promises'
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
  /** Stores that earlier data directories of the same path left; named only when a new one was begun beside them. */
  earlier: readonly string[]
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
/** Of a folder in the system directory. */
const placeName = /^[0-9a-f]{16}$/

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
  const { root, user, earlier = [] } = asRoot ? await rootsPlace(home, systemDir) : await ownPlace(home)
  await privateDirectory(root, user)
  if (user.borrowed && !(await canEnter(user, root))) {
    throw new EmbeddedStoreError(
      `PostgreSQL runs as user ${user.name}, which can't reach its data in ${root}. Let others pass through the directories above it (chmod o+x), or set DATABASE_URL.`,
    )
  }
  if (root !== join(home, 'postgres')) await writeWhole(join(root, backReference), home)
  const socketDirectory = await findSocketDirectory(root, user)
  return { root, cluster: join(root, 'cluster'), log: join(root, 'postgres.log'), socketDirectory, user, earlier }
}

type Root = Pick<StorePlace, 'root' | 'user'> & { earlier?: readonly string[] }

async function ownPlace(home: string): Promise<Root> {
  const record = await readRecord(home)
  if (record !== null) {
    throw new EmbeddedStoreError(
      `The data of ${home} was set up by root and lives in ${record.place}. Run Tollgate as root, set DATABASE_URL, or choose another data directory.`,
    )
  }
  return { root: join(home, 'postgres'), user: await serverUser(null) }
}

async function rootsPlace(home: string, systemDir: string): Promise<Root> {
  const local = join(home, 'postgres')
  const recorded = await recordedPlace(home, systemDir)
  const root = recorded ?? local
  const owner = await explaining(`Can't use ${root}`, () => directoryOwner(join(root, 'cluster')))
  if (owner?.uid === 0) {
    throw new EmbeddedStoreError(
      `${root} belongs to root, and PostgreSQL may not run as root. Give it to the user it shall run as, for one: chown -R nobody ${root}`,
    )
  }
  const user = await serverUser(owner)
  if (owner === null && recorded === null && !(await canEnter(user, home))) return newPlace(home, systemDir, user)
  if (recorded !== null) await systemDirectory(systemDir)
  return { root, user }
}

/** Two processes may begin at once: the first to write the record decides for both. */
async function newPlace(home: string, systemDir: string, user: ServerUser): Promise<Root> {
  await systemDirectory(systemDir)
  const earlier = await earlierPlaces(home, systemDir)
  await writeRecord(home, join(systemDir, randomBytes(8).toString('hex')), 'keep')
  const root = (await recordedPlace(home, systemDir)) ?? ''
  return { root, user, earlier: earlier.filter((place) => place !== root) }
}

/** Stores whose data directory had this path. */
async function earlierPlaces(home: string, systemDir: string): Promise<string[]> {
  const places = (await readdir(systemDir)).filter((name) => placeName.test(name)).map((name) => join(systemDir, name))
  const homes = await Promise.all(places.map((place) => readFile(join(place, backReference), 'utf8').catch(() => null)))
  return places.filter((_, index) => homes[index] === home)
}

/**
 * Writes into `home` that its data lives in `place`, for a directory that was moved. Not when another directory has that place: two Tollgates must not share a ledger unknowingly.
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
  if (!placeName.test(place.slice(systemDir.length + 1)) || !place.startsWith(`${systemDir}/`)) {
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

/** @param present what becomes of a record that is there: a directory that was moved writes its own path into it. */
async function writeRecord(home: string, place: string, present: 'keep' | 'replace' = 'replace'): Promise<void> {
  const record: PlaceRecord & { about: string } = {
    about: "Tollgate's database lives elsewhere, as the user that PostgreSQL runs as can't reach this directory.",
    dataDirectory: home,
    place,
  }
  await writeWhole(join(home, recordName), `${JSON.stringify(record, null, 2)}\n`, present)
}

/** By link or rename: another process that starts at this instant must not read half of it. */
async function writeWhole(path: string, content: string, present: 'keep' | 'replace' = 'replace'): Promise<void> {
  await explaining(`Can't write ${path}`, async () => {
    const temporary = `${path}.${randomUUID()}`
    await writeFile(temporary, content, { mode: 0o644, flag: 'wx' })
    if (present === 'replace') return rename(temporary, path)
    await link(temporary, path).catch((error: unknown) => {
      if (errorCode(error) !== 'EEXIST') throw error
    })
    await rm(temporary, { force: true })
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
