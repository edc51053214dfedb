/** Liveness does no work; readiness asks the database and the ledger, and is false while the process drains. Never a paid call. */
import { sql } from 'kysely'
import type { Database } from '../db/connect.ts'

/** What readiness wants to know of the ledger: whether paid calls can start. */
type Open = () => boolean

export interface Health {
  ready(): Promise<{ ready: boolean; reason: string | null }>
}

export function createHealth(database: Database, ledgerOpen: Open, draining: () => boolean): Health {
  return {
    async ready() {
      if (draining()) return { ready: false, reason: 'draining' }
      try {
        await sql`select 1`.execute(database.query)
        return ledgerOpen() ? { ready: true, reason: null } : { ready: false, reason: 'the ledger takes no holds' }
      } catch {
        return { ready: false, reason: 'the database does not answer' }
      }
    },
  }
}
