/**
 * Brings the schema of a database to what sql/ says: numbered migrations, forward only, then the files of the function set whose
 * text changed. All of it is one transaction under one lock: killed at any point, nothing is left and the next run does it all.
 * Fails closed: a schema this program doesn't understand means no program.
 */
import type pg from 'pg'
import { sqlState } from './connect.ts'
import { MigrationError, SchemaError } from './schema-error.ts'
import { migrationLabel, readSchemaFiles, type SchemaFiles } from './schema-files.ts'
import { creates, type Drift, describeDrift, planSchema, type SchemaPlan } from './schema-plan.ts'
import { type Catalogue, readCatalogue, readSchemaState, type SchemaState } from './schema-state.ts'
import { withClient } from './with-client.ts'

/** Any constant will do, as long as every tollgate uses the same. */
const MIGRATION_LOCK = 8084_0001

/** What waits for a table's lock holds up everybody who comes after it, calls too: better to give up and be run again. */
const LOCK_TIMEOUT = '5s'

/** After so long a step says what it is at. */
const PATIENCE_MS = 1_000

export interface MigrateOptions {
  /** Of sql/ unless given. */
  files?: SchemaFiles
  /** Told, in a line each, what takes long and what PostgreSQL warns of. */
  log?: (line: string) => void
  /** Grants the roles their rights although nothing is to be applied: they may have been made since. */
  grant?: boolean
}

export interface MigrateReport {
  /** There was no schema before. */
  created: boolean
  /** `000002-billing`, in the order in which they were applied. */
  migrations: string[]
  /** `audit.sql`, likewise. */
  functions: string[]
  /** What had been changed by hand or was missing, and is right again. */
  mended: Drift[]
  newerSet: SchemaPlan['newerSet']
  /** Functions were applied although the set's number was this program's already. */
  sameNumber: boolean
}

/**
 * Safe from several processes at once: they queue on an advisory lock and the later ones find nothing to do.
 * @throws {SchemaError} FormerSchemaError, SchemaTooNewError, or MigrationError when a file failed and all was rolled back.
 */
export async function migrate(url: string, options: MigrateOptions = {}): Promise<MigrateReport> {
  const files = options.files ?? (await readSchemaFiles())
  const log = options.log ?? (() => {})
  return withClient(url, 'migrate', async (client) => {
    client.on('notice', ({ severity, message }) => {
      if (severity === 'WARNING' && message !== undefined) log(`PostgreSQL warns: ${message}`)
    })
    try {
      return await new Migrator(client, files, log).run(options.grant ?? false)
    } catch (error) {
      await client.query('rollback').catch(() => {})
      if (error instanceof SchemaError || sqlState(error) !== LOCK_TIMED_OUT) throw error
      throw new MigrationError(
        `What was applied could not be noted, and nothing was changed: ${(error as Error).message}. ${ADVICE_LOCKED}`,
        { cause: error },
      )
    }
  })
}

class Migrator {
  private readonly client: pg.Client
  private readonly files: SchemaFiles
  private readonly log: (line: string) => void

  constructor(client: pg.Client, files: SchemaFiles, log: (line: string) => void) {
    this.client = client
    this.files = files
    this.log = log
  }

  async run(grant: boolean): Promise<MigrateReport> {
    const transaction = await this.begin()
    // After the wait for the lock, so that the statement sees what another process did meanwhile.
    const before = await readSchemaState(this.client, this.files)
    const plan = planSchema(before, this.files)
    if (!plan.upToDate || plan.renumber) {
      if (before.applied === null) await this.makeState()
      await this.apply(plan)
      await this.record(before, plan)
    }
    if (!plan.upToDate || grant) await this.grantRoles()
    if ((await this.transaction()) !== transaction)
      throw new MigrationError('A file of sql/ ended the transaction of the migration.')
    await this.client.query('commit')
    return {
      created: before.applied === null,
      migrations: plan.migrations.map(migrationLabel),
      functions: plan.functions.map(({ name }) => name),
      mended: plan.drift,
      newerSet: plan.newerSet,
      sameNumber: plan.sameNumber,
    }
  }

  /** @returns the id of the transaction. */
  private async begin(): Promise<string> {
    const { client } = this
    // A server that looks whether its client is still there ends the work of one that was killed at once, and not when a
    // statement is done. Not every system can tell; then it is later.
    await client.query("set client_connection_check_interval = '500ms'").catch(() => {})
    // Stated, whatever the role's defaults are: after the wait below must be seen what was committed meanwhile.
    await client.query('begin transaction isolation level read committed read write')
    await client.query('set local statement_timeout = 0')
    await this.patiently('Waiting for another `tollgate migrate` on this database to end', () =>
      client.query('select pg_advisory_xact_lock($1)', [MIGRATION_LOCK]),
    )
    await client.query(`set local lock_timeout = '${LOCK_TIMEOUT}'`)
    return await this.transaction()
  }

  private async transaction(): Promise<string> {
    const { rows } = await this.client.query<{ id: string }>('select pg_current_xact_id()::text as id')
    return rows[0]!.id
  }

  /** Where what was applied is written down. */
  private async makeState(): Promise<void> {
    const { rows } = await this.client.query("select to_regnamespace('tollgate') as present")
    if (rows[0]?.present === null) await this.step('The schema tollgate', 'create schema tollgate')
    await this.step('The schema tollgate', STATE_TABLES)
  }

  private async apply({ migrations, functions }: SchemaPlan): Promise<void> {
    for (const migration of migrations) {
      const label = migrationLabel(migration)
      await this.step(`sql/migrations/${label}.sql`, migration.sql)
      await this.client.query('insert into tollgate.migrations (id, name, breaking) values ($1, $2, $3)', [
        migration.id,
        migration.name,
        migration.breaking,
      ])
    }
    for (const { name, sql } of functions) await this.step(`sql/functions/${name}`, sql)
  }

