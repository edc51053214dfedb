/** Protections that config.yaml asks for and that are not enforced here: a start stops at those the operator did not accept. */
import type { Problem } from '../config/problem.ts'
import { CommandError, EXIT } from './exit.ts'

export interface Unenforced {
  accepted: string[]
  refused: string[]
}

/** By the names that `--accept-unenforced` takes. */
export function unenforcedIn(problems: readonly Problem[], accepts: ReadonlySet<string>): Unenforced {
  const names = [...new Set(problems.flatMap(({ unenforced }) => unenforced ?? []))]
  return {
    accepted: names.filter((name) => accepts.has(name)),
    refused: names.filter((name) => !accepts.has(name)),
  }
}

/** @throws {CommandError} where one is not accepted. */
export function refuseUnenforced(problems: readonly Problem[], accepts: ReadonlySet<string>): void {
  const { refused } = unenforcedIn(problems, accepts)
  if (refused.length === 0) return
  throw new CommandError(
    EXIT.config,
    `The configuration asks for protection that is not enforced here: ${refused.join(', ')}. Leave it out, or say that you do without: --accept-unenforced ${[...accepts, ...refused].join(',')}. Nothing was started.`,
  )
}
