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
  'connections',
  'silent',
  'stalled_reader',
  'requests_ahead',
  'body_size',
  'body_pieces',
  'body_values',
  'body_memory',
  'caller_body_memory',
  'caller_uploads',
  'no_credits',
  'unknown_keys',
] as const

export type Limit = (typeof LIMITS)[number]
