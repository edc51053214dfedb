/** What is to be done so that a database has the schema this program works with. Pure: the state and the files in, the plan out. */
import { SchemaTooNewError } from './schema-error.ts'
import { createdNames, type FunctionFile, type Migration, migrationLabel, type SchemaFiles } from './schema-files.ts'
import type { SchemaState } from './schema-state.ts'

/** A function or trigger that is not as the last migration left it. */
export interface Drift {
  /** `public.ledger_audit()`, `trigger x on public.organizations` */
  name: string
  change: 'changed' | 'missing'
}

export interface SchemaPlan {
  /** Not in the database yet, in the order of their numbers. */
  migrations: Migration[]
  /** Whose text is not the one that was applied, or that hold something that drifted, in the order of the set. */
  functions: FunctionFile[]
  drift: Drift[]
  /** The database has a newer function set than this program's, `ours`. It stays, and this program works with it. */
  newerSet: { number: number; program: string; ours: number } | null
  /** The database has this program's number with other texts: two builds that nobody told apart. */
  sameNumber: boolean
  /** The number or the files that the database notes are to be replaced by this program's. */
  renumber: boolean
  /** Nothing is to be applied. */
  upToDate: boolean
}

/** @throws {SchemaTooNewError} when the database holds a breaking migration this program doesn't know. */
export function planSchema(state: SchemaState, files: SchemaFiles): SchemaPlan {
  const applied = state.applied ?? []
  refuseNewer(applied, files.migrations)
  const migrations = files.migrations.filter(({ id }) => !applied.some((row) => row.id === id))
  const drift = findDrift(state)
  const { number } = files.functions
  const newer = state.set !== null && state.set.number > number
  const textChanged = ({ name, hash }: FunctionFile) => state.set?.files[name] !== hash
  const functions = newer
    ? []
    : files.functions.files.filter((file) => textChanged(file) || drift.some((found) => creates(file, found)))
  return {
    migrations,
    functions,
    drift,
    newerSet: newer ? { number: state.set!.number, program: state.set!.program, ours: number } : null,
    renumber: !newer && (state.set?.number !== number || functions.length > 0),
    sameNumber: state.set?.number === number && files.functions.files.some(textChanged),
    upToDate: migrations.length === 0 && functions.length === 0 && drift.length === 0 && state.applied !== null,
  }
}

/** Whether applying the file puts this right. */
export function creates(file: FunctionFile, { name }: Drift): boolean {
  const bare = /^(?:trigger |\w+\.)(\w+)/.exec(name)?.[1]
  return bare !== undefined && createdNames(file.sql).includes(bare)
}

/** Lines for an operator, without a full stop. */
export function describePlan(plan: SchemaPlan): string[] {
  const because = plan.sameNumber ? ' (another text has the same number)' : ''
  return [
    ...plan.migrations.map((migration) => `migration ${migrationLabel(migration)} is missing`),
    ...plan.functions.map(({ name }) => `functions of ${name} are to be applied${because}`),
    ...plan.drift.map(describeDrift),
  ]
}

/** A line for an operator. */
export function describeNewerSet({ number, program, ours }: NonNullable<SchemaPlan['newerSet']>): string {
  return `The database has function set ${number} of Tollgate ${program}, newer than set ${ours} of this version: it stays.`
}

export function describeDrift({ name, change }: Drift): string {
  return change === 'missing' ? `${name} is missing` : `${name} was changed by hand`
}

function refuseNewer(applied: readonly { id: number; name: string; breaking: boolean }[], known: Migration[]): void {
  const newer = applied.filter((row) => row.breaking && !known.some(({ id }) => id === row.id))
  if (newer.length === 0) return
  throw new SchemaTooNewError(
    `The database was migrated by a newer Tollgate (${newer.map(migrationLabel).join(', ')}) ` +
      'in a way this version does not understand. Start that newer version instead.',
  )
}

function findDrift({ set, catalogue }: SchemaState): Drift[] {
  return Object.entries(set?.catalogue ?? {})
    .filter(([name, hash]) => catalogue[name] !== hash)
    .map(([name]) => ({ name, change: Object.hasOwn(catalogue, name) ? 'changed' : 'missing' }))
}
