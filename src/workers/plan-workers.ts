/** How many workers fit: processors, memory, and connections that PostgreSQL allows. */
import { availableParallelism } from 'node:os'
import { sql } from 'kysely'
import { memoryBytes } from '../admission/bodies-memory.ts'
import type { Database } from '../db/connect.ts'
import { connectionsOf } from './worker-connections.ts'

/** A worker at rest has 160 MB; what is beyond is for bodies, tokenizers and calls. */
const WORKER_BYTES = 384 * 1024 ** 2
/** Of the primary, and of a command or psql beside it. */
const OTHERS = 10

export const WORKERS_MAX = 64

/** Where the system shares one port out among sockets of several processes (SO_REUSEPORT as Linux has it). */
export const SHARES_PORTS = process.platform === 'linux'

export class TooManyWorkersError extends Error {}

/** @throws {TooManyWorkersError} where so many were asked for as don't fit. */
export async function planWorkers(asked: number | 'auto', database: Database): Promise<number> {
  if (asked === 1) return 1
  if (!SHARES_PORTS) return onSystemWithout(asked)
  const allowed = await connectionsAllowed(database)
  const fitting = countFitting(allowed)
  if (asked === 'auto')
    return Math.max(1, Math.min(availableParallelism(), Math.floor(memoryBytes() / WORKER_BYTES), fitting, WORKERS_MAX))
  if (asked <= fitting) return asked
  throw new TooManyWorkersError(
    `--workers ${asked} may need ${asked * connectionsOf(asked).all + OTHERS} connections to PostgreSQL, which allows ${allowed}. Take --workers ${Math.max(1, fitting)} or fewer, or raise max_connections (and what the role and the database may have).`,
  )
}

function onSystemWithout(asked: number | 'auto'): number {
  if (asked === 'auto') return 1
  throw new TooManyWorkersError(
    `--workers ${asked} needs Linux: ${process.platform} does not share one port out among processes. Take --workers 1, or start several on ports of their own behind a balancer.`,
  )
}

/** What is kept for superusers, and limits of the role and of the database, are taken off. */
async function connectionsAllowed(database: Database): Promise<number> {
  const { rows } = await sql<{ allowed: number }>`
    select least(
      current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int
        - coalesce(current_setting('reserved_connections', true)::int, 0),
      (select nullif(rolconnlimit, -1) from pg_roles where rolname = session_user),
      (select nullif(datconnlimit, -1) from pg_database where datname = current_database())) as allowed
  `.execute(database.query)
  return rows[0]?.allowed ?? 0
}

function countFitting(allowed: number): number {
  let workers = 0
  while (workers < WORKERS_MAX && (workers + 1) * connectionsOf(workers + 1).all + OTHERS <= allowed) workers += 1
  return workers
}
