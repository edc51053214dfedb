/** The one clock of money, moved for every process at once. It runs on from where it is put. */
import type { Database } from '../../../src/db/connect.ts'

export interface YearsClock {
  /** By the database. */
  now(): Promise<Date>
  /** As time goes by while every process lives: leases are renewed meanwhile. */
  pass(milliseconds: number): Promise<void>
  /** As a machine's clock is put forward: every lease is over at once. */
  leap(milliseconds: number): Promise<void>
}

const LEASE = '15 seconds'

export async function startClock({ pool }: Pick<Database, 'pool'>, at: string): Promise<YearsClock> {
  const { rows } = await pool.query<{ ahead: string }>(
    'select (extract(epoch from $1::timestamptz - pg_catalog.clock_timestamp()) * 1000)::bigint as ahead',
    [at],
  )
  let ahead = Number(rows[0]?.ahead)

  async function set(leases: string): Promise<void> {
    // Both at once: no process sees the new time with its old lease.
    await pool.query(`begin;
      create or replace function tollgate.tollgate_now() returns timestamptz language sql volatile parallel safe
        as $now$ select pg_catalog.clock_timestamp() + interval '${ahead} milliseconds' $now$;
      ${leases};
      commit`)
  }

  const renewed = `update tollgate.ledger_processes set lease_until = tollgate.tollgate_now() + interval '${LEASE}'
    where stopped_at is null and dead_at is null`
  await set('')
  return {
    async now() {
      const { rows } = await pool.query<{ now: Date }>('select tollgate.tollgate_now() as now')
      return rows[0]!.now
    },
    async pass(milliseconds) {
      ahead += milliseconds
      await set(renewed)
    },
    async leap(milliseconds) {
      ahead += milliseconds
      await set('')
    },
  }
}
