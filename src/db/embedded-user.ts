/**
 * Which operating system user the embedded PostgreSQL runs as, and running commands as that user. PostgreSQL refuses to run
 * as root, so root borrows an unprivileged user. Fails closed: without such a user there is no server.
 */
import { spawn } from 'node:child_process'
import { EmbeddedStoreError, errorText } from './embedded-error.ts'

export interface ServerUser {
  uid: number
  gid: number
  name: string
  /** True when this process is root and changes to this user for everything PostgreSQL does. */
  borrowed: boolean
}

export interface CommandResult {
  /** Null when a signal ended the command. */
  code: number | null
  stdout: string
  stderr: string
}

/**
 * @param owner of an existing cluster: PostgreSQL only starts on a cluster that its own user owns, so under root the owner
 *   wins over whoever would be chosen today (a `postgres` user may have been installed since).
 */
export async function serverUser(owner: { uid: number; gid: number } | null): Promise<ServerUser> {
  const uid = process.getuid?.()
  const gid = process.getgid?.()
  if (uid === undefined || gid === undefined) {
    throw new EmbeddedStoreError(
      'The embedded PostgreSQL needs a Unix system. Set DATABASE_URL to a PostgreSQL 14 or newer.',
    )
  }
  if (uid !== 0) return { uid, gid, name: (await idOf(['-un'])) ?? String(uid), borrowed: false }
  if (owner !== null && owner.uid !== 0) {
    const name = (await idOf(['-un', String(owner.uid)])) ?? String(owner.uid)
    return { uid: owner.uid, gid: owner.gid, name, borrowed: true }
  }
  for (const name of ['postgres', 'nobody']) {
    const [foundUid, foundGid] = [await idOf(['-u', name]), await idOf(['-g', name])]
    if (foundUid !== null && foundGid !== null && foundUid !== '0') {
      return { uid: Number(foundUid), gid: Number(foundGid), name, borrowed: true }
    }
  }
  throw new EmbeddedStoreError(
    'PostgreSQL may not run as root and there is neither a user "postgres" nor "nobody". Run Tollgate as an ordinary user, or set DATABASE_URL.',
  )
}

async function idOf(args: string[]): Promise<string | null> {
  const result = await runAs(null, 'id', args).catch(() => null)
  return result !== null && result.code === 0 ? result.stdout.trim() : null
}

/**
 * What every child gets instead of our environment: provider keys have no business in a process of another user, and `PG*`
 * variables of the operator's own PostgreSQL would bend initdb and the server.
 */
export function serverEnvironment(): NodeJS.ProcessEnv {
  const environment: NodeJS.ProcessEnv = { PATH: process.env.PATH ?? '/usr/bin:/bin', LC_ALL: 'C', TZ: 'UTC' }
  const libraries = process.env.LD_LIBRARY_PATH
  if (libraries !== undefined) environment.LD_LIBRARY_PATH = libraries
  return environment
}

/** Spawn options that change to `user`; Node drops root's supplementary groups with them. */
export function identityOf(user: ServerUser | null): { uid?: number; gid?: number } {
  return user?.borrowed === true ? { uid: user.uid, gid: user.gid } : {}
}

/** Runs a command to its end, without a shell. Rejects only when it could not be started (ENOENT, EACCES, EPERM). */
export function runAs(user: ServerUser | null, command: string, args: readonly string[]): Promise<CommandResult> {
  const { promise, resolve, reject } = Promise.withResolvers<CommandResult>()
  // The working directory may be closed to the other user, and an initdb that can't read its own fails.
  const child = spawn(command, args, {
    cwd: '/',
    env: serverEnvironment(),
    stdio: ['ignore', 'pipe', 'pipe'],
    ...identityOf(user),
  })
  let [stdout, stderr] = ['', '']
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    stdout += text
  })
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    stderr += text
  })
  child.once('error', reject)
  child.once('close', (code) => resolve({ code, stdout, stderr }))
  return promise
}

/** Whether `user` may enter a directory. Asked of the system itself: mode bits know nothing of access lists and mounts. */
export async function canEnter(user: ServerUser, directory: string): Promise<boolean> {
  try {
    return (await runAs(user, '/bin/sh', ['-c', 'cd -- "$1"', 'sh', directory])).code === 0
  } catch (thrown) {
    throw new EmbeddedStoreError(
      `Can't run commands as user ${user.name} (${errorText(thrown)}). Run Tollgate as an ordinary user, or set DATABASE_URL.`,
      thrown,
    )
  }
}
