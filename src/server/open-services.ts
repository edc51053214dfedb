/** Opens what the surfaces share and the server closes at its end: metrics, keys, the ledger, callers, upstream. */
import { randomUUID, randomUUIDv7 } from 'node:crypto'
import { type Bodies, type BodyLimits, createBodies } from '../admission/bodies.ts'
import { totalBodiesBytes } from '../admission/bodies-memory.ts'
import { createFindCredit } from '../admission/find-credit.ts'
import { hasFreeModel } from '../admission/free-models.ts'
import { createRateLimits, type RateLimits } from '../admission/rate-limits.ts'
import { createRateWindows, type RateWindows } from '../admission/rate-windows.ts'
import { createUnknownKeys } from '../admission/unknown-keys.ts'
import { createUpstream, type Upstream } from '../call/upstream.ts'
import type { Limits } from '../config/config.ts'
import type { Database } from '../db/connect.ts'
import { connectRedis } from '../db/redis.ts'
import { type Cors, createCors } from '../http/cors.ts'
import { type ClientOf, createClientOf } from '../http/trusted-proxies.ts'
import { createIdentify, type Identify } from '../identity/identify.ts'
import { openPeople, type People } from '../identity/people.ts'
import { adoptServer } from '../ledger/adopt-server.ts'
import { createLedger } from '../ledger/create-ledger.ts'
import type { Ledger } from '../ledger/ledger.ts'
import { readOpenHolds } from '../ledger/open-holds.ts'
import { setTimeZone } from '../ledger/time-zone.ts'
import { creditsToMicro } from '../metering/money.ts'
import { createPriceBook, type PriceBook } from '../metering/price.ts'
import { createTokenizer, type Tokenizer } from '../metering/tokenizer.ts'
import type { Log } from '../observe/log.ts'
import { createMetrics, type Metrics } from '../observe/metrics.ts'
import type { Traces } from '../observe/traces.ts'
import { readConsumers } from '../outbox/consumer-states.ts'
import { createSparedNews, type Spared } from '../routing/spared-news.ts'
import { createTraffic, type Traffic } from '../routing/traffic.ts'
import { openVault, type Vault } from '../vault/vault.ts'
import type { ServerOptions } from './server-options.ts'

export interface CallDatabases {
  identities: Database
  /** For what calls need besides the ledger. */
  database: Database
}

/** What the metrics read from the server. */
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
  traffic: Traffic
  /** Left out where calls are told of to nobody. */
  traces?: Traces
  close(): Promise<void>
}

/** @throws when the database can't be written to, or stored keys are sealed under another root key. It leaves nothing open then. */
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
    consumers: () => readConfiguredConsumers(options),
    logDropped: options.logDropped,
    spared: () => traffic.away(),
  })
  const { databaseUrl, root } = options
  const vault = await openVault({ database, databaseUrl, ...root, log, now: () => performance.now() })
  const ledger = await openLedger(options, metrics, database).catch(async (error: unknown) => {
    await vault.close()
    throw error
  })
  const tokenizer = createTokenizer(options.worker?.workers)
  const upstream = createUpstream(config.limits.connectTimeoutMs)
  const callers = openCallers(options, databases.identities)
  const { rates, windows, close: closeRates } = openRates(options)
  const { traffic, close: closeTraffic } = openTraffic(options, windows, metrics)
  const traces = await openTraces(options, metrics)
  const close = async () => {
    callers.people.close()
    closeRates()
    closeTraffic()
    await Promise.all([upstream.close(), tokenizer.close(), ledger.close(), vault.close(), traces?.close()])
  }
  return {
    ...(traces === null ? {} : { traces }),
    metrics,
    bodies,
    vault,
    ledger,
    prices,
    tokenizer,
    upstream,
    ...callers,
    rates,
    traffic,
    close,
  }
}

async function readConfiguredConsumers({ config, database }: ServerOptions) {
  return config.outbox.length === 0
    ? []
    : readConsumers(
        database,
        config.outbox.map(({ name }) => name),
      )
}

/** What makes spans is loaded only where somebody wants them. */
async function openTraces({ config, log, version }: ServerOptions, metrics: Metrics): Promise<Traces | null> {
  if (config.traceSinks.length === 0) return null
  const { createTraces } = await import('../observe/traces.ts')
  return createTraces({
    sinks: config.traceSinks,
    service: { name: config.traceService, version },
    count: metrics.spans,
    onFailure: (sink, err) => log.warn({ sink, err }, 'spans were not taken'),
  })
}

