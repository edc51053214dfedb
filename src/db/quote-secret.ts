/** What quotes are signed with: 64 random bytes that were made with the database, so that all its replicas have the same. */
import { sql } from 'kysely'
import { TollgateError } from '../http/errors.ts'
import type { Database } from './connect.ts'

/** It never changes, so it is read once. @throws {TollgateError} 503. */
export function createQuoteSecret(database: Pick<Database, 'query'>): () => Promise<Uint8Array> {
  let known: Uint8Array | null = null
  return async () => {
    known ??= await read(database)
    return known
  }
}

async function read({ query }: Pick<Database, 'query'>): Promise<Uint8Array> {
  try {
    const { rows } = await sql<{ secret: Buffer }>`select secret from tollgate.quote_secret`.execute(query)
    const [row] = rows
    if (row === undefined) throw new Error('tollgate.quote_secret is empty')
    return row.secret
  } catch (cause) {
    const headers = { 'Retry-After': '2' }
    throw new TollgateError(503, 'database_unavailable', 'Quotes are not possible now. Try again shortly.', {
      headers,
      cause,
    })
  }
}
