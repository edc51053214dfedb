/** What the routes of organization billing work with. */
import type { Config } from '../../config/config.ts'
import type { Database } from '../../db/connect.ts'

export interface OrgBillingDependencies {
  /** For everything that is no call. */
  reports: Database
  config: Pick<Config, 'billing'>
}
