/** `tollgate check-config`: what was understood, and every problem at once. Touches no database. */
import { describeConfig, formatProblem } from '../config/load.ts'
import { NO_EFFECT } from '../config/problem.ts'
import { EXIT } from './exit.ts'
import { describeOverdraft } from './most-overdraft.ts'
import type { Options } from './options.ts'
import { readConfig } from './read-config.ts'

export async function checkConfig(options: Options): Promise<number> {
  const { config, problems, file } = await readConfig(options)
  if (config !== null) {
    process.stdout.write(`${file}\n${describeConfig(config)}\n`)
    const overdraft = describeOverdraft(config, new Date())
    if (overdraft.length > 0)
      process.stdout.write(
        `\nmost that one call can be charged, whatever was held (tools aside; a bill of the provider's own: five times):\n${overdraft.join('\n')}\n`,
      )
  }
  const errors = problems.filter((problem) => problem.severity === 'error')
  // The settings without effect stand in the description, with their lines.
  const told = problems.filter(({ message }) => config === null || message !== NO_EFFECT)
  for (const problem of told) process.stdout.write(`${problem.severity}: ${formatProblem(problem)}\n`)
  process.stdout.write(
    errors.length === 0 ? 'No errors.\n' : `${errors.length} ${errors.length === 1 ? 'error' : 'errors'}.\n`,
  )
  return config === null ? EXIT.config : EXIT.ok
}
