/** Liveness does no work; readiness asks the database and is false while the process drains. Never a paid call. */
import type { Database } from '../db/connect.ts'

export interface Health {
  ready(): Promise<{ ready: boolean; reason: string | null }>
}

export function createHealth(database: Database, draining: () => boolean): Health {
  return {
    async ready() {
      if (draining()) return { ready: false, reason: 'draining' }
      try {
        await database.pool.query('select 1')
        return { ready: true, reason: null }
      } catch {
        return { ready: false, reason: 'the database does not answer' }
      }
    },
  }
}
