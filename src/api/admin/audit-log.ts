/** The log of changes to keys, for system administrators: newest first, page by page, never a value. */
import type { Database } from '../../db/connect.ts'
import { TollgateError } from '../../http/errors.ts'
import { listAuditEntries } from '../../vault/audit-log.ts'
import type { ApiRequest } from './api-request.ts'

const PAGE = 100
const PAGE_MAX = 1_000
/** A bigint of PostgreSQL. */
const ID = /^\d{1,18}$/

/** @throws {TollgateError} 422. */
export async function readAuditLog(database: Database, request: ApiRequest): Promise<Record<string, unknown>> {
  const limit = Number(request.query('limit') ?? PAGE)
  if (!Number.isInteger(limit) || limit < 1 || limit > PAGE_MAX)
    throw invalid('limit', `"limit" must be a whole number from 1 to ${PAGE_MAX}.`)
  const before = request.query('before') ?? null
  if (before !== null && !ID.test(before)) throw invalid('before', '"before" must be the id of an entry.')
  const subject = request.query('subject') ?? null
  if (subject?.includes('\0')) throw invalid('subject', '"subject" must be the name of a key, as entries have it.')
  const entries = await listAuditEntries(database, { limit, before, subject })
  return {
    entries: entries.map(({ id, created_at, action, subject: key, actor, ip, request_id, details }) => ({
      id,
      created_at: created_at.toISOString(),
      action,
      subject: key,
      actor,
      ip,
      request_id,
      details,
    })),
    next: entries.length < limit ? null : (entries.at(-1)?.id ?? null),
  }
}

function invalid(param: string, message: string): TollgateError {
  return new TollgateError(422, 'invalid_request', message, { param })
}
