/**
 * The connection that says "this process uses the embedded server". Pools drop idle connections, so who uses the server
 * can't be told from those: each process holds a shared advisory lock for as long as it has the store open, and whoever
 * gets that lock exclusively is the last one and may stop the server. A process that comes in between waits for the lock,
 * loses its connection with the server, and starts it again.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import pg from 'pg'
import { EmbeddedStoreError, errorCode, errorText } from './embedded-error.ts'
import { embeddedPort, embeddedUser } from './embedded-server.ts'

export const embeddedDatabase = 'tollgate'

/** The bytes of "tollgate"; nothing else may take this advisory lock in the embedded database. */
const leaseLock = BigInt(`0x${Buffer.from('tollgate').toString('hex')}`).toString()
const leaseName = 'tollgate store'

/**
 * Errors of a server that is there but can't serve right now: starting, stopping, full, or gone while it answered. 57014
 * ("canceling authentication due to timeout") is what a connection gets that is still logging in when the server stops.
 */
const passing = new Set(['57014', '57P01', '57P02', '57P03', '53300', '55P03', 'ECONNRESET', 'EPIPE'])

export type LeaseAttempt =
  | { state: 'held'; client: pg.Client }
  /** Nothing listens. */
  | { state: 'absent' }
  /** To be tried again. `recovering`: the server is replaying its log after a crash, which may take minutes. */
  | { state: 'busy'; reason: string; recovering: boolean }

/** One try. @throws EmbeddedStoreError when trying again can't help. */
export async function tryLease(socketDirectory: string): Promise<LeaseAttempt> {
  const client = clientFor(socketDirectory, embeddedDatabase)
  try {
    await client.connect()
    await client.query("SET lock_timeout = '5s'")
    await client.query('SELECT pg_advisory_lock_shared($1)', [leaseLock])
    return { state: 'held', client }
  } catch (thrown) {
    await client.end().catch(() => {})
    if (errorCode(thrown) === '3D000') return await createDatabase(socketDirectory)
    return judge(thrown, socketDirectory)
  }
}

/**
 * Gives the lease up and, when nobody else has one and no other client (an operator's psql) is connected, takes it for this
 * process alone: true means the server may be stopped, and must be before `client` ends.
 */
export async function takeLastLease(client: pg.Client): Promise<boolean> {
  await client.query('SELECT pg_advisory_unlock_shared($1)', [leaseLock])
  const { rows } = await client.query<{ alone: boolean }>('SELECT pg_try_advisory_lock($1) AS alone', [leaseLock])
  if (rows[0]?.alone !== true) return false
  // A session that was ended a moment ago, of our own pool for one, is still listed for some milliseconds.
  for (let tries = 0; tries < 10; tries++) {
    const { waiting, clients } = await countOthers(client)
    if (waiting > 0) return false
    if (clients === 0) return true
    await sleep(50)
  }
  return false
}

/** Processes that wait for a lease right now, and clients that are no leases (for those the lock speaks). */
async function countOthers(client: pg.Client): Promise<{ waiting: number; clients: number }> {
  const { rows } = await client.query<{ waiting: number; clients: number }>(
    `SELECT (SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted)::int AS waiting,
            (SELECT count(*) FROM pg_stat_activity
              WHERE backend_type = 'client backend' AND pid <> pg_backend_pid() AND application_name <> $1)::int AS clients`,
    [leaseName],
  )
  return rows[0] ?? { waiting: 0, clients: 1 }
}

async function createDatabase(socketDirectory: string): Promise<LeaseAttempt> {
  const client = clientFor(socketDirectory, 'postgres')
  try {
    await client.connect()
    await client.query(`CREATE DATABASE ${embeddedDatabase}`)
  } catch (thrown) {
    // Another process made it at the same time.
    if (!['42P04', '23505'].includes(errorCode(thrown) ?? '')) return judge(thrown, socketDirectory)
  } finally {
    await client.end().catch(() => {})
  }
  return { state: 'busy', reason: 'the database was just created', recovering: false }
}

function clientFor(host: string, database: string): pg.Client {
  const client = new pg.Client({
    host,
    port: embeddedPort,
    user: embeddedUser,
    database,
    ssl: false,
    application_name: leaseName,
    connectionTimeoutMillis: 5_000,
    query_timeout: 10_000,
  })
  // Without a listener a lost connection would end the process.
  client.on('error', () => {})
  return client
}

function judge(thrown: unknown, socketDirectory: string): LeaseAttempt {
  const [code, reason] = [errorCode(thrown), errorText(thrown)]
  if (code === 'ENOENT' || code === 'ECONNREFUSED') return { state: 'absent' }
  if (isPassing(thrown)) {
    return { state: 'busy', reason, recovering: code === '57P03' && !/shutting down/.test(reason) }
  }
  throw new EmbeddedStoreError(`Can't use the PostgreSQL server at ${socketDirectory}: ${reason}`, thrown)
}

/** Whether the server was stopping, starting or going away just then. */
export function isPassing(thrown: unknown): boolean {
  const code = errorCode(thrown)
  // node-postgres reports a connection that was closed or took too long in words only.
  return code === null ? /terminated|timeout|not queryable/i.test(errorText(thrown)) : passing.has(code)
}
