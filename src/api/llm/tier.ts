/** The tier that Ops-Center's callers know: the plan of the organization that pays. */
import type { Caller } from '../../identity/caller.ts'

export function tierOf({ plan }: Pick<Caller, 'plan'>): string {
  return plan ?? 'free'
}
