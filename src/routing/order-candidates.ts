/** The order in which the candidates of a call are tried. Pure: the random numbers are passed in. */
import type { RoutedCandidate } from './route.ts'

/**
 * Deployments of a group share its calls: by weight where weights are set, evenly where they are not. A group comes before those that
 * follow it, whatever their weights.
 */
export function orderCandidates<C extends RoutedCandidate>(candidates: readonly C[], random: () => number): C[] {
  if (candidates.length === 1) return [...candidates]
  return [...Map.groupBy(candidates, ({ group }) => group).values()].flatMap((group) => shuffle(group, random))
}

/** Weighted sampling without replacement (Efraimidis and Spirakis): the largest of random ** (1 / weight) is first. */
function shuffle<C extends RoutedCandidate>(candidates: readonly C[], random: () => number): C[] {
  return candidates
    .map((candidate) => ({ candidate, rank: random() ** (1 / Math.max(candidate.deployment.weight ?? 1, 1e-9)) }))
    .sort((a, b) => b.rank - a.rank)
    .map(({ candidate }) => candidate)
}
