/** What the routes of organization billing need. */
import type { StripePayments } from '../../billing/stripe.ts'
import type { Config } from '../../config/config.ts'
import type { Database } from '../../db/connect.ts'

export interface OrgBillingDependencies {
  /** The database connections for everything that is not a call. */
  reports: Database
  /** Null without STRIPE_SECRET_KEY. */
  stripe: StripePayments | null
  config: Pick<Config, 'billing'>
}
