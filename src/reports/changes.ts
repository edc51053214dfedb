/**
 * Tells who watches that something of theirs changed: a call started, grew or was settled. One question a second for the whole process, and
 * only while somebody watches; calls never wait for it. What it misses while the database is away it makes up for by telling everybody once.
 */
import { sql } from 'kysely'
import type { Database } from '../db/connect.ts'

const EVERY_MS = 1_000

/** Whose it is. */
export interface Owner {
  organizationId: string
  userId: string
}

/** @param owners null: it may be anybody's. */
export type Told = (owners: readonly Owner[] | null) => void

export interface Changes {
  /** @returns what ends it. */
  watch(told: Told): () => void
}

interface Row {
  org_id: string
  user_id: string
  /** When the newest charge of the last seconds was booked; null where there was none. */
  charged: string | null
  /** Of the open holds: it changes when one is opened, extended or closed. Null where there are none. */
  held: string | null
}

export interface ChangesOptions {
  database: Pick<Database, 'query'>
  /** Calls back once after as many milliseconds. */
  later: (milliseconds: number, run: () => void) => void
}

export function createChanges({ database, later }: ChangesOptions): Changes {
  const watching = new Set<Told>()
  /** By owner. Null: nothing is known yet. */
  let rows: Map<string, Row> | null = null
  let isRunning = false

  async function look(): Promise<readonly Owner[] | null> {
    const before = rows
    rows = await readRows(database)
    if (before === null) return null
    const now = rows
    const keys = [...new Set([...now.keys(), ...before.keys()])]
    return keys
      .filter((key) => hasChanged(before.get(key), now.get(key)))
      .map((key) => (now.get(key) ?? before.get(key)) as Row)
      .map(({ org_id: organizationId, user_id: userId }) => ({ organizationId, userId }))
  }

  async function tick(): Promise<void> {
    try {
      const owners = await look()
      if (owners === null || owners.length > 0) for (const told of [...watching]) told(owners)
    } catch {
      // The database is away: once it is back, everybody is told.
      rows = null
    }
    if (watching.size > 0) later(EVERY_MS, () => void tick())
    else {
      isRunning = false
      rows = null
    }
  }

  return {
    watch(told) {
      watching.add(told)
      if (!isRunning) {
        isRunning = true
        void tick()
      }
      return () => void watching.delete(told)
    },
  }
}

/** Both indexes are read at their ends only, so this costs the same whatever is in the books. */
async function readRows({ query }: ChangesOptions['database']): Promise<Map<string, Row>> {
  const found = await sql<Row>`
    select org_id, user_id, max(charged) as charged, max(held) as held from (
      select org_id, user_id, max(created_at)::text as charged, null as held from public.credit_usage_attribution
        where created_at > tollgate.tollgate_now() - interval '15 seconds' group by 1, 2
      union all
      select org_id, user_id, null, concat_ws(' ', count(*), max(created_at), sum(held_credits)) from tollgate.ledger_holds
        where state = 'open' group by 1, 2) a
    group by 1, 2`.execute(query)
  return new Map(found.rows.map((row) => [`${row.org_id} ${row.user_id}`, row]))
}

/** A charge that is older than the last seconds is no news; a hold that is gone is. */
function hasChanged(before: Row | undefined, now: Row | undefined): boolean {
  const isCharged = now !== undefined && now.charged !== null && now.charged !== before?.charged
  return isCharged || (now?.held ?? null) !== (before?.held ?? null)
}
