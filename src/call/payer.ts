/** Whose account at the provider pays for a call, and what follows from that. Other files ask these facts, never whose key it is. */
import type { KeyOwner } from '../vault/vault.ts'

export interface Payer {
  /** Credits are held and charged. Where the caller's own account pays, quote, markup and charge are 0. */
  readonly isCharged: boolean
  /** The request names the operator's account at the provider. With the caller's key it must not: neither account pays for the other. */
  readonly namesOperatorAccount: boolean
  /** The caller may see what the provider states about its own costs. */
  readonly showsProviderCost: boolean
  /** Who has to correct a rejected key or an empty account; a retry can't. */
  readonly accountOf: 'operator' | 'caller'
  /** Who stored the key, for rows and the log; null for the operator's key. */
  readonly keyOwner: KeyOwner['kind'] | null
}

/** Credits pay the operator, whose account pays the provider. */
export const OPERATOR: Payer = {
  isCharged: true,
  namesOperatorAccount: true,
  showsProviderCost: false,
  accountOf: 'operator',
  keyOwner: null,
}

/** The caller's own key (BYOK), the user's or the organization's. */
export function callerPays(keyOwner: KeyOwner['kind']): Payer {
  return { isCharged: false, namesOperatorAccount: false, showsProviderCost: true, accountOf: 'caller', keyOwner }
}
