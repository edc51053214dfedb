/**
 * What a database has of the schema: which migrations and which function set were applied, and how every function and trigger of
 * ours reads in the catalogue now. Only reads, and needs no right but to select from the two tables of state.
 */
import type pg from 'pg'
import { FormerSchemaError } from './schema-error.ts'
import { createdNames, type SchemaFiles } from './schema-files.ts'

/**
 * The one clock of money is not watched: tests replace it. A program can't be misled by that in secret: only the owner of the
 * schema can replace it, and every date on the books shows it.
 */
const CLOCK = 'tollgate_now'

export interface AppliedMigration {
  id: number
  name: string
  breaking: boolean
}

/** Hashes of definitions, by `public.deduct_credits(p_org_id uuid, ...)` or `trigger x on public.organizations`. */
export type Catalogue = Readonly<Record<string, string>>

export interface AppliedSet {
  number: number
  /** Hash of each file's text, by its name. */
  files: Readonly<Record<string, string>>
  /** As it was when the set had been applied. */
  catalogue: Catalogue
  /** The version of the program that applied it. */
  program: string
}

export interface SchemaState {
  database: string
  /** Null: not a Tollgate database. */
  applied: AppliedMigration[] | null
  /** Null: none was applied. */
  set: AppliedSet | null
  /** As it is. */
  catalogue: Catalogue
}

/**
 * Call it in a transaction.
 * @throws {FormerSchemaError}
 */
export async function readSchemaState(client: pg.ClientBase, files: SchemaFiles): Promise<SchemaState> {
  const { rows } = await client.query<{ database: string; former: boolean; present: boolean }>(
    // Not to_regclass: it fails where the role may not look into the schema.
    `select current_database() as database,
      exists (select from pg_class where relname = 'tollgate_migrations' and relnamespace = to_regnamespace('public')) as former,
      exists (select from pg_class where relname = 'migrations' and relnamespace = to_regnamespace('tollgate')) as present`,
  )
  const { database, former, present } = rows[0]!
  if (former) throw new FormerSchemaError(database)
  const applied = present ? await appliedMigrations(client) : null
  const set = present ? await appliedSet(client) : null
  return { database, applied, set, catalogue: await readCatalogue(client, files, set?.catalogue ?? {}) }
}

async function appliedMigrations(client: pg.ClientBase): Promise<AppliedMigration[]> {
  const { rows } = await client.query<AppliedMigration>(
    'select id, name, breaking from tollgate.migrations order by id',
  )
  return rows
}

async function appliedSet(client: pg.ClientBase): Promise<AppliedSet | null> {
  const { rows } = await client.query<AppliedSet>('select number, files, catalogue, program from tollgate.function_set')
  return rows[0] ?? null
}

/** Everything about a function but its owner and its grants, in columns that read alike in every version of PostgreSQL. */
const FUNCTIONS = `
  select p.oid,
    n.nspname || '.' || p.proname || '(' || pg_get_function_identity_arguments(p.oid) || ')' as name,
    jsonb_build_array(p.prokind, l.lanname, p.prosecdef, p.provolatile, p.proisstrict, p.proparallel, p.proleakproof, p.proconfig,
      pg_get_function_arguments(p.oid), pg_get_function_result(p.oid), p.prosrc, pg_get_function_sqlbody(p.oid))::text as definition
  from pg_proc p join pg_namespace n on n.oid = p.pronamespace join pg_language l on l.oid = p.prolang
  where n.nspname in ('tollgate', 'public') and p.prokind in ('f', 'p') and p.proname <> $2`

const TRIGGERS = `
  select format('trigger %s on %s.%s', t.tgname, n.nspname, c.relname) as name,
    pg_get_triggerdef(t.oid) || ' ' || t.tgenabled::text as definition
  from pg_trigger t join pg_class c on c.oid = t.tgrelid join pg_namespace n on n.oid = c.relnamespace
  where not t.tgisinternal and t.tgparentid = 0 and t.tgfoid in (select oid from ours)`

/**
 * Functions of the schema tollgate, those of the schema public that our files create or `recorded` names, and the triggers that
 * run them.
 */
export async function readCatalogue(
  client: pg.ClientBase,
  files: SchemaFiles,
  recorded: Catalogue,
): Promise<Catalogue> {
  const texts = [...files.migrations, ...files.functions.files].map(({ sql }) => sql)
  const { rows: before } = await client.query<{ path: string }>(`select current_setting('search_path') as path`)
  // Names are written with their schema wherever it is not on the search path, so the path decides how definitions read.
  await client.query('set local search_path = pg_catalog')
  const { rows } = await client.query<{ name: string; hash: string }>(
    `with functions as (${FUNCTIONS}),
      ours as (select * from functions where name like 'tollgate.%' or split_part(split_part(name, '(', 1), '.', 2) = any($1)
        or name = any($3)),
      everything as (select name, definition from ours union all ${TRIGGERS})
    select name, encode(sha256(convert_to(definition, 'UTF8')), 'hex') as hash from everything order by name collate "C"`,
    [texts.flatMap(createdNames), CLOCK, Object.keys(recorded)],
  )
  await client.query(`select set_config('search_path', $1, true)`, [before[0]?.path])
  return Object.fromEntries(rows.map(({ name, hash }) => [name, hash]))
}
