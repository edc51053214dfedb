/**
 * Responses and their items, where the operator keeps them, for so many hours and for the user they were made for: a table of their own,
 * written behind the call, many in a statement. Fails open: what could not be written is not found later, and its caller is told to
 * send it.
 */
import { setTimeout as pause } from 'node:timers/promises'
import { sql } from 'kysely'
import type { Named } from '../../call/endpoint.ts'
import type { Memory, Owner } from '../../call/memory.ts'
import type { Database } from '../../db/connect.ts'
import { TollgateError } from '../../http/errors.ts'
import type { Log } from '../../observe/log.ts'
import { KEPT_BYTES_MAX, tooMuch } from './kept-limits.ts'

/** What waits to be written; what comes beyond it is not kept. */
const WAITING_BYTES_MAX = 32 * 1_048_576
const ROWS_AT_ONCE = 200
/** Another process may be just about to write what it gave a moment ago. */
const SECOND_LOOK_MS = 200
const FORGOTTEN_AT_ONCE = 1_000

interface Row extends Owner, Named {}

export interface KeptResponses extends Memory {
  /** Whether there was one. */
  forget(owner: Owner, ids: readonly string[]): Promise<boolean>
  /** Forgets what is too old, a thousand at a time. */
  prune(): Promise<void>
  /** Resolves once nothing waits to be written. */
  drain(): Promise<void>
}

export function createKeptResponses(parts: { database: Database; log: Log; hours: number }): KeptResponses {
  const { database, log, hours } = parts
  const { query } = database
  const waiting = new Map<string, Row>()
  let bytes = 0
  let writing: Promise<void> | null = null

  async function write(): Promise<void> {
    while (waiting.size > 0) {
      const rows = [...waiting].slice(0, ROWS_AT_ONCE)
      try {
        await insert(rows.map(([, row]) => row))
      } catch (err) {
        log.warn({ err, rows: rows.length }, 'responses were not kept: who names one is told to send it')
      }
      for (const [key, row] of rows) {
        // Given again meanwhile: that one waits still.
        if (waiting.get(key) !== row) continue
        waiting.delete(key)
        bytes -= row.kept.length
      }
    }
    writing = null
  }

  async function insert(rows: readonly Row[]): Promise<void> {
    const column = (name: keyof Row) => rows.map((row) => row[name])
    await sql`insert into tollgate.kept_responses (org_id, user_id, id, kept)
      select * from unnest(${column('organizationId')}::uuid[], ${column('userId')}::varchar[], ${column('id')}::varchar[],
        ${column('kept')}::text[])
      on conflict (org_id, user_id, id) do update set kept = excluded.kept, kept_at = excluded.kept_at`.execute(query)
  }

  async function find(owner: Owner, ids: readonly string[], found: Map<string, string>): Promise<void> {
    for (const id of ids) {
      const own = waiting.get(keyOf(owner, id))
      if (own !== undefined) found.set(id, own.kept)
    }
    const missing = ids.filter((id) => !found.has(id))
    if (missing.length === 0) return
    const { rows } = await sql<Named & { size: string }>`
      select id, case when size <= ${KEPT_BYTES_MAX} then kept end as kept, size from (
        select id, kept, sum(octet_length(kept)) over () as size from tollgate.kept_responses
        where org_id = ${owner.organizationId} and user_id = ${owner.userId} and id = any(${missing})
          and kept_at > tollgate.tollgate_now() - make_interval(secs => ${hours * 3_600})) as named`.execute(query)
    if (Number(rows[0]?.size ?? 0) > KEPT_BYTES_MAX) throw tooMuch()
    for (const { id, kept } of rows) found.set(id, kept)
  }

  return {
    isOn: hours > 0,
    async recall(owner, ids) {
      const found = new Map<string, string>()
      try {
        await find(owner, ids, found)
        if (found.size < ids.length) {
          await pause(SECOND_LOOK_MS)
          await find(owner, ids, found)
        }
      } catch (cause) {
        throw cause instanceof TollgateError ? cause : away(cause)
      }
      return found
    },
    keep({ organizationId, userId }, named) {
      for (const { id, kept } of named) {
        if (kept.length > KEPT_BYTES_MAX || bytes + kept.length > WAITING_BYTES_MAX) continue
        const key = keyOf({ organizationId, userId }, id)
        bytes += kept.length - (waiting.get(key)?.kept.length ?? 0)
        waiting.set(key, { organizationId, userId, id, kept })
      }
      if (waiting.size > 0) writing ??= write()
    },
    async forget({ organizationId, userId }, ids) {
      await writing
      const { numAffectedRows = 0n } = await sql`delete from tollgate.kept_responses
        where org_id = ${organizationId} and user_id = ${userId} and id = any(${ids})`.execute(query)
      return numAffectedRows > 0n
    },
    async prune() {
      for (;;) {
        const { numAffectedRows = 0n } = await sql`
          delete from tollgate.kept_responses where (org_id, user_id, id) in (
            select org_id, user_id, id from tollgate.kept_responses
            where kept_at <= tollgate.tollgate_now() - make_interval(secs => ${hours * 3_600})
            order by kept_at limit ${FORGOTTEN_AT_ONCE})`.execute(query)
        if (Number(numAffectedRows) < FORGOTTEN_AT_ONCE) return
      }
    },
    async drain() {
      await writing
    },
  }
}

function keyOf({ organizationId, userId }: Owner, id: string): string {
  return JSON.stringify([organizationId, userId, id])
}

function away(cause: unknown): TollgateError {
  const message = 'What the request refers to could not be looked up. Try again shortly, or send the items in full.'
  return new TollgateError(503, 'database_unavailable', message, { headers: { 'Retry-After': '2' }, cause })
}
