/** `tollgate migrate`, and with --check what it would do. */
import { checkSchema } from '../db/check-schema.ts'
import { embeddedStoreExists } from '../db/embedded.ts'
import { migrate } from '../db/migrate.ts'
import { describeNewerSet, describePlan } from '../db/schema-plan.ts'
import { databaseConfig } from './database-config.ts'
import { CommandError, EXIT } from './exit.ts'
import { asCommandError, openServer } from './open-store.ts'
import type { Options } from './options.ts'
import { reportLines } from './report-lines.ts'

const UP_TO_DATE = 'The schema is up to date.'

export async function migrateSchema(options: Options): Promise<number> {
  const say = (line: string) => process.stderr.write(`${line}\n`)
  const config = await databaseConfig(options, say)
  const embedded = !(options.env.DATABASE_URL || config.databaseUrl)
  if (options.check && embedded && !(await embeddedStoreExists(options.dataDir))) {
    throw new CommandError(
      EXIT.database,
      `There is no store in ${options.dataDir}. Name another folder with --data-dir.`,
    )
  }
  const server = await openServer(options, config, say)
  try {
    const { lines, code } = options.check ? await check(server.url) : await bringUpToDate(server.url, say)
    for (const line of lines) process.stdout.write(`${line}\n`)
    return code
  } catch (error) {
    throw asCommandError(error, server)
  } finally {
    await server.close()
  }
}

async function bringUpToDate(url: string, log: (line: string) => void): Promise<{ lines: string[]; code: number }> {
  const report = await migrate(url, { log, grant: true })
  const lines = reportLines(report)
  const idle = report.migrations.length + report.functions.length + report.mended.length === 0
  return { lines: idle ? [...lines, UP_TO_DATE] : lines, code: EXIT.ok }
}

async function check(url: string): Promise<{ lines: string[]; code: number }> {
  const plan = await checkSchema(url)
  const note = plan.newerSet === null ? [] : [describeNewerSet(plan.newerSet)]
  if (plan.upToDate) return { lines: [...note, UP_TO_DATE], code: EXIT.ok }
  return { lines: [...note, ...describePlan(plan).map((line) => `To do: ${line}.`)], code: EXIT.failed }
}
