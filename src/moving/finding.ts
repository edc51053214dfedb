/** What the move has to say about a row: the report is made of these. */
import { trimDecimal } from '../metering/money.ts'

export interface Finding {
  /** difference: it does not add up there. changed: it is carried otherwise than it is there. left: it is not carried. */
  kind: 'difference' | 'changed' | 'left'
  code: FindingCode
  table: string
  /** The row's id there. */
  row: string | null
  /** The organization's id there. */
  organization: string | null
  user: string | null
  /** Decimal. */
  credits: string | null
  says: string
}

export type FindingCode =
  | 'double_debit'
  | 'use_without_rows'
  | 'rows_without_use'
  | 'negative_use'
  | 'pool_used_differs'
  | 'pool_allocated_differs'
  | 'allocations_above_pool'
  | 'no_pool'
  | 'negative_balance'
  | 'use_without_member'
  | 'use_without_allocation'
  | 'allocation_without_member'
  | 'orphan'
  | 'duplicate'
  | 'id_is_no_uuid'
  | 'no_name'
  | 'name_taken'
  | 'no_user'
  | 'unknown_value'
  | 'missing_value'
  | 'fractional_credits'
  | 'unreadable_amount'
  | 'unreadable_key'
  | 'not_a_key_of_ours'

type Details = Partial<Pick<Finding, 'row' | 'organization' | 'user'>> & { credits?: bigint }

export interface Findings {
  readonly all: Finding[]
  add(kind: Finding['kind'], code: FindingCode, table: string, says: string, details?: Details): void
}

export function createFindings(): Findings {
  const all: Finding[] = []
  return {
    all,
    add(kind, code, table, says, { row = null, organization = null, user = null, credits } = {}) {
      all.push({ kind, code, table, row, organization, user, credits: showCredits(credits), says })
    },
  }
}

function showCredits(credits: bigint | undefined): string | null {
  return credits === undefined ? null : trimDecimal(credits, 6)
}
