/**
 * Which candidate is tried after a failure. Among candidates of one payer in turn; from the caller's own account to the operator's,
 * which costs the caller credits, only where the own key itself is the trouble, and never back.
 */
import type { ProviderErrorKind } from '../../providers/provider.ts'

/** What decides: whose account pays, and with which key. */
export interface Payable {
  apiKey: string | null
  payer: { isCharged: boolean }
}

/** The key is refused, its account is out of money, or it calls too often: another key may do. */
const KEY_ERRORS: readonly ProviderErrorKind[] = ['auth', 'quota', 'rate_limit']

/** The caller's own account comes first: its keys cost no credits. */
export function ownAccountFirst<C extends Payable>(candidates: readonly C[]): C[] {
  return [...candidates.filter(({ payer }) => !payer.isCharged), ...candidates.filter(({ payer }) => payer.isCharged)]
}

/** @param candidates own keys first. @param mayRetry whether tries are left. Returns `failed` where there is no other. */
export function nextCandidate<C extends Payable>(
  kind: ProviderErrorKind,
  failed: C,
  candidates: readonly C[],
  mayRetry: boolean,
): C {
  if (failed.payer.isCharged || !KEY_ERRORS.includes(kind)) return nextInTurn(failed, candidates)
  const later = candidates.slice(candidates.indexOf(failed) + 1)
  // A provider may limit calls by model, but it refuses a key everywhere.
  const hasSameKey = (candidate: C) => kind !== 'rate_limit' && candidate.apiKey === failed.apiKey
  return later.find((candidate) => !hasSameKey(candidate) && (mayRetry || candidate.payer.isCharged)) ?? failed
}

function nextInTurn<C extends Payable>(failed: C, candidates: readonly C[]): C {
  const same = candidates.filter(({ payer }) => payer.isCharged === failed.payer.isCharged)
  return same[(same.indexOf(failed) + 1) % same.length] ?? failed
}
