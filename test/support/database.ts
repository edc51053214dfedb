/**
 * A database of its own for a test file, on the server of the run. After every test the books are audited: a test that leaves
 * one balance different from what the rows add up to fails, whatever it was about.
 */
import { spawn, spawnSync } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import pg from 'pg'
import { afterAll, afterEach, beforeAll, expect, inject } from 'vitest'
import { connect, type Database } from '../../src/db/connect.ts'
import { newApiKey } from '../../src/identity/api-key.ts'
import { urlOfDatabase } from './global-database.ts'

export interface Seed<User extends string> {
  name?: string
  plan?: 'platform' | 'byok' | 'hybrid'
  /** Bought by the organization. */
  credits: number | string
  /** What each user is allocated of it. The first one is the organization's owner. */
  users: Record<User, number | string>
}

export interface SeededOrganization<User extends string> {
  id: string
  name: string
  /** Of each user, the key to send as a bearer token, and its id. */
  keys: Record<User, string>
  keyIds: Record<User, string>
}

export interface PsqlResult {
  code: number | null
  stdout: string
  stderr: string
}

export interface TestDatabase {
  readonly url: string
  readonly database: Database
  /** Of `database`: up to 20 connections as superuser. */
  readonly pool: pg.Pool
  /** Runs SQL through the psql binary, unaligned and without headings. */
  psql(sqlText: string): Promise<PsqlResult>
  seedOrganization<User extends string>(seed: Seed<User>): Promise<SeededOrganization<User>>
  /** Stops the clock of money at an instant. Undone after the test. */
  setNow(iso: string): Promise<void>
  /** Moves the clock of money by an interval, `65 days` or `-1 minute`, from where it is. Undone after the test. */
  moveClock(interval: string): Promise<void>
}

/** Whether psql is there. Where CI is set it must be: a test left out there would look like one that passed. */
export function psqlInstalled(): boolean {
  return process.env.CI !== undefined || spawnSync('psql', ['--version']).status === 0
}

/** Call it at the top of a test file. What it gives can be used inside tests and hooks. */
export function useDatabase(): TestDatabase {
  const server = inject('databaseServer')
  const name = `test_${randomUUID().replaceAll('-', '')}`
  const url = urlOfDatabase(server.url, name)
  const clock = new Clock()
  let open: Database | undefined
  const database = () => {
    if (open === undefined) throw new Error('the database exists only while tests and hooks run')
    return open
  }

  beforeAll(async () => {
    await onServer(server.url, `create database ${name} template ${server.template}`)
    open = connect(url)
  })
  afterEach(async () => {
    await clock.reset(database().pool)
    const { rows } = await database().pool.query('select * from tollgate.ledger_audit()')
    expect(rows, 'the books after this test').toEqual([])
  })
  afterAll(async () => {
    await open?.close()
    await onServer(server.url, `drop database if exists ${name} with (force)`)
  })

  return {
    url,
    get database() {
      return database()
    },
    get pool() {
      return database().pool
    },
    psql: (sqlText) => runPsql(url, sqlText),
    seedOrganization: (seed) => seedOrganization(database().pool, seed),
    setNow: (iso) => clock.stopAt(database().pool, iso),
    moveClock: (interval) => clock.move(database().pool, interval),
  }
}

async function onServer(url: string, statement: string): Promise<void> {
  const client = new pg.Client({ connectionString: url })
  await client.connect()
  try {
    await client.query(statement)
  } finally {
    await client.end()
  }
}

async function seedOrganization<User extends string>(
  pool: pg.Pool,
  seed: Seed<User>,
): Promise<SeededOrganization<User>> {
  const name = seed.name ?? `organization-${randomUUID()}`
  const made = await pool.query<{ id: string }>('insert into organizations (name) values ($1) returning id', [name])
  const id = made.rows[0]?.id ?? ''
  await pool.query('insert into organization_subscriptions (org_id, subscription_plan) values ($1, $2)', [
    id,
    seed.plan ?? 'platform',
  ])
  await pool.query('select add_credits_to_pool($1, $2)', [id, seed.credits])
  const keys: Partial<Record<User, string>> = {}
  const keyIds: Partial<Record<User, string>> = {}
  const users = Object.keys(seed.users) as User[]
  for (const [index, user] of users.entries()) {
    const { key, hash, preview } = newApiKey()
    await pool.query('insert into organization_members (org_id, user_id, role) values ($1, $2, $3)', [
      id,
      user,
      index === 0 ? 'owner' : 'member',
    ])
    await pool.query('select allocate_credits_to_user($1, $2, $3)', [id, user, seed.users[user]])
    const stored = await pool.query<{ id: string }>(
      'insert into tollgate.api_keys (key_hash, preview, org_id, user_id) values ($1, $2, $3, $4) returning id',
      [hash, preview, id, user],
    )
    keys[user] = key
    keyIds[user] = stored.rows[0]?.id ?? ''
  }
  return { id, name, keys: keys as Record<User, string>, keyIds: keyIds as Record<User, string> }
}

const machineClock = 'pg_catalog.clock_timestamp()'

/** Replaces tollgate_now(), the one clock of money. */
class Clock {
  private expression = machineClock

  async stopAt(pool: pg.Pool, iso: string): Promise<void> {
    await this.set(pool, `timestamptz ${pg.escapeLiteral(new Date(iso).toISOString())}`)
  }

  async move(pool: pg.Pool, interval: string): Promise<void> {
    // In UTC: a day is 24 hours whatever the time zone of the session that asks.
    const moved = `((${this.expression}) at time zone 'UTC') + interval ${pg.escapeLiteral(interval)}`
    await this.set(pool, `(${moved}) at time zone 'UTC'`)
  }

  async reset(pool: pg.Pool): Promise<void> {
    if (this.expression !== machineClock) await this.set(pool, machineClock)
  }

  private async set(pool: pg.Pool, expression: string): Promise<void> {
    await pool.query(
      `create or replace function tollgate.tollgate_now() returns timestamptz language sql volatile parallel safe
        as $now$ select ${expression} $now$`,
    )
    this.expression = expression
  }
}

function runPsql(url: string, sqlText: string): Promise<PsqlResult> {
  return new Promise((resolve, reject) => {
    const options = [
      '--no-psqlrc',
      '--no-align',
      '--tuples-only',
      '--set',
      'ON_ERROR_STOP=1',
      '--set',
      'VERBOSITY=verbose',
    ]
    const child = spawn('psql', [...options, '--file', '-', url], { stdio: ['pipe', 'pipe', 'pipe'] })
    let stdout = ''
    let stderr = ''
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      stdout += text
    })
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      stderr += text
    })
    child.once('error', reject)
    child.once('close', (code) => resolve({ code, stdout: stdout.trim(), stderr: stderr.trim() }))
    child.stdin.end(sqlText)
  })
}
