/** `tollgate check-config`: what was understood, and every problem at once. Touches no database. */
import { describeConfig } from '../config/load.ts'
import { NO_EFFECT } from '../config/problem.ts'
import { linesOf } from '../config/problem-lines.ts'
import { EXIT } from './exit.ts'
import { describeOverdraft } from './most-overdraft.ts'
import type { Options } from './options.ts'
import { readConfig } from './read-config.ts'
import { unenforcedIn } from './unenforced.ts'
import { verdict } from './verdict.ts'

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
  // The settings without effect stand in the description, with their lines.
  const told = problems.filter(({ message }) => config === null || message !== NO_EFFECT)
  for (const severity of ['error', 'warning'] as const) {
    const those = told.filter((problem) => problem.severity === severity)
    for (const line of linesOf(those)) process.stdout.write(`${severity}: ${line}\n`)
  }
  const accepts = options.acceptUnenforced
  if (config === null) {
    const errors = problems.filter((problem) => problem.severity === 'error').length
    process.stdout.write(`${errors} ${errors === 1 ? 'error' : 'errors'}.\n`)
    return EXIT.config
  }
  process.stdout.write(`No errors.\n\n${verdict({ config, problems, accepts, now: new Date() }).join('\n')}\n`)
  return unenforcedIn(problems, accepts).refused.length === 0 ? EXIT.ok : EXIT.config
}
