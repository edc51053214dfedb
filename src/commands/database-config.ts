/** Where a command finds its database. It needs nothing else of the configuration. */
import type { Config } from '../config/config.ts'
import type { Options } from './options.ts'

export type DatabaseConfig = Pick<Config, 'databaseUrl'>

/**
 * The configuration is read only where nothing else names the database, or where one was named: reading it takes longer than most
 * commands (measured: 0.45 s of 0.75 s of CPU), and a mistake in it is no reason not to look at the books.
 * @throws {CommandError} with exit code 3.
 */
export async function databaseConfig(options: Options, say: (line: string) => void): Promise<DatabaseConfig> {
  if (options.env.DATABASE_URL && !options.config) return { databaseUrl: null }
  const { requireConfig } = await import('./read-config.ts')
  return requireConfig(options, say)
}
