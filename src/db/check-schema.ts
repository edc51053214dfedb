/**
 * Whether a database has the schema this program works with. Writes nothing, so that the role a program runs with may own nothing.
 * Fails closed: a schema that is not understood, incomplete or changed by hand means no program.
 */
import type pg from 'pg'
import { sqlState } from './connect.ts'
import { NotTollgateError, SchemaBehindError, SchemaError } from './schema-error.ts'
import { readSchemaFiles, type SchemaFiles } from './schema-files.ts'
import { describeNewerSet, describePlan, planSchema, type SchemaPlan } from './schema-plan.ts'
import { readSchemaState, type SchemaState } from './schema-state.ts'
import { withClient } from './with-client.ts'

/**
 * What `migrate` would do.
 * @throws {SchemaError} NotTollgateError, FormerSchemaError, SchemaTooNewError
 */
export async function checkSchema(url: string, files?: SchemaFiles): Promise<SchemaPlan> {
  const known = files ?? (await readSchemaFiles())
  return withClient(
    url,
    'check',
    async (client) => {
      const state = await readState(client, known)
      if (state.applied === null) throw new NotTollgateError(state.database)
      return planSchema(state, known)
    },
    { statement_timeout: 10_000, query_timeout: 15_000 },
  )
}

/**
 * @returns a line worth showing, or null.
 * @throws {SchemaError} when `tollgate migrate` is to be run first, or another program.
 */
export async function requireSchema(url: string, files?: SchemaFiles): Promise<string | null> {
  const plan = await checkSchema(url, files)
  if (plan.upToDate) return plan.newerSet === null ? null : describeNewerSet(plan.newerSet)
  // Only the program that brought the newer functions has their texts.
  const whose = plan.newerSet !== null && plan.drift.length > 0 ? ` of Tollgate ${plan.newerSet.program}` : ''
  throw new SchemaBehindError(
    `The schema of the database is not as this program needs it: ${describePlan(plan).join('; ')}. Run \`tollgate migrate\`${whose}.`,
  )
}

/** In one snapshot: a migration that commits meanwhile is seen as a whole or not at all. */
async function readState(client: pg.Client, files: SchemaFiles): Promise<SchemaState> {
  try {
    await client.query('begin transaction isolation level repeatable read read only')
    const state = await readSchemaState(client, files)
    await client.query('commit')
    return state
  } catch (error) {
    if (sqlState(error) !== '42501') throw error
    const role = JSON.stringify(client.user ?? '')
    throw new SchemaError(
      `The role ${role} may not read the schema tollgate (${(error as Error).message}). Its owner can let it: grant tollgate_app to ${role};`,
      { cause: error },
    )
  }
}
