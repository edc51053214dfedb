/** Refuses what a provider must not get of a request in its own dialect. */
import { type Stranger, showPath } from '../../providers/known-members/shape.ts'
import type { Refusal } from '../../providers/provider.ts'
import type { Deployment } from '../config/config.ts'
import { isAllowed } from './chat-completions/strange-members.ts'
import { unsupported } from './read-members.ts'

/** @throws {TollgateError} 400 for a member that can't be metered. */
export function refuseOnNative(
  [refusal]: readonly Refusal[],
  strangers: readonly Stranger[],
  { apiBase, allowedParams }: Pick<Deployment, 'apiBase' | 'allowedParams'>,
  label: string,
): void {
  if (refusal !== undefined) throw unsupported(refusal.param, refusal.message)
  // The provider's own host honours the cap whatever other members say. For another server the operator has to confirm that.
  if (apiBase === null) return
  const stranger = strangers.find(({ path }) => !isAllowed(path, allowedParams))
  if (stranger === undefined) return
  const shown = showPath(stranger.path)
  const message = `'${shown}' is not a parameter that ${label} is known to take. Leave it out, or ask the operator for allowed_openai_params: ['${String(stranger.path[0])}'].`
  throw unsupported(shown, message)
}
