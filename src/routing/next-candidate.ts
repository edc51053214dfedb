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
export const KEY_ERRORS: readonly ProviderErrorKind[] = ['auth', 'quota', 'rate_limit']

/** The caller's own account comes first: its keys cost no credits. */
export function ownAccountFirst<C extends Payable>(candidates: readonly C[]): C[] {
  return [...candidates.filter(({ payer }) => !payer.isCharged), ...candidates.filter(({ payer }) => payer.isCharged)]
}

/**
 * @param candidates own keys first. @param spent those that had the request: they may have begun on it, so none is asked twice.
 * @param mayRetry whether tries are left. Returns null where nobody is left to ask.
 */
export function nextCandidate<C extends Payable>(
  kind: ProviderErrorKind,
  failed: C,
  { candidates, spent, mayRetry }: { candidates: readonly C[]; spent: ReadonlySet<C>; mayRetry: boolean },
): C | null {
  const at = candidates.indexOf(failed)
  const later = candidates.slice(at + 1)
  if (failed.payer.isCharged || !KEY_ERRORS.includes(kind)) {
    const inTurn = [...later, ...candidates.slice(0, at + 1)]
    const isSameSide = ({ payer }: C) => payer.isCharged === failed.payer.isCharged
    return (mayRetry ? inTurn.find((candidate) => isSameSide(candidate) && !spent.has(candidate)) : undefined) ?? null
  }
  // A provider may limit calls by model, but it refuses a key everywhere.
  const hasSameKey = (candidate: C) => kind !== 'rate_limit' && candidate.apiKey === failed.apiKey
  return later.find((candidate) => !hasSameKey(candidate) && (mayRetry || candidate.payer.isCharged)) ?? null
}
