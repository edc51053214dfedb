/** Which deployments of a group a request may have by its tags. Pure. */
import type { RoutingSettings } from '../config/routing-settings.ts'
import type { RoutedCandidate } from './route.ts'

/** For requests without a tag of theirs. */
const DEFAULT = 'default'

/** As LiteLLM does: those with a tag of the request's, else those tagged `default`; all of them for a request without tags where none is. */
export function byTags<C extends RoutedCandidate>(
  candidates: readonly C[],
  tags: readonly string[],
  { tagFiltering, matchAnyTag }: Pick<RoutingSettings, 'tagFiltering' | 'matchAnyTag'>,
): readonly C[] {
  if (!tagFiltering) return candidates
  const has = ({ deployment }: C, tag: string) => deployment.tags?.includes(tag) === true
  const defaults = candidates.filter((candidate) => has(candidate, DEFAULT))
  if (tags.length === 0) return defaults.length > 0 ? defaults : candidates
  const matches = candidates.filter((candidate) =>
    matchAnyTag ? tags.some((tag) => has(candidate, tag)) : tags.every((tag) => has(candidate, tag)),
  )
  return matches.length > 0 ? matches : defaults
}
