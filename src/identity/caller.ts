/** Who a request is from. Produced once, here, for every route. */

export type Role =
  /** Sees and spends what is theirs. */
  | 'member'
  /** Sees everything of the organization. */
  | 'admin'
  /** The operator: sees everything. */
  | 'system'

export interface Caller {
  organizationId: string
  userId: string
  /** Null for the master key. */
  keyId: string | null
  role: Role
  /** Null for an organization without a subscription. */
  plan: 'platform' | 'byok' | 'hybrid' | null
  /** What keeps the plan from being in force: `past_due`, `paused`, `canceled`; null or left out where it is. */
  planEnded?: string | null
  /** The organization of callers without one: unlimited overage, no markup. */
  isDefaultOrganization: boolean
}
