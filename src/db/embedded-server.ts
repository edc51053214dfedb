/**
 * Makes, starts and stops the embedded PostgreSQL server of one place. Fails closed: what can't be made or started is an
 * error with the server's own words, and nothing that exists is ever removed or overwritten.
 */
import { spawn } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { constants } from 'node:fs'
import { type FileHandle, open, readFile, rename, stat } from 'node:fs/promises'
import { totalmem } from 'node:os'
import { basename, join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { type Binaries, programPath } from './embedded-binaries.ts'
import { privateDirectory, removeLeftovers, syncDirectory } from './embedded-directory.ts'
import { EmbeddedStoreError, errorCode, errorText, explaining } from './embedded-error.ts'
import type { StorePlace } from './embedded-place.ts'
import { identityOf, runAs, serverEnvironment } from './embedded-user.ts'

/** The file name of the socket is made from it; nothing listens on a TCP port. */
export const embeddedPort = 5432
export const embeddedUser = 'tollgate'

const stopPatienceMs = 60_000
const largestLog = 16 * 1024 * 1024

/** Whether the place has a cluster. @throws EmbeddedStoreError when these binaries can't open it. */
export async function clusterExists(place: StorePlace, binaries: Binaries): Promise<boolean> {
  const path = join(place.cluster, 'PG_VERSION')
  try {
    const major = Number.parseInt(await readFile(path, 'utf8'), 10)
    if (major === binaries.major) return true
    throw new EmbeddedStoreError(
      `${place.cluster} was written by PostgreSQL ${major}, and this Tollgate brings PostgreSQL ${binaries.major}. Nothing was changed. Go back to the Tollgate that wrote it and take a pg_dump, convert it with pg_upgrade, or set DATABASE_URL to a PostgreSQL ${major} that serves it.`,
    )
  } catch (thrown) {
    if (errorCode(thrown) === 'ENOENT') return false
    if (thrown instanceof EmbeddedStoreError) throw thrown
    throw new EmbeddedStoreError(`Can't read ${path}: ${errorText(thrown)}`, thrown)
  }
}

/**
 * A sixteenth of the memory there is: with PostgreSQL's 128 MB a busy hour's calls don't fit, and those that write them wait for
 * pages to be written out (measured: a seventh of the throughput after 50 000 calls).
 */
function cacheMegabytes(): number {
  const memory = Math.min(totalmem(), process.constrainedMemory() || Number.POSITIVE_INFINITY)
  return Math.max(128, Math.min(512, Math.floor(memory / 16 / 1024 ** 2)))
}

/** Makes the cluster under another name and renames it: it is there as a whole or not, also when two processes make one. */
export async function createCluster(place: StorePlace, binaries: Binaries): Promise<void> {
  await removeLeftovers(place.root, 'cluster.new-')
  const temporary = join(place.root, `cluster.new-${randomUUID()}`)
  // Sorting by code point with Unicode's case rules, from PostgreSQL itself: the same on any machine, whatever locales it has.
  const locale = ['--encoding=UTF8', '--locale=C', '--locale-provider=builtin', '--builtin-locale=C.UTF-8']
  const settings = [
    'max_connections=200',
    `shared_buffers=${cacheMegabytes()}MB`,
    'timezone=UTC',
    'log_timezone=UTC',
    'log_checkpoints=off',
  ]
  const args = [
    '-D',
    temporary,
    '-U',
    embeddedUser,
    '--auth=trust',
    ...locale,
    ...settings.flatMap((one) => ['-c', one]),
  ]
  await explaining(`Can't make a database in ${place.root}`, async () => {
    try {
      const { code, stderr } = await runAs(place.user, programPath(binaries, 'initdb'), args)
      if (code !== 0)
        throw new EmbeddedStoreError(`Can't make a database in ${place.root}. initdb says:\n${lastLines(stderr)}`)
      await rename(temporary, place.cluster)
      await syncDirectory(place.root)
    } catch (thrown) {
      await runAs(place.user, 'rm', ['-rf', '--', temporary])
      if (!['ENOTEMPTY', 'EEXIST'].includes(errorCode(thrown) ?? '')) throw thrown
    }
  })
}

export interface Launch {
  pid: number | undefined
  isRunning(): boolean
  /** Whether it ended by itself with an error of its own; false when another server was first, or when it was told to stop. */
  hasFailed(): Promise<boolean>
  /** What the server wrote to its log since this launch; the last lines of it. */
  logTail(): Promise<string>
}

/** Starts the server and returns at once; it accepts connections later, and outlives this process. */
export async function launchServer(place: StorePlace, binaries: Binaries): Promise<Launch> {
  await privateDirectory(place.socketDirectory, place.user)
  await clearForeignLock(join(place.cluster, 'postmaster.pid'), place)
  await clearForeignLock(join(place.socketDirectory, `.s.PGSQL.${embeddedPort}.lock`), place)
  const log = await explaining(`Can't write ${place.log}`, () => openLog(place))
  try {
    const { size } = await log.stat()
    // Directly and not through `pg_ctl start`, which builds a shell command from these paths. A session of its own keeps
    // Ctrl-C and a closing terminal away from it, so that Tollgate can still settle while it drains.
    const child = spawn(programPath(binaries, 'postgres'), serverArguments(place), {
      cwd: '/',
      env: serverEnvironment(),
      stdio: ['ignore', log.fd, log.fd],
      detached: true,
      ...identityOf(place.user),
    })
    // Null is an end by a signal.
    let exitCode: number | null | undefined
    let trouble = ''
    child.once('error', (error) => {
      trouble = error.message
      exitCode = 1
    })
    child.once('exit', (code) => {
      exitCode = code
    })
    child.unref()
    const written = async () => `${(await readFile(place.log)).subarray(size).toString('utf8')}${trouble}`
    return {
      pid: child.pid,
      isRunning: () => exitCode === undefined,
      hasFailed: async () => exitCode !== undefined && exitCode !== 0 && !/FATAL: +lock file/.test(await written()),
      logTail: async () => lastLines(await written()),
    }
  } finally {
    await log.close()
  }
}

/** On the command line, so that neither a setting in the cluster nor a moved data directory can open it to others. */
function serverArguments(place: StorePlace): string[] {
  // The setting is a list separated by commas; in double quotes a path may have any character.
  const directories = `"${place.socketDirectory.replaceAll('"', '""')}"`
  const settings = [
    'listen_addresses=',
    `port=${embeddedPort}`,
    `unix_socket_directories=${directories}`,
    'unix_socket_permissions=0700',
  ]
  return ['-D', place.cluster, ...settings.flatMap((one) => ['-c', one])]
}

async function openLog(place: StorePlace): Promise<FileHandle> {
  const found = await stat(place.log).catch(() => null)
  if (found !== null && found.size > largestLog) await rename(place.log, `${place.log}.1`)
  const flags = constants.O_WRONLY | constants.O_APPEND | constants.O_CREAT | constants.O_NOFOLLOW
  const log = await open(place.log, flags, 0o600)
  if (place.user.borrowed) await log.chown(place.user.uid, place.user.gid)
  return log
}

/**
 * Stops the server, ending what sessions there are. Returns when it has written everything to disk. Not by `pg_ctl stop`:
 * that waits for whatever server the cluster has, also for the next one that another process starts meanwhile.
 */
export async function stopServer(place: StorePlace): Promise<void> {
  const server = await runningServer(place)
  if (server === null) return
  // SIGINT is PostgreSQL's "fast" shutdown. It removes its lock file as the last thing it does.
  process.kill(server.pid, 'SIGINT')
  const start = performance.now()
  while ((await runningServer(place))?.pid === server.pid) {
    if (performance.now() - start > stopPatienceMs) {
      throw new EmbeddedStoreError(
        `The server in ${place.cluster} (process ${server.pid}) takes long to stop; see ${place.log}`,
      )
    }
    await sleep(10)
  }
}

export interface RunningServer {
  pid: number
  socketDirectory: string
}

/** The server that has the cluster open, or null. A process that merely got the number of a dead server is not one. */
export async function runningServer(place: StorePlace): Promise<RunningServer | null> {
  const lock = await readFile(join(place.cluster, 'postmaster.pid'), 'utf8').catch(() => null)
  if (lock === null) return null
  const [pid, , , , socketDirectory] = lock.split('\n')
  if (!pid || !socketDirectory || !(await isServerOf(Number(pid), place))) return null
  return { pid: Number(pid), socketDirectory }
}

/**
 * After a crash, another process may have got the number in a lock file, which is the rule in a container that starts again.
 * PostgreSQL then takes it for a running server and won't start. Such a lock gets a number that no process can have.
 * PostgreSQL still checks by itself, through shared memory, that nothing has the cluster open.
 */
async function clearForeignLock(path: string, place: StorePlace): Promise<void> {
  // Through one handle: if a server that starts right now replaces the file, we write to the one it threw away.
  const handle = await open(path, constants.O_RDWR | constants.O_NOFOLLOW).catch(() => null)
  if (handle === null) return
  try {
    const content = await handle.readFile('utf8')
    const pid = Number.parseInt(content, 10)
    if (!(pid > 0) || !isAlive(pid) || (await isServerOf(pid, place))) return
    await handle.write(content.replace(/^\d+/, '2147483647'), 0)
  } finally {
    await handle.close()
  }
}

/** In doubt, yes: the cost of a wrong yes is a start that fails with a message. */
async function isServerOf(pid: number, place: StorePlace): Promise<boolean> {
  if (!(pid > 0) || !isAlive(pid)) return false
  const words = await commandLine(pid)
  if (words === null) return true
  if (!/^postgres(:|$)/.test(basename(words[0] ?? ''))) return false
  const directory = words[words.indexOf('-D') + 1]
  if (directory === undefined || !words.includes('-D')) return true
  // A copied data directory carries the lock of its original, whose server may well be running.
  const [theirs, ours] = await Promise.all([stat(directory).catch(() => null), stat(place.cluster).catch(() => null)])
  return theirs === null || ours === null || (theirs.dev === ours.dev && theirs.ino === ours.ino)
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch (thrown) {
    return errorCode(thrown) === 'EPERM'
  }
}

/** The words a process was started with; null where that can't be told. */
async function commandLine(pid: number): Promise<string[] | null> {
  if (process.platform === 'linux') {
    const text = await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => null)
    return text === null ? null : text.split('\0')
  }
  const shown = await runAs(null, 'ps', ['-p', String(pid), '-o', 'comm=']).catch(() => null)
  return shown === null || shown.stdout.trim() === '' ? null : [shown.stdout.trim()]
}

function lastLines(text: string): string {
  return text.trim().split('\n').slice(-15).join('\n')
}
