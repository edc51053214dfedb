/** The row by which this process is known as the owner of its holds. */
import { hostname } from 'node:os'
import { sql } from 'kysely'
import type { Database } from '../db/connect.ts'

export async function registerProcess(database: Database, id: string, version: string): Promise<void> {
  await database.query
    .insertInto('ledger_processes')
    .values({ id, host: hostname().slice(0, 255), pid: process.pid, version, stopped_at: null })
    .execute()
}

/** Said last, when every hold of the process is closed. */
export async function stopProcess(database: Database, id: string): Promise<void> {
  await database.query
    .updateTable('ledger_processes')
    .set({ stopped_at: sql<Date>`tollgate_now()` })
    .where('id', '=', id)
    .execute()
}
