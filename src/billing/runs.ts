/**
 * Runs are opened, looked at and closed. A run takes nothing from anybody: its calls are held in the allocation like all others, and
 * count on the run besides, and on the runs it was opened within. So what a closed one did not use is where it always was.
 */
import { type RawBuilder, sql } from 'kysely'
import type { Database } from '../db/connect.ts'
import { isoTime } from '../db/iso-time.ts'
import { TollgateError } from '../http/errors.ts'
import type { Caller } from '../identity/caller.ts'
import { type OpenedRun, RUN, RUN_CALLS, RUN_DEPTH, type Runs } from '../ledger/runs.ts'
import type { ChangeTransaction } from './change.ts'

/** No bound on calls: more than anybody makes. */
const ANY_CALLS = 1_000_000_000

export interface NewRun {
  name: string | null
  /** Decimal credits. */
  credits: string | null
  calls: number | null
  expiresAfterSeconds: number
  /** The run it is opened within. */
  parent: string | null
}

/** Amounts are decimal credits. */
export interface RunRow {
  name: string | null
  state: 'open' | 'closed' | 'expired'
  credits: string | null
  used_credits: string | null
  held_credits: string | null
  calls: number | null
  used_calls: number
  running_calls: number
  created_at: string
  expires_at: string
  closed_at: string | null
}

export interface ShownRun extends RunRow {
  object: 'run'
  /** What calls name. */
  id: string
}

/** @throws {TollgateError} 400, 403, 409 where the parent has ended. */
export async function openRun(
  transaction: ChangeTransaction,
  runs: Runs,
  caller: Caller,
  { name, credits, calls, expiresAfterSeconds, parent }: NewRun,
  id: string,
): Promise<ShownRun> {
  const outer = parent === null ? null : await runs.read(caller, parent)
  if (outer !== null) await requireOpen(transaction, outer)
  const chain = [...(outer?.chain ?? []), { id, boundsCredits: credits !== null }]
  if (chain.length > RUN_DEPTH) {
    const message = `Runs may be opened within each other ${RUN_DEPTH} deep. Open this one within an outer run.`
    throw new TollgateError(400, 'run_too_deep', message, { param: 'parent' })
  }
  const { rows } = await sql<{ expires_at: Date }>`
    insert into tollgate.runs (id, chain, org_id, user_id, name, calls, expires_at)
    values (${id}, ${chain.map((link) => link.id)}::uuid[], ${caller.organizationId}, ${caller.userId}, ${name}, ${calls},
      least(date_trunc('milliseconds', tollgate.tollgate_now()) + make_interval(secs => ${expiresAfterSeconds}),
        ${outer?.expiresAt ?? null}::timestamptz))
    returning expires_at`.execute(transaction)
  const expiresAt = rows[0]!.expires_at
  await sql`
    insert into tollgate.ledger_limits (kind, id, window_start, window_end, unit, limit_amount)
    select l.kind, ${id}, tollgate.ledger_all_time(), ${expiresAt}, l.unit, l.amount
    from (values (${RUN}, 'credits', ${credits}::numeric), (${RUN_CALLS}, 'calls', ${calls ?? ANY_CALLS}::numeric)) as l(kind, unit, amount)
    where l.amount is not null`.execute(transaction)
  return showRun(transaction, id, await runs.sign(caller, { expiresAt, chain }))
}

async function requireOpen(transaction: ChangeTransaction, { chain, expiresAt }: OpenedRun): Promise<void> {
  const { rows } = await sql<{ ended: boolean }>`
    select coalesce(bool_or(closed_at is not null), true) or ${expiresAt} <= tollgate.tollgate_now() as ended
    from tollgate.runs where id = any(${chain.map(({ id }) => id)}::uuid[])`.execute(transaction)
  if (rows[0]?.ended !== false)
    throw new TollgateError(409, 'run_ended', 'The parent is closed or has expired. Open a run without it.', {
      param: 'parent',
    })
}

/** @throws {TollgateError} 400, 403. */
export async function findRun(database: Database, runs: Runs, caller: Caller, id: string): Promise<ShownRun> {
  const { chain } = await runs.read(caller, id)
  return showRun(database.query, chain.at(-1)!.id, id)
}

/**
 * From now on no call of it starts, nor of the runs within it; those that run are finished and charged, and streams don't grow any
 * more. Closing it again changes nothing. @throws {TollgateError} 400, 403.
 */
export async function closeRun(
  transaction: ChangeTransaction,
  runs: Runs,
  caller: Caller,
  id: string,
): Promise<ShownRun> {
  const own = (await runs.read(caller, id)).chain.at(-1)!.id
  await sql`update tollgate.runs set closed_at = tollgate.tollgate_now() where id = ${own} and closed_at is null`.execute(
    transaction,
  )
  await sql`
    update tollgate.ledger_limits set limit_amount = 0
    where kind = ${RUN_CALLS} and id = ${own} and window_start = tollgate.ledger_all_time()`.execute(transaction)
  return showRun(transaction, own, id)
}

type Query = Parameters<RawBuilder<unknown>['execute']>[0]

async function showRun(query: Query, own: string, id: string): Promise<ShownRun> {
  const { rows } = await sql<RunRow>`
    select r.name,
      case when exists (select from tollgate.runs o where o.id = any(r.chain) and o.closed_at is not null) then 'closed'
        when r.expires_at <= tollgate.tollgate_now() then 'expired' else 'open' end as state,
      trim_scale(c.limit_amount)::text as credits, trim_scale(c.used)::text as used_credits,
      trim_scale(c.held)::text as held_credits,
      r.calls, n.used::integer as used_calls, n.held::integer as running_calls,
      ${isoTime('r.created_at')} as created_at, ${isoTime('r.expires_at')} as expires_at,
      ${isoTime('r.closed_at')} as closed_at
    from tollgate.runs r
    join tollgate.ledger_limits n on n.kind = ${RUN_CALLS} and n.id = r.id::text and n.window_start = tollgate.ledger_all_time()
    left join tollgate.ledger_limits c on c.kind = ${RUN} and c.id = r.id::text and c.window_start = tollgate.ledger_all_time()
    where r.id = ${own}`.execute(query)
  const [row] = rows
  if (row === undefined) throw new TollgateError(404, 'run_not_found', 'There is no such run in this database.')
  return { object: 'run', id, ...row }
}
