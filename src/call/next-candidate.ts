/**
 * Which candidate is tried after a failure. Among candidates of one payer in turn; from the caller's own key to the platform's, which
 * costs the caller credits, only where the own key itself is the trouble, and never back.
 */
import type { ProviderError, ProviderErrorKind } from '../../providers/provider.ts'
import type { Candidate } from './candidate.ts'
import { isOwn } from './choose-key.ts'

/** The key is refused, its account is out of money, or it calls too often: another key may do. */
const KEY_TROUBLE: readonly ProviderErrorKind[] = ['auth', 'quota', 'rate_limit']

/** @param candidates own keys first. @param mayRetry whether tries are left. Answers `failed` where there is no other. */
export function nextCandidate(
  error: ProviderError,
  failed: Candidate,
  candidates: readonly Candidate[],
  mayRetry: boolean,
): Candidate {
  if (!isOwn(failed.key) || !KEY_TROUBLE.includes(error.kind)) return turn(failed, candidates)
  const later = candidates.slice(candidates.indexOf(failed) + 1)
  // Whoever limits calls may do so by model; whoever refuses a key does so everywhere.
  const sameKey = (candidate: Candidate) => error.kind !== 'rate_limit' && candidate.key.apiKey === failed.key.apiKey
  return later.find((candidate) => !sameKey(candidate) && (mayRetry || !isOwn(candidate.key))) ?? failed
}

function turn(failed: Candidate, candidates: readonly Candidate[]): Candidate {
  const same = candidates.filter((candidate) => isOwn(candidate.key) === isOwn(failed.key))
  return same[(same.indexOf(failed) + 1) % same.length] ?? failed
}
