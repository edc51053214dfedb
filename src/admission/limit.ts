/** The limits that stand between the network and a call, by the names under which /metrics counts what they refused; see docs/limits.md. */
export const LIMITS = [
  'key_calls',
  'user_calls',
  'organization_calls',
  'organization_share',
  'calls',
  'provider_connections',
  'fetches',
  'organization_fetches',
  'fetched_bytes',
  'organization_fetched_bytes',
] as const

export type Limit = (typeof LIMITS)[number]
