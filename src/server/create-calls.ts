/** Puts together what calls need of the rest of the program: what was opened for them, how much may run at once, and what they learn. */
import type { Bodies } from '../admission/bodies.ts'
import { createBoundsOf } from '../admission/caller-bounds.ts'
import { connectionsWithin } from '../admission/descriptor-limit.ts'
import { createFetchBudget } from '../admission/fetch-budget.ts'
import { createProviderConnections } from '../admission/provider-connections.ts'
import type { RateLimits } from '../admission/rate-limits.ts'
import { createRefusedCalls } from '../admission/refused-calls.ts'
import { createRunningCalls, type RunningCalls } from '../admission/running-calls.ts'
import { type SharedPlaces, shareRunningCalls } from '../admission/share-running-calls.ts'
import { createAccessTokens } from '../call/access-tokens.ts'
import type { CallDependencies } from '../call/call-dependencies.ts'
import { createCallQuotas } from '../call/call-quota.ts'
import { createHiddenShares } from '../call/hidden-shares.ts'
import type { Quotes } from '../call/quotes.ts'
import type { Upstream } from '../call/upstream.ts'
import { createUsageQuestionRefused } from '../call/usage-question.ts'
import { createUsualTiers } from '../call/usual-tiers.ts'
import { createAddressGuard } from '../http/address-guard.ts'
import { createFindCustomer } from '../identity/customers.ts'
import type { Identify } from '../identity/identify.ts'
import type { Runs } from '../ledger/runs.ts'
import type { Router } from '../routing/route.ts'
import type { Traffic } from '../routing/traffic.ts'
import type { Vault } from '../vault/vault.ts'

export interface CallParts
  extends Pick<CallDependencies, 'config' | 'clock' | 'database' | 'shutdown' | 'money' | 'memory' | 'observe'> {
  quotes: Quotes
  runs: Runs
  identify: Identify
  rates: RateLimits
  bodies: Bodies
  router: Router
  traffic: Traffic
  vault: Vault
  upstream: Upstream
  /** How many files and sockets the process may have open; null where the system does not say. */
  descriptors: number | null
  /** Null: this process is alone on its port. */
  places: SharedPlaces | null
}

export function createCalls(parts: CallParts): CallDependencies {
  const { config, clock, database, shutdown, money, observe, identify, bodies, router, vault, upstream } = parts
  const { limits, allowedAddresses } = config
  const guard = createAddressGuard(allowedAddresses)
  return {
    config,
    clock,
    admission: {
      identify,
      rates: parts.rates,
      customers: createFindCustomer(database, config.endUserBudget, clock.monotonic),
      bodies,
      runningCalls: runningCallsOf(parts),
      refusedCalls: createRefusedCalls(limits.refusedCallsPerSecond, clock.monotonic),
      quotas: createCallQuotas({ tiers: config.tiers, database, ...clock }),
      fetchBudget: createFetchBudget({ fetches: limits.fetches, bytes: limits.fetchedBytes }),
    },
    routing: { router, vault, traffic: parts.traffic, random: Math.random },
    network: {
      upstream,
      guard,
      tokens: createAccessTokens(guard, clock.monotonic, ({ host, hostname }) =>
        [host, hostname].some((place) => allowedAddresses.includes(place)),
      ),
      connections: createProviderConnections(
        { connections: limits.providerConnections, waitMs: limits.connectionWaitSeconds * 1000 },
        clock.monotonic,
      ),
    },
    money,
    quotes: parts.quotes,
    runs: parts.runs,
    learned: {
      usageQuestionRefused: createUsageQuestionRefused(clock.monotonic),
      hiddenShares: createHiddenShares(),
      usualTiers: createUsualTiers(clock.monotonic),
    },
    memory: parts.memory,
    observe,
    database,
    shutdown,
  }
}

function runningCallsOf({ config: { limits, rateLimits }, descriptors, clock, places }: CallParts): RunningCalls {
  const bounds = {
    perKey: limits.callsPerKey,
    perUser: limits.callsPerUser,
    perOrganization: limits.callsPerOrganization,
    total: connectionsWithin(descriptors, limits.calls),
    boundsOf: createBoundsOf(rateLimits.calls),
  }
  const own = createRunningCalls(bounds, clock.monotonic)
  return places === null ? own : shareRunningCalls(own, bounds, places)
}
