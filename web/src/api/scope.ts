/** Whose figures a route shows: one's own, the organization's, everybody's. */
export const SCOPES = ['user', 'organization', 'system'] as const
export type Scope = (typeof SCOPES)[number]
