/** The log of changes to keys, for system administrators: newest first, page by page, without any key. */
import { z } from '@hono/zod-openapi'
import type { Database } from '../../db/connect.ts'
import { listAuditEntries } from '../../vault/audit-log.ts'
import { numberInQuery } from '../number-in-query.ts'
import { type Route, route } from '../route.ts'

const query = z.object({
  limit: numberInQuery('limit', { min: 1, max: 1_000, default: 100 }).openapi({
    description: 'How many entries a page has.',
  }),
  before: z
    .string()
    // A bigint of PostgreSQL.
    .regex(/^\d{1,18}$/, '"before" must be the id of an entry.')
    .optional()
    .openapi({ description: 'The id in `next`, for the next page.' }),
  subject: z.string().optional().openapi({
    description: 'One key only: `platform/openai_api_key`, `user/<id>/openai`, `organization/<id>/openai`.',
  }),
})

const entry = z
  .object({
    id: z.string(),
    created_at: z.iso.datetime(),
    action: z.string().openapi({ example: 'key.saved' }),
    subject: z.string(),
    actor: z.string(),
    ip: z.string().nullable(),
    request_id: z.string().nullable(),
    details: z.unknown(),
  })
  .openapi('AuditEntry')

export function auditLogRoute(database: Database): Route {
  return route({
    method: 'get',
    path: '/api/v1/admin/audit-log',
    may: 'audit_log:read',
    summary: 'Every change to keys: who, when, from where, what; never the key',
    query,
    returns: z.object({ entries: z.array(entry), next: z.string().nullable() }),
    async handle({ query: { limit, before = null, subject = null } }) {
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
    },
  })
}
