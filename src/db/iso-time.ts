/** An instant as callers of the management API know it: `2026-11-30T14:00:00.123456Z`. A Date would lose the microseconds. */
import { type RawBuilder, sql } from 'kysely'

/** @param column a timestamptz, named in code, never by a caller. */
export function isoTime(column: string): RawBuilder<string> {
  return sql<string>`to_char(${sql.raw(column)} at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')`
}
