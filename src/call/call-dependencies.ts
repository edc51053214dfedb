/** What a call needs of the rest of the program, in groups. */
import type { Bodies } from '../admission/bodies.ts'
import type { FetchBudget } from '../admission/fetch-budget.ts'
import type { ProviderConnections } from '../admission/provider-connections.ts'
import type { RateLimits } from '../admission/rate-limits.ts'
import type { RunningCalls } from '../admission/running-calls.ts'
import type { Config } from '../config/config.ts'
import type { Database } from '../db/connect.ts'
import type { AddressGuard } from '../http/address-guard.ts'
import type { Identify } from '../identity/identify.ts'
import type { Ledger } from '../ledger/ledger.ts'
import type { PriceBook } from '../metering/price.ts'
import type { Tokenizer } from '../metering/tokenizer.ts'
import type { Log } from '../observe/log.ts'
import type { Metrics } from '../observe/metrics.ts'
import type { Router } from '../routing/route.ts'
import type { Vault } from '../vault/vault.ts'
import type { HiddenShares } from './hidden-shares.ts'
import type { Quotes } from './quotes.ts'
import type { Upstream } from './upstream.ts'
import type { UsageQuestionRefused } from './usage-question.ts'
import type { UsualTiers } from './usual-tiers.ts'

export interface CallDependencies {
  config: Config
  clock: Clock
  /** Who calls, and how much may run at once. */
  admission: {
    identify: Identify
    rates: RateLimits
    runningCalls: RunningCalls
    bodies: Bodies
    fetchBudget: FetchBudget
  }
  /** Where a call may go. `guard` judges addresses that callers name. */
  routing: { router: Router; vault: Vault; random: () => number }
  network: { upstream: Upstream; connections: ProviderConnections; guard: AddressGuard }
  money: { ledger: Ledger; prices: PriceBook; tokenizer: Tokenizer }
  /** What earlier calls taught, by model or deployment. */
  learned: { hiddenShares: HiddenShares; usualTiers: UsualTiers; usageQuestionRefused: UsageQuestionRefused }
  /** Opens the quotes that callers send along. */
  quotes: Pick<Quotes, 'open'>
  observe: { log: Log; metrics: Metrics }
  /** For Idempotency-Keys. */
  database: Database
  /** Set when the process is going down: running streams are stopped and settled for what they delivered. */
  shutdown: AbortSignal
}

export interface Clock {
  /** The date and time. */
  now: () => Date
  /** Milliseconds that only grow: for durations. */
  monotonic: () => number
}
