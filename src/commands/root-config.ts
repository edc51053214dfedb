/** Reads the root keys for a command, or ends the command and says what is wrong. */
import type { Config } from '../config/config.ts'
import { type RootConfig, readRootConfig } from '../vault/root-config.ts'
import { RootKeyError } from '../vault/root-key.ts'
import { CommandError, EXIT } from './exit.ts'
import type { Options } from './options.ts'

/** Call it before anything is started. @throws {CommandError} with exit code 3. */
export async function requireRootConfig(
  options: Pick<Options, 'env' | 'dataDir'>,
  config: Config,
  say: (line: string) => void,
): Promise<RootConfig> {
  const embedded = !(options.env.DATABASE_URL || config.databaseUrl)
  const root = await asCommandError(() => readRootConfig(options.env, { embedded, dataDir: options.dataDir }))
  for (const warning of root.warnings) say(warning)
  return root
}

/** A root key that can't be used is an error of the configuration. */
export async function asCommandError<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (error) {
    if (!(error instanceof RootKeyError)) throw error
    throw new CommandError(EXIT.config, error.message, { cause: error })
  }
}
