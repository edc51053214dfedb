/** What the routes of the internal LLM API need. */
import type { StripePayments } from '../../billing/stripe.ts'
import type { Config } from '../../config/config.ts'
import type { Database } from '../../db/connect.ts'
import type { PriceBook } from '../../metering/price.ts'
import type { Health } from '../../observe/health.ts'
import type { Router } from '../../routing/route.ts'
import type { Vault } from '../../vault/vault.ts'

export interface LlmDependencies {
  /** The database connections for everything that is not a call. */
  reports: Database
  config: Config
  router: Router
  prices: PriceBook
  vault: Pick<Vault, 'find'>
  health: Health
  /** Null without STRIPE_SECRET_KEY. */
  stripe: StripePayments | null
  now: () => Date
}