  private async record(before: SchemaState, plan: SchemaPlan): Promise<void> {
    const recorded = before.set?.catalogue ?? {}
    const catalogue = await readCatalogue(this.client, this.files, recorded)
    refuseForeign(before, catalogue)
    refuseDrift(before, plan, catalogue)
    // What stood in the database before and is none of ours, an operator's own overload for one, is not watched.
    const ours = Object.entries(catalogue).filter(([name]) => name in recorded || !(name in before.catalogue))
    const text = JSON.stringify(Object.fromEntries(ours))
    if (plan.newerSet !== null) {
      await this.client.query('update tollgate.function_set set catalogue = $1', [text])
      return
    }
    const { number, files } = this.files.functions
    const hashes = JSON.stringify(Object.fromEntries(files.map(({ name, hash }) => [name, hash])))
    await this.client.query(
      `insert into tollgate.function_set (number, files, catalogue, program) values ($1, $2, $3, $4)
      on conflict (only_row) do update set number = excluded.number, files = excluded.files, catalogue = excluded.catalogue,
        program = excluded.program, applied_at = now()`,
      [number, hashes, text, this.files.program],
    )
  }

  private async grantRoles(): Promise<void> {
    const { rows } = await this.client.query("select to_regprocedure('tollgate.grant_roles()') as present")
    if (rows[0]?.present !== null) await this.step('tollgate.grant_roles()', 'select tollgate.grant_roles()')
  }

  private async step(name: string, sql: string): Promise<void> {
    // Not the session's own, in which a schema named like the role comes first, nor what another file left.
    await this.client.query('set local search_path = public')
    try {
      await this.patiently(`${name} is at work`, () => this.client.query(sql))
    } catch (error) {
      throw new MigrationError(describeFailure(name, sql, error as Error), { cause: error })
    }
  }

  /** Says what is going on where it takes long. */
  private async patiently(what: string, work: () => Promise<unknown>): Promise<void> {
    const timer = setTimeout(() => this.log(`${what} ...`), PATIENCE_MS)
    try {
      await work()
    } finally {
      clearTimeout(timer)
    }
  }
}

const STATE_TABLES = `
  create table tollgate.migrations (
    id integer primary key,
    name text not null,
    breaking boolean not null,
    applied_at timestamptz not null default now()
  );
  comment on table tollgate.migrations is 'The files of sql/migrations that were applied. A program that does not know a breaking one refuses to run.';
  create table tollgate.function_set (
    only_row boolean primary key default true check (only_row),
    number integer not null,
    files jsonb not null,
    catalogue jsonb not null,
    program text not null,
    applied_at timestamptz not null default now()
  );
  comment on table tollgate.function_set is 'The set of sql/functions that was applied last: its number, and hashes by which a change made by hand is found.';
  comment on column tollgate.function_set.files is 'SHA-256 of the text of each file';
  comment on column tollgate.function_set.catalogue is 'SHA-256 of each function and trigger as it stood in the database afterwards';
  comment on column tollgate.function_set.program is 'version of the Tollgate that applied it'`

/** A function of the same name and arguments that somebody else's program made must not be replaced. */
function refuseForeign({ set, catalogue: before }: SchemaState, after: Catalogue): void {
  const recorded = set?.catalogue ?? {}
  const foreign = Object.keys(after).filter(
    (name) => name in before && !(name in recorded) && after[name] !== before[name],
  )
  if (foreign.length === 0) return
  throw new MigrationError(
    `The database has ${foreign.join(', ')} already, and not from Tollgate. ${ADVICE_FOREIGN} Nothing was changed.`,
  )
}

/** What drifted and is still as it was found has no file in the function set that would put it right. */
function refuseDrift(before: SchemaState, { drift, functions, newerSet }: SchemaPlan, after: Catalogue): void {
  const still = drift.filter(
    (found) => after[found.name] === before.catalogue[found.name] && !functions.some((file) => creates(file, found)),
  )
  if (still.length === 0) return
  const what = still.map(describeDrift).join('; ')
  throw new MigrationError(
    newerSet === null
      ? `${what}. No file of sql/functions holds it: put it back by hand as sql/schema.sql has it. Nothing was changed.`
      : `${what}. Run \`tollgate migrate\` of Tollgate ${newerSet.program}, which has its text. Nothing was changed.`,
  )
}

const LOCK_TIMED_OUT = '55P03'
const FORBIDDEN = '42501'
const ADVICE_ROLE = 'Run it with the role that owns the database, or make it the owner: alter database ... owner to ...'
const ADVICE_LOCKED = `Another session held on to it for ${LOCK_TIMEOUT}; run \`tollgate migrate\` again.`
const ADVICE_FOREIGN = 'Give Tollgate a database of its own, or rename what is there.'

/** Errors of a name that is taken: table, function, type or trigger, schema, column. */
const TAKEN = new Set(['42P07', '42723', '42710', '42P06', '42701', '42P13'])

function describeFailure(name: string, sql: string, error: Error): string {
  const { position, hint } = error as Partial<pg.DatabaseError>
  const line = position === undefined ? '' : `:${sql.slice(0, Number(position)).split('\n').length}`
  const state = sqlState(error)
  const failed = `${name}${line} failed and nothing was changed: ${error.message}.`
  if (state === LOCK_TIMED_OUT) return `${failed} ${ADVICE_LOCKED}`
  if (state === FORBIDDEN) return `${failed} ${ADVICE_ROLE}`
  if (TAKEN.has(state ?? '')) return `${failed}${hint === undefined ? '' : ` ${hint}`} ${ADVICE_FOREIGN}`
  return hint === undefined ? failed : `${failed} ${hint}`
}
