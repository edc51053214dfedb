/** Whose account at the provider pays for a call, and all that follows from it. Decided here; nobody else asks for whose key it is. */
import type { KeyOwner } from '../vault/vault.ts'

export interface Payer {
  /** Credits are held and charged. Where the caller's own account pays, quote, markup and charge are 0. */
  readonly isCharged: boolean
  /** The operator's account at the provider is named in the request. With the caller's key neither would pay for the other. */
  readonly namesOperatorAccount: boolean
  /** What the provider says of its own costs is the caller's to see. */
  readonly showsProviderCost: boolean
  /** Who has to mend a rejected key or an empty account; no retry does. */
  readonly accountOf: 'operator' | 'caller'
  /** Who stored the key, for rows and log; null for the operator's. */
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
