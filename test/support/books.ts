/** What the books of an organization say, for exact comparison, and the ledger's SQL functions by name. Amounts are credits. */
import { randomUUID } from 'node:crypto'
import pg from 'pg'
import { expect } from 'vitest'
import { creditsToMicro, formatDecimal } from '../../src/metering/money.ts'

export interface Balances {
  pool: { total: string; allocated: string; used: string; held: string; overage: string }
  users: Record<string, { allocated: string; used: string; held: string } | undefined>
  /** Rows of credit_usage_attribution. */
  entries: number
}

/** Decimals without trailing zeros. */
export async function balances(pool: pg.Pool, organizationId: string): Promise<Balances> {
  const { rows } = await pool.query<{ balances: Balances }>(
    `select jsonb_build_object(
      'pool', jsonb_build_object('total', trim_scale(total_credits)::text, 'allocated', trim_scale(allocated_credits)::text,
        'used', trim_scale(used_credits)::text, 'held', trim_scale(held_credits)::text,
        'overage', trim_scale(overage_credits)::text),
      'users', (select jsonb_object_agg(user_id, jsonb_build_object('allocated', trim_scale(allocated_credits)::text,
          'used', trim_scale(used_credits)::text, 'held', trim_scale(held_credits)::text))
        from user_credit_allocations where org_id = $1),
      'entries', (select count(*) from credit_usage_attribution where org_id = $1)) as balances
    from organization_credit_pools where org_id = $1`,
    [organizationId],
  )
  const found = rows[0]?.balances
  if (found === undefined) throw new Error(`organization ${organizationId} has no pool`)
  return found
}

/** The error PostgreSQL answers; fails when it answers none. */
export async function refusal(work: Promise<unknown>): Promise<pg.DatabaseError> {
  const outcome = await work.then(
    () => 'nothing was refused',
    (error: unknown) => error,
  )
  if (outcome instanceof pg.DatabaseError) return outcome
  throw outcome instanceof Error ? outcome : new Error(String(outcome))
}

/**
 * Runs what `start` starts while another session has the rows of `lock` (a `select ... for update`), and lets go once `waiting`
 * sessions stand in line: what is started then really happens at once.
 */
export async function inLine<T>(db: pg.Pool, lock: string, waiting: number, start: () => Promise<T>): Promise<T> {
  const client = await db.connect()
  try {
    await client.query('begin')
    await client.query(lock)
    const started = start()
    await expect.poll(() => waitingForLock(db), { timeout: 10_000, interval: 5 }).toBe(waiting)
    await client.query('commit')
    return await started
  } finally {
    client.release(true)
  }
}

/** Brings pool and allocation up to date, as whatever spends does first. */
export async function touch(db: Queryable, organizationId: string, user = 'alice'): Promise<void> {
  await db.query('select tollgate.ledger_lock_and_refresh($1, $2)', [organizationId, user])
}

/** Sessions that stand in line for a row. */
export async function waitingForLock(db: pg.Pool): Promise<number> {
  const { rows } = await db.query<{ waiting: number }>(
    "select count(*)::int as waiting from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'",
  )
  return rows[0]?.waiting ?? 0
}

export interface Limit {
  kind: string
  id: string
  window?: 'hour' | 'day' | 'week' | 'month'
  window_start?: string
  unit?: 'credits' | 'calls'
  limit_amount?: number
}

export interface HoldCall {
  callId?: string
  user?: string
  input?: number
  inputBytes?: number
  uncertain?: number
  output?: number
  least?: number
  step?: number
  limits?: Limit[]
  keyId?: string
}

export interface HoldAnswer {
  callId: string
  outcome: string
  held: string | null
  required: string | null
  available: string | null
  remaining: string | null
  limit_kind: string | null
  limited_by: { kind: string; id: string; unit: string; amount: number; left: number; window_end: string | null } | null
  key_used: string | null
}

const owner = '11111111-1111-4111-8111-111111111111'
type Queryable = Pick<pg.Pool, 'query'>

