/** Reads config.yaml for a command. Problems that matter at start go to standard error; errors end the command. */

import { existsSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { relative } from 'node:path'
import { fileURLToPath } from 'node:url'
import { PROVIDERS } from '../../providers/registry.ts'
import type { Config, Problem } from '../config/config.ts'
import { loadConfig } from '../config/load.ts'
import { problemLines } from '../config/problem-lines.ts'
import { CommandError, EXIT } from './exit.ts'
import type { Options } from './options.ts'

const SHIPPED = fileURLToPath(new URL('../../config.yaml', import.meta.url))

export interface ReadConfig {
  config: Config | null
  problems: Problem[]
  file: string
  text: string
}

/** @throws {CommandError} when the file can't be read. */
export async function readConfig(options: Options): Promise<ReadConfig> {
  const file = options.config ?? (existsSync('config.yaml') ? 'config.yaml' : SHIPPED)
  let text: string
  try {
    text = await readFile(file, 'utf8')
  } catch (error) {
    throw new CommandError(
      EXIT.config,
      `${file} can't be read (${(error as { code?: string }).code}). Name another with --config.`,
      { cause: error },
    )
  }
  return { ...understand(file, text, options.env), file, text }
}

/** The text of a configuration as what it means. */
export function understand(file: string, text: string, env: Options['env']): Pick<ReadConfig, 'config' | 'problems'> {
  const inside = relative('.', file)
  const shown = inside.startsWith('..') ? file : inside
  return loadConfig(text, shown, env, { embedded: !env.DATABASE_URL, providers: PROVIDERS })
}

/** The configuration, or the end of the command with every error at once. */
export async function requireConfig(options: Options, say: (line: string) => void): Promise<Config> {
  return (await requireReadConfig(options, say)).config
}

/** The same, with the text it was read from. */
export async function requireReadConfig(
  options: Options,
  say: (line: string) => void,
): Promise<ReadConfig & { config: Config }> {
  const { config, problems, ...read } = await readConfig(options)
  for (const line of problemLines(problems)) say(line)
  if (config === null) {
    const errors = problems.filter((problem) => problem.severity === 'error').length
    throw new CommandError(
      EXIT.config,
      `the configuration has ${errors === 1 ? 'an error' : `${errors} errors`}; nothing was started.`,
    )
  }
  return { ...read, config, problems }
}
