/** Reads config.yaml for a command. Problems that matter at start go to standard error; errors end the command. */

import { existsSync, readFileSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { dirname, relative, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { PROVIDERS } from '../../providers/registry.ts'
import type { Config, Problem } from '../config/config.ts'
import { type IncludedFile, includesIn } from '../config/include.ts'
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
  includes: readonly IncludedFile[]
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
  const includes = await readIncluded(file, includesIn(text))
  return { ...understand(file, text, options.env, includes), file, text, includes }
}

async function readIncluded(file: string, names: readonly string[]): Promise<IncludedFile[]> {
  return Promise.all(
    names.map(async (name) => {
      const path = resolve(dirname(file), name)
      return { file: name, text: await readFile(path, 'utf8').catch(() => null) }
    }),
  )
}

/** Reads the text of a configuration. */
export function understand(
  file: string,
  text: string,
  env: Options['env'],
  includes: readonly IncludedFile[] = [],
): Pick<ReadConfig, 'config' | 'problems'> {
  const inside = relative('.', file)
  const shown = inside.startsWith('..') ? file : inside
  return loadConfig(text, shown, env, { embedded: !env.DATABASE_URL, providers: PROVIDERS, includes, readFile: textOf })
}

/** Credentials are read where the configuration is, once. */
function textOf(path: string): string | null {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return null
  }
}

/** Returns the configuration, or ends the command with every error at once. */
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
