/** A migration that is killed in the middle, and one that waits for another: real processes, real locks. */
import pg from 'pg'
import { expect, onTestFinished, test, vi } from 'vitest'
import { migrate } from '../../src/db/migrate.ts'
import { useEmptyDatabase } from '../support/empty-database.ts'
import { copyProgram } from '../support/program-copy.ts'
import { runCommand, startCommand } from '../support/run-tollgate.ts'

// Processes that start and stop one after the other.
vi.setConfig({ testTimeout: 120_000 })
const db = useEmptyDatabase()

async function connect(): Promise<pg.Client> {
  const client = new pg.Client({ connectionString: db.url })
  // The database is dropped under it.
  client.on('error', () => {})
  await client.connect()
  onTestFinished(() => client.end())
  return client
}

/** Resolves when `tollgate migrate` waits for what this connection holds. */
async function blocks(holder: pg.Client): Promise<void> {
  const { rows } = await holder.query('select pg_backend_pid() as pid')
  await vi.waitFor(
    async () => {
      const blocked = await db.query(
        "select from pg_stat_activity where application_name = 'tollgate migrate' and $1 = any(pg_blocking_pids(pid))",
        [rows[0].pid],
      )
      expect(blocked.length).toBe(1)
    },
    { timeout: 30_000, interval: 20 },
  )
}

const present = () =>
  db.query(`select from pg_stat_activity where datname = current_database() and application_name = 'tollgate migrate'`)

test('A migrate that is killed in the middle of a migration leaves nothing, and the next run does everything.', async () => {
  const holder = await connect()
  // Whoever makes a table of this name waits until it is known whether this one stays.
  await holder.query('begin; create table public.credit_usage_attribution (theirs integer)')
  const killed = startCommand({ args: ['migrate'], databaseUrl: db.url })
  await blocks(holder)
  killed.kill()
  expect((await killed.done).code).toBe(null)
  // The server notices although nobody lets go of the lock.
  await vi.waitFor(async () => expect(await present()).toEqual([]), { timeout: 20_000, interval: 20 })
  await holder.query('rollback')
  expect(await db.objects()).toEqual([])

  expect((await runCommand({ args: ['migrate'], databaseUrl: db.url })).code).toBe(0)
  expect(await db.query('select * from tollgate.ledger_audit()')).toEqual([])
})

test('A migrate that is killed while it replaces functions leaves the whole old set, and the next run brings the new one.', async () => {
  await migrate(db.url)
  const newer = await copyProgram()
  onTestFinished(() => newer.remove())
  await newer.renewFunctions('newer')
  const bodies = () =>
    db.query(`select proname, prosrc from pg_proc p join pg_namespace n on n.oid = pronamespace
      where nspname in ('public', 'tollgate') order by 1, 2`)
  const before = await bodies()
  const set = () => db.query<{ number: number }>('select number from tollgate.function_set')
  const holder = await connect()
  // Reading goes on; noting the new set waits.
  await holder.query('begin; select from tollgate.function_set for update')
  const killed = startCommand({ args: ['migrate'], databaseUrl: db.url, program: newer.folder })
  await blocks(holder)
  killed.kill()
  await killed.done
  await vi.waitFor(async () => expect(await present()).toEqual([]), { timeout: 20_000, interval: 20 })
  await holder.query('rollback')
  expect(await bodies()).toEqual(before)
  expect(await set()).toEqual([{ number: newer.number - 1 }])

  const again = await runCommand({ args: ['migrate'], databaseUrl: db.url, program: newer.folder })
  expect([again.code, again.stderr]).toEqual([0, ''])
  expect(await bodies()).not.toEqual(before)
  expect(await set()).toEqual([{ number: newer.number }])
})

test('A migrate that waits for another one says so after a second.', async () => {
  const holder = await connect()
  await holder.query('select pg_advisory_lock(80840001)')
  const waiter = startCommand({ args: ['migrate'], databaseUrl: db.url })
  await waiter.errorMatches(/^Waiting for another `tollgate migrate` on this database to end \.\.\.$/m)
  expect(await db.objects()).toEqual([])
  await holder.query('select pg_advisory_unlock(80840001)')
  expect((await waiter.done).code).toBe(0)
})