/** Takes a hold of user alice: `output` credits wanted, all of them or nothing unless `least` is less. */
export async function hold(db: Queryable, organizationId: string, call: HoldCall): Promise<HoldAnswer> {
  const [answer] = await holdBatch(db, organizationId, [call])
  if (answer === undefined) throw new Error('ledger_hold_batch answered no row')
  return answer
}

/** Several in one batch; answered in their order. */
export async function holdBatch(
  db: Queryable,
  organizationId: string,
  calls: readonly HoldCall[],
): Promise<HoldAnswer[]> {
  const all = calls.map(({ callId = randomUUID(), input = 0, output = 0, ...call }) => ({
    user: 'alice',
    inputBytes: input,
    least: output,
    step: 0,
    uncertain: 0,
    limits: null,
    keyId: null,
    ...call,
    callId,
    input,
    output,
  }))
  await db.query(
    "insert into tollgate.ledger_processes (id, host, pid, version, lease_until) values ($1, 'test', 1, 'test', 'infinity') on conflict do nothing",
    [owner],
  )
  const document = all.map(({ callId, user, input, inputBytes, uncertain, output, least, step, limits, keyId }) => ({
    call_id: callId,
    org_id: organizationId,
    user_id: user,
    input,
    input_bytes: inputBytes,
    output,
    min_output: least,
    step,
    uncertain,
    limits:
      limits === null && keyId === null
        ? null
        : [...(limits ?? []), ...(keyId === null ? [] : [{ kind: 'key', id: keyId }])],
    service_type: 'llm_inference',
    service_name: 'gpt-5',
  }))
  const { rows } = await db.query<HoldAnswer>(
    `select $2::jsonb -> (ordinal - 1) ->> 'call_id' as "callId", outcome, trim_scale(held) as held,
      trim_scale(required) as required, trim_scale(available) as available, trim_scale(remaining) as remaining,
      limited_by ->> 'kind' as limit_kind, limited_by,
      trim_scale(key_used) as key_used
    from tollgate.ledger_hold_batch($1, $2) order by ordinal`,
    [owner, JSON.stringify(document)],
  )
  return rows
}

export async function extend(db: Queryable, callId: string, total: number, least = total): Promise<unknown> {
  const { rows } = await db.query(
    `select outcome, trim_scale(held) as held
    from tollgate.ledger_progress_batch(jsonb_build_array(jsonb_build_object('call_id', $1::uuid, 'target', $2::numeric,
      'min', $3::numeric, 'org_id', (select org_id from tollgate.ledger_holds where call_id = $1))))`,
    [callId, total, least],
  )
  return rows[0]
}

export interface CloseAnswer {
  charged: string
  remaining: string | null
  key_used: string | null
}

/** Settles with a charge, or releases when the charge is null. */
export async function close(
  db: Queryable,
  organizationId: string,
  callId: string,
  charge: number | null,
  user = 'alice',
  provenance = 'provider_usage',
): Promise<CloseAnswer> {
  const [row] = await closeBatch(db, organizationId, [{ callId, charge, user, provenance }])
  if (row === undefined) throw new Error('ledger_close_batch answered no row')
  return row
}

export interface Closing {
  callId: string
  charge: number | null
  user: string
  provenance?: string
}

/** In one batch. */
export async function closeBatch(
  db: Queryable,
  organizationId: string,
  closings: readonly Closing[],
): Promise<CloseAnswer[]> {
  const documents = closings.map(({ callId, charge, user, provenance = 'provider_usage' }) => ({
    call_id: callId,
    state: charge === null ? 'released' : 'settled',
    org_id: organizationId,
    user_id: user,
    charge: charge ?? 0,
    service_type: 'llm_inference',
    service_name: 'gpt-5',
    // A thousandth of a decimal, exactly.
    api_cost: formatDecimal(creditsToMicro(`${charge ?? 0}`), 9),
    markup: 0,
    source: 'proxy',
    provenance,
    outcome: 'answered',
  }))
  const { rows } = await db.query<CloseAnswer>(
    `select trim_scale(charged) as charged, trim_scale(remaining) as remaining, trim_scale(key_used) as key_used
    from tollgate.ledger_close_batch($1) order by ordinal`,
    [JSON.stringify(documents)],
  )
  return rows
}