async function openLedger(options: ServerOptions, metrics: Metrics, database: Database): Promise<Ledger> {
  const { config, log } = options
  if (await adoptServer(database)) log.warn('the books are on another PostgreSQL server than before')
  if (await setTimeZone(database, config.timeZone))
    log.warn({ time_zone: config.timeZone }, 'days, weeks and months begin by another clock from now on')
  return createLedger({
    databaseUrl: options.databaseUrl,
    spoolDirectory: options.spoolDirectory,
    leases: config.leases,
    bookingWaitMs: config.limits.bookingWaitSeconds * 1000,
    sharedLimit:
      config.proxyBudget === null
        ? null
        : { kind: 'proxy', id: `proxy/${config.proxyBudget.window ?? 'all time'}`, ...config.proxyBudget },
    creditWaitMs: config.limits.creditWaitSeconds * 1000,
    version: options.version,
    newId: randomUUIDv7,
    onTrouble: (what, err, callId, requestId) => log.error({ err, ...idsOf(callId, requestId) }, `${what} failed`),
    onRecovered: ({ organizationId, charged, released, credits }) => {
      metrics.recovered({ charged, released }, creditsToMicro(credits))
      log.warn({ org_id: organizationId, charged, released, credits }, 'closed the holds of a process that is gone')
    },
    observer: metrics,
  })
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

/** How often each caller may ask: counted by the primary where there is one, and shared between replicas where there is a Redis. */
function openRates({ config, log, worker }: ServerOptions) {
  if (worker !== null) {
    const { windows } = worker
    return { rates: createRateLimits(config.rateLimits, windows, Date.now), windows, close: () => windows.close() }
  }
  const redis = config.redisUrl === null ? null : connectRedis(config.redisUrl, redisWarning(log))
  const windows = createRateWindows(redis, () => performance.now())
  const close = () => {
    windows.close()
    redis?.disconnect()
  }
  return { rates: createRateLimits(config.rateLimits, windows, Date.now), windows, close }
}

/** What is known of the deployments; whom one process spares, all do: told through the primary where there is one, and through Redis. */
function openTraffic(options: ServerOptions, windows: RateWindows, metrics: Metrics) {
  const { config, log, worker } = options
  const { redisUrl } = config
  const ids = new Set(config.deployments.map(({ id }) => id))
  const hear = ({ id, ms }: Spared) => traffic.hear(id, ms)
  const connect = redisUrl === null || worker !== null ? null : () => connectRedis(redisUrl, redisWarning(log))
  const news = connect === null ? null : createSparedNews({ connect, self: randomUUID(), ids, hear })
  const traffic = createTraffic({
    settings: config.routing,
    now: () => performance.now(),
    windows,
    onSpared(id, ms) {
      logSpared(options, metrics, id, ms)
      worker?.spared.tell({ id, ms })
      news?.tell({ id, ms })
    },
  })
  worker?.spared.hearBy(hear)
  return { traffic, close: () => news?.close() }
}

function logSpared({ log }: Pick<ServerOptions, 'log'>, metrics: Metrics, deployment: string, ms: number): void {
  if (ms === 0) log.info({ deployment }, 'a deployment that was spared answers again')
  else {
    metrics.spared()
    log.warn({ deployment, seconds: ms / 1000 }, 'a deployment failed and is spared')
  }
}

function redisWarning(log: Log): (err: Error) => void {
  return (err) => log.warn({ err }, 'a connection to Redis broke')
}

/** The call's own id stands in where the caller gave no request id. The log adds the other members while the call runs. */
function idsOf(callId: string | undefined, requestId: string | null | undefined): Record<string, string> {
  if (callId === undefined) return {}
  return { call_id: callId, ...(requestId === undefined ? {} : { request_id: requestId ?? callId }) }
}

function bodyLimitsOf(limits: Limits): BodyLimits {
  const { bodyBytes, uploadsPerCaller, silentSeconds } = limits
  return { bodyBytes, totalBytes: totalBodiesBytes(limits), uploadsPerCaller, silentMs: silentSeconds * 1000 }
}
