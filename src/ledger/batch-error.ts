/** What a batch that failed should do next, by the error the database gave. */
import pg from 'pg'
import { ConnectionLostError } from './batch-connection.ts'

export type BatchError =
  /** Nobody knows whether it committed, or the server can't write now: send it again. */
  | 'lost'
  /** Rolled back because of others: do it again. */
  | 'conflict'
  /** Rolled back because somebody holds a row of one of its organizations. */
  | 'blocked'
  /** Rolled back because of one of its elements. */
  | 'element'

const CONFLICTS = new Set(['40P01', '40001'])
const BLOCKED = new Set(['55P03', '57014'])
/** Connection, resources, shutdown and restart, input/output; a standby that takes no writes. */
const LOST = /^(08|53|57P|58)|^25006$/

export function classifyError(error: unknown): BatchError {
  if (error instanceof ConnectionLostError) return 'lost'
  if (!(error instanceof pg.DatabaseError)) return 'element'
  const code = error.code ?? ''
  if (CONFLICTS.has(code)) return 'conflict'
  if (BLOCKED.has(code)) return 'blocked'
  return LOST.test(code) ? 'lost' : 'element'
}
