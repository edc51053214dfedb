/** The parts of the program that a call uses, in groups. */
import type { Bodies } from '../admission/bodies.ts'
import type { FetchBudget } from '../admission/fetch-budget.ts'
import type { ProviderConnections } from '../admission/provider-connections.ts'
import type { RateLimits } from '../admission/rate-limits.ts'
import type { RefusedCalls } from '../admission/refused-calls.ts'
import type { RunningCalls } from '../admission/running-calls.ts'
import type { Config } from '../config/config.ts'
import type { Database } from '../db/connect.ts'
import type { AddressGuard } from '../http/address-guard.ts'
import type { FindCustomer } from '../identity/customers.ts'
import type { Identify } from '../identity/identify.ts'
import type { Ledger } from '../ledger/ledger.ts'
import type { Runs } from '../ledger/runs.ts'
import type { PriceBook } from '../metering/price.ts'
import type { Tokenizer } from '../metering/tokenizer.ts'
import type { Log } from '../observe/log.ts'
import type { Metrics } from '../observe/metrics.ts'
import type { Traces } from '../observe/traces.ts'
import type { Router } from '../routing/route.ts'
import type { Traffic } from '../routing/traffic.ts'
import type { Vault } from '../vault/vault.ts'
import type { AccessTokens } from './access-tokens.ts'
import type { CallQuotas } from './call-quota.ts'
import type { HiddenShares } from './hidden-shares.ts'
import type { Memory } from './memory.ts'
import type { Quotes } from './quotes.ts'
import type { Upstream } from './upstream.ts'
import type { UsageQuestionRefused } from './usage-question.ts'
import type { UsualTiers } from './usual-tiers.ts'

export interface CallDependencies {
  config: Config
  clock: Clock
  /** Identifies callers and limits what runs at once. */
  admission: {
    identify: Identify
    rates: RateLimits
    customers: FindCustomer
    runningCalls: RunningCalls
    refusedCalls: RefusedCalls
    quotas: CallQuotas
    bodies: Bodies
    fetchBudget: FetchBudget
  }
  /** Finds the deployments that can serve a call, and their keys. */
  routing: { router: Router; vault: Vault; traffic: Traffic; random: () => number }
  /** Reaches providers. `guard` checks addresses that callers name; `tokens` are what credentials are exchanged for. */
  network: { upstream: Upstream; connections: ProviderConnections; guard: AddressGuard; tokens: AccessTokens }
  money: { ledger: Ledger; prices: PriceBook; tokenizer: Tokenizer }
  /** What was learned from earlier calls, by model or deployment. */
  learned: { hiddenShares: HiddenShares; usualTiers: UsualTiers; usageQuestionRefused: UsageQuestionRefused }
  /** Reads the runs that callers name. */
  runs: Runs
  /** Opens the quotes that callers send along. */
  quotes: Pick<Quotes, 'open'>
  /** What earlier responses gave, to be named by its id. */
  memory: Memory
  /** `traces` where calls are told of to collectors. */
  observe: { log: Log; metrics: Metrics; traces?: Traces }
  /** For Idempotency-Keys. */
  database: Database
  /** Aborted when the process goes down: running streams are stopped and settled for what they delivered. */
  shutdown: AbortSignal
}

export interface Clock {
  /** The date and time. */
  now: () => Date
  /** Milliseconds that only grow: for durations. */
  monotonic: () => number
}
