/** What a member is in an organization. */
export type OrganizationRole = 'owner' | 'admin' | 'billing_admin' | 'member'

/**
 * `system_admin` is the operator. `service` is an application that calls for its organization. `none` belongs to no organization:
 * somebody an identity provider vouches for, whom nobody has invited yet.
 */
export type Role = 'system_admin' | OrganizationRole | 'service' | 'none'
