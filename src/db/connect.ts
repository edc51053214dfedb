/** Connections to PostgreSQL. Every statement and every wait for a connection has an end. */

import { setTimeout } from 'node:timers/promises'
import { Kysely, PostgresDialect } from 'kysely'
import pg from 'pg'
import type { Tables } from './tables.ts'

const CLOSE_MS = 3_000

export interface Database {
  /** Typed queries. */
  readonly query: Kysely<Tables>
  /** For named prepared statements on the path of a call. */
  readonly pool: pg.Pool
  close(): Promise<void>
}

export interface ConnectOptions {
  maxConnections?: number
  /** How long one statement may take; 5 s where calls wait for it. */
  patienceMs?: number
  /** Told of connections that broke while idle; such a break loses nothing. */
  onIdleError?: (error: Error) => void
}

/** numeric and bigint come back as strings, exact; see metering/money.ts. */
export function connect(url: string, options: ConnectOptions = {}): Database {
  const patienceMs = options.patienceMs ?? 5_000
  const pool = new pg.Pool({
    connectionString: url,
    application_name: 'tollgate',
    max: options.maxConnections ?? 20,
    connectionTimeoutMillis: 5_000,
    idleTimeoutMillis: 30_000,
    statement_timeout: patienceMs,
    query_timeout: patienceMs + 5_000,
    idle_in_transaction_session_timeout: patienceMs + 5_000,
    keepAlive: true,
  })
  pool.on('error', (error) => options.onIdleError?.(error))
  // The pool listens only while a connection is idle. One that breaks while somebody has it rejects its query; without a listener
  // it would end the process as well.
  pool.on('connect', (client) => client.on('error', () => {}))
  const query = new Kysely<Tables>({ dialect: new PostgresDialect({ pool }) })
  const end = async (): Promise<void> => {
    await query.destroy()
    // Kysely ends the pool only if it ever ran a query.
    if (!pool.ended) await pool.end()
  }
  return {
    query,
    pool,
    // A server that has gone silent would not confirm the end either.
    close: () => Promise.race([end(), setTimeout(CLOSE_MS, undefined, { ref: false })]),
  }
}

/** SQLSTATE of a PostgreSQL error, undefined for anything else. */
export function sqlState(error: unknown): string | undefined {
  return error instanceof pg.DatabaseError ? error.code : undefined
}
