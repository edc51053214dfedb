/** Opens what the server shares between its surfaces and has to close at the end: metrics, keys, the ledger, callers, upstream. */
import { randomUUIDv7 } from 'node:crypto'
import { type Bodies, type BodyLimits, createBodies } from '../admission/bodies.ts'
import { totalBodiesBytes } from '../admission/bodies-memory.ts'
import { createFindCredit } from '../admission/find-credit.ts'
import { hasFreeModel } from '../admission/free-models.ts'
import { createRateLimits, type RateLimits } from '../admission/rate-limits.ts'
import { createRateWindows } from '../admission/rate-windows.ts'
import { createUnknownKeys } from '../admission/unknown-keys.ts'
import { createUpstream, type Upstream } from '../call/upstream.ts'
import type { Limits } from '../config/config.ts'
import type { Database } from '../db/connect.ts'
import { connectRedis } from '../db/redis.ts'
import { type Cors, createCors } from '../http/cors.ts'
import { type ClientOf, createClientOf } from '../http/trusted-proxies.ts'
import { createIdentify, type Identify } from '../identity/identify.ts'
import { openPeople, type People } from '../identity/people.ts'
import { createLedger } from '../ledger/create-ledger.ts'
import type { Ledger } from '../ledger/ledger.ts'
import { readOpenHolds } from '../ledger/open-holds.ts'
import { withWaiting } from '../ledger/waiting.ts'
import { creditsToMicro } from '../metering/money.ts'
import { createPriceBook, type PriceBook } from '../metering/price.ts'
import { createTokenizer, type Tokenizer } from '../metering/tokenizer.ts'
import type { Log } from '../observe/log.ts'
import { createMetrics, type Metrics } from '../observe/metrics.ts'
import { openVault, type Vault } from '../vault/vault.ts'
import type { ServerOptions } from './server-options.ts'

export interface CallDatabases {
  identities: Database
  /** For what calls need besides the ledger. */
  database: Database
}

/** What metrics ask the server for. */
export interface Gauges {
  runningCalls: () => number
  connections: () => number
}

export interface Services {
  metrics: Metrics
  bodies: Bodies
  vault: Vault
  ledger: Ledger
  prices: PriceBook
  tokenizer: Tokenizer
  upstream: Upstream
  cors: Cors
  clientOf: ClientOf
  people: People
  identify: Identify
  rates: RateLimits
  close(): Promise<void>
}

/** @throws when the database can't be written, or stored keys are sealed under another root key. Nothing stays open then. */
export async function openServices(
  options: ServerOptions,
  databases: CallDatabases,
  gauges: Gauges,
): Promise<Services> {
  const { config, log } = options
  const { database } = databases
  const prices = createPriceBook()
  const bodies = createBodies(
    bodyLimitsOf(config.limits),
    createFindCredit(database, hasFreeModel(config.deployments, prices, new Date())),
  )
  const metrics = createMetrics(options.version, {
    ...gauges,
    bodyBytes: () => bodies.used,
    ledgerOpen: () => ledger.open,
    spool: () => ledger.overdue,
    openHolds: () => readOpenHolds(options.database),
    logDropped: options.logDropped,
  })
  const { databaseUrl, root } = options
  const vault = await openVault({ database, databaseUrl, ...root, log, now: () => performance.now() })
  const ledger = await openLedger(options, metrics).catch(async (error: unknown) => {
    await vault.close()
    throw error
  })
  const tokenizer = createTokenizer(options.worker?.workers)
  const upstream = createUpstream(config.limits.connectTimeoutMs)
  const callers = openCallers(options, databases.identities)
  const { rates, close: closeRates } = openRates(options)
  const close = async () => {
    callers.people.close()
    closeRates()
    await Promise.all([upstream.close(), tokenizer.close(), ledger.close(), vault.close()])
  }
  return { metrics, bodies, vault, ledger, prices, tokenizer, upstream, ...callers, rates, close }
}

async function openLedger(options: ServerOptions, metrics: Metrics): Promise<Ledger> {
  const { config, log } = options
  const ledger = await createLedger({
    databaseUrl: options.databaseUrl,
    spoolDirectory: options.spoolDirectory,
    leases: config.leases,
    bookingWaitMs: config.limits.bookingWaitSeconds * 1000,
    version: options.version,
    newId: randomUUIDv7,
    onTrouble: (what, err, callId, requestId) => log.error({ err, ...idsOf(callId, requestId) }, `${what} failed`),
    onRecovered: ({ organizationId, charged, released, credits }) => {
      metrics.recovered({ charged, released }, creditsToMicro(credits))
      log.warn({ org_id: organizationId, charged, released, credits }, 'closed the holds of a process that is gone')
    },
    observer: metrics,
  })
  return withWaiting(ledger, { waitMs: config.limits.creditWaitSeconds * 1000, now: () => performance.now() })
}

/** Who calls, and from where. */
function openCallers({ config, log }: ServerOptions, database: Database) {
  const cors = createCors(config.corsOrigins)
  const clientOf = createClientOf(config.trustedProxies)
  const unknownKeys = createUnknownKeys(config.limits.unknownKeysPerMinute, Date.now)
  const known = { database, config, clientOf, unknownKeys, now: Date.now }
  const people = openPeople({ ...known, cors, onRedisError: redisWarning(log) })
  return { cors, clientOf, people, identify: createIdentify({ ...known, people }) }
}

/** How often each may ask: counted by the primary where there is one, and shared between replicas where there is a Redis. */
function openRates({ config, log, worker }: ServerOptions): { rates: RateLimits; close: () => void } {
  if (worker !== null) {
    const { windows } = worker
    return { rates: createRateLimits(config.rateLimits, windows, Date.now), close: () => windows.close() }
  }
  const redis = config.redisUrl === null ? null : connectRedis(config.redisUrl, redisWarning(log))
  const windows = createRateWindows(redis, () => performance.now())
  const close = () => {
    windows.close()
    redis?.disconnect()
  }
  return { rates: createRateLimits(config.rateLimits, windows, Date.now), close }
}

function redisWarning(log: Log): (err: Error) => void {
  return (err) => log.warn({ err }, 'a connection to Redis broke')
}

/** Where the caller of a call gave no request id, its own id stands in. What isn't said here the log adds while the call runs. */
function idsOf(callId: string | undefined, requestId: string | null | undefined): Record<string, string> {
  if (callId === undefined) return {}
  return { call_id: callId, ...(requestId === undefined ? {} : { request_id: requestId ?? callId }) }
}

function bodyLimitsOf(limits: Limits): BodyLimits {
  const { bodyBytes, uploadsPerCaller, silentSeconds } = limits
  return { bodyBytes, totalBytes: totalBodiesBytes(limits), uploadsPerCaller, silentMs: silentSeconds * 1000 }
}
