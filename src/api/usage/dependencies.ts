/** What the routes of usage reports need. */
import type { Config } from '../../config/config.ts'
import type { Database } from '../../db/connect.ts'

export interface UsageDependencies {
  /** The database connections for everything that is not a call. */
  reports: Database
  config: Pick<Config, 'plans' | 'powerLevels' | 'tiers'>
  now: () => Date
}
