/** The order in which the candidates of a group are tried. Pure: what is known of each, and the random numbers, are passed in. */
import type { RoutingSettings } from '../config/routing-settings.ts'
import type { RoutedCandidate } from './route.ts'
import type { Standing } from './traffic.ts'

export interface Ordering<C> {
  settings: Pick<RoutingSettings, 'strategy' | 'latency'>
  standing(id: string): Standing
  /** What the call may cost there. */
  costOf(candidate: C): bigint
  stream: boolean
  random: () => number
}

/**
 * Those that are spared come last, then the lower `order` comes first, and among equals the strategy decides. Where it finds no
 * difference they share the calls.
 */
export function orderCandidates<C extends RoutedCandidate>(candidates: readonly C[], ordering: Ordering<C>): C[] {
  if (candidates.length === 1) return [...candidates]
  const { standing, random } = ordering
  const shuffled = shuffle(candidates, random)
  const rank = rankOf(shuffled, ordering)
  const isAway = new Map(candidates.map(({ deployment: { id } }) => [id, standing(id).isAway ? 1 : 0]))
  const levelOf = ({ deployment: { order } }: C) => order ?? Number.MAX_SAFE_INTEGER
  return shuffled.sort(
    (a, b) =>
      (isAway.get(a.deployment.id) ?? 0) - (isAway.get(b.deployment.id) ?? 0) ||
      levelOf(a) - levelOf(b) ||
      rank(a) - rank(b),
  )
}

/** The lower the earlier. */
function rankOf<C extends RoutedCandidate>(
  candidates: readonly C[],
  { settings: { strategy, latency }, standing, costOf, stream }: Ordering<C>,
): (candidate: C) => number {
  const by = (value: (standing: Standing) => number) => {
    const values = new Map(candidates.map(({ deployment: { id } }) => [id, value(standing(id))]))
    return ({ deployment: { id } }: C) => values.get(id) ?? 0
  }
  if (strategy === 'least-busy') return by(({ busy }) => busy)
  if (strategy === 'usage-based-routing') return by(({ tokens, requests }) => tokens + requests / 1e6)
  if (strategy === 'cost-based-routing') {
    const sorted = [...new Set(candidates.map(costOf))].sort((a, b) => (a < b ? -1 : 1))
    return (candidate) => sorted.indexOf(costOf(candidate))
  }
  if (strategy === 'latency-based-routing') {
    // Who has not been tried yet is.
    const latencyOf = by((one) => one.latency(stream) ?? 0)
    const least = Math.min(...candidates.map(latencyOf))
    return (candidate) => (latencyOf(candidate) <= least * (1 + latency.buffer) ? 0 : latencyOf(candidate))
  }
  return () => 0
}

/** Weighted sampling without replacement (Efraimidis and Spirakis): the largest of random ** (1 / weight) is first. */
function shuffle<C extends RoutedCandidate>(candidates: readonly C[], random: () => number): C[] {
  const weightOf = weightsOf(candidates)
  return candidates
    .map((candidate) => ({ candidate, rank: random() ** (1 / Math.max(weightOf(candidate), 1e-9)) }))
    .sort((a, b) => b.rank - a.rank)
    .map(({ candidate }) => candidate)
}

/** By `weight` where one is set, else by `rpm`, else by `tpm`, else evenly. Who has no limit beside others that do counts as the largest. */
function weightsOf<C extends RoutedCandidate>(candidates: readonly C[]): (candidate: C) => number {
  if (candidates.some(({ deployment }) => (deployment.weight ?? null) !== null))
    return ({ deployment }) => deployment.weight ?? 1
  for (const name of ['rpm', 'tpm'] as const) {
    const stated = candidates.flatMap(({ deployment }) => deployment[name] ?? [])
    const most = Math.max(...stated)
    if (stated.length > 0) return ({ deployment }) => deployment[name] ?? most
  }
  return () => 1
}
