/** Listens, and goes down without losing a call: no new ones, running ones finish, what is left is stopped and settled. */
import { randomUUIDv7 } from 'node:crypto'
import { once, setMaxListeners } from 'node:events'
import { createServer, type RequestListener, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { totalmem } from 'node:os'
import { getRequestListener } from '@hono/node-server'
import { type BodyLimits, createBodies } from './admission/bodies.ts'
import { CHECK_MS, type ConnectionLimits, type Connections, limitConnections } from './admission/connections.ts'
import { connectionsWithin, descriptorLimit } from './admission/descriptor-limit.ts'
import { createFetchBudget } from './admission/fetch-budget.ts'
import { createFindCredit } from './admission/find-credit.ts'
import { hasFreeModel } from './admission/free-models.ts'
import { createProviderConnections } from './admission/provider-connections.ts'
import { createRateLimits } from './admission/rate-limits.ts'
import { createRateWindows } from './admission/rate-windows.ts'
import { createRunningCalls } from './admission/running-calls.ts'
import { createUnknownKeys } from './admission/unknown-keys.ts'
import { createApp } from './app.ts'
import type { CallDependencies } from './call/call-dependencies.ts'
import { createHiddenShares } from './call/hidden-shares.ts'
import { createUpstream } from './call/upstream.ts'
import { createStreamOptionsUnsupported } from './call/usage-question.ts'
import { createUsualTiers } from './call/usual-tiers.ts'
import type { Config, Limits } from './config/config.ts'
import { connect, type Database } from './db/connect.ts'
import { connectRedis } from './db/redis.ts'
import { createAddressGuard } from './http/address-guard.ts'
import { createCors } from './http/cors.ts'
import { createClientOf } from './http/trusted-proxies.ts'
import { forgetOldKeys } from './idempotency/idempotency.ts'
import { createIdentify } from './identity/identify.ts'
import { openPeople } from './identity/people.ts'
import { createLedger } from './ledger/create-ledger.ts'
import { readOpenHolds } from './ledger/open-holds.ts'
import { withWaiting } from './ledger/waiting.ts'
import { creditsToMicro } from './metering/money.ts'
import { createPriceBook } from './metering/price.ts'
import { createTokenizer } from './metering/tokenizer.ts'
import { createHealth } from './observe/health.ts'
import type { Log } from './observe/log.ts'
import { createMetrics } from './observe/metrics.ts'
import { createMetricsAccess } from './observe/metrics-access.ts'
import { createRouter } from './routing/route.ts'
import { pruneAuditLog } from './vault/audit-log.ts'
import type { RootConfig } from './vault/root-config.ts'
import { openVault } from './vault/vault.ts'

/** Apart from each other, so that no report and no burst of calls keeps a caller from being known. */
const IDENTITY_CONNECTIONS = 4
const CALL_CONNECTIONS = 8
/** Between an answer and the next request; balancers keep theirs for 60 seconds. */
const KEEP_ALIVE_MS = 65_000
const HOUR_MS = 3_600_000
/** Stopped calls get this long to say so to their callers. */
const STOP_GRACE_MS = 5_000
/** After the drain, this long for the last settlements. */
const SETTLE_DEADLINE_MS = 20_000

export interface ServerOptions {
  config: Config
  /** For management and reports. */
  database: Database
  /** For connections of its own. */
  databaseUrl: string
  /** What provider keys are sealed under. */
  root: Pick<RootConfig, 'roots' | 'fernetKeys'>
  /** Where closings wait that the database could not take. */
  spoolDirectory: string
  log: Log
  /** How many lines of the log nobody took. */
  logDropped: () => number
  /** Kept here, read by the log. */
  requestIds: Map<string, string>
  /** Opens /metrics and nothing else. */
  metricsToken: string | null
  host: string
  port: number
  version: string
}

export interface RunningServer {
  port: number
  /** Counts an error that belongs to no call. */
  countUnowned(): void
  /** Drains and stops. Answers false when a settlement could not be booked. */
  stop(): Promise<boolean>
}

/** @throws when the port can't be listened on, the database can't be written, or stored keys are sealed under another root key. */
export async function startServer(options: ServerOptions): Promise<RunningServer> {
  const onIdleError = (err: Error) => options.log.warn({ err }, 'a database connection broke')
  const pool = (maxConnections: number) => connect(options.databaseUrl, { maxConnections, onIdleError })
  const identities = pool(IDENTITY_CONNECTIONS)
  const database = pool(CALL_CONNECTIONS)
  const close = async () => {
    await Promise.all([identities.close(), database.close()])
  }
  try {
    const server = await startOver(options, { identities, database })
    const stop = async () => {
      try {
        return await server.stop()
      } finally {
        await close()
      }
    }
    return { ...server, stop }
  } catch (error) {
    // Open connections would keep a process alive that could not start.
    await close()
    throw error
  }
}

interface CallDatabases {
  identities: Database
  /** For what calls need besides the ledger. */
  database: Database
}

async function startOver(options: ServerOptions, { identities, database }: CallDatabases): Promise<RunningServer> {
  const { config, database: reports, log, version, requestIds } = options
  const prices = createPriceBook()
  const bodies = createBodies(
    bodyLimitsOf(config.limits),
    createFindCredit(database, hasFreeModel(config.deployments, prices, new Date())),
  )
  const running = new Set<Promise<void>>()
  let connections: Connections = { open: 0 }
  const metrics = createMetrics(version, {
    runningCalls: () => running.size,
    connections: () => connections.open,
    bodyBytes: () => bodies.used,
    ledgerOpen: () => ledger.open,
    spool: () => ledger.overdue,
    openHolds: () => readOpenHolds(reports),
    logDropped: options.logDropped,
  })
  const vault = await openVault({
    database,
    databaseUrl: options.databaseUrl,
    ...options.root,
    log,
    now: () => performance.now(),
  })
  const ownLedger = await createLedger({
    databaseUrl: options.databaseUrl,
    spoolDirectory: options.spoolDirectory,
    leases: config.leases,
    bookingWaitMs: config.limits.bookingWaitSeconds * 1000,
    version,
    newId: randomUUIDv7,
    onTrouble: (what, err, callId, requestId) => log.error({ err, ...idsOf(callId, requestId) }, `${what} failed`),
    onRecovered: ({ organizationId, charged, released, credits }) => {
      metrics.recovered({ charged, released }, creditsToMicro(credits))
      log.warn({ org_id: organizationId, charged, released, credits }, 'closed the holds of a process that is gone')
    },
    observer: metrics,
  }).catch(async (error: unknown) => {
    await vault.close()
    throw error
  })
  const ledger = withWaiting(ownLedger, {
    waitMs: config.limits.creditWaitSeconds * 1000,
    now: () => performance.now(),
  })
  const tokenizer = createTokenizer()
  const upstream = createUpstream(config.limits.connectTimeoutMs)
  const shutdown = new AbortController()
  // Every running call listens.
  setMaxListeners(0, shutdown.signal)
  let draining = false
  const now = () => new Date()
  const monotonic = () => performance.now()
  const router = createRouter(config)
  const cors = createCors(config.corsOrigins)
  const clientOf = createClientOf(config.trustedProxies)
  const unknownKeys = createUnknownKeys(config.limits.unknownKeysPerMinute, Date.now)
  const onRedisError = (err: Error) => log.warn({ err }, 'a connection to Redis broke')
  const known = { database: identities, config, clientOf, unknownKeys, now: Date.now }
  const people = openPeople({ ...known, cors, onRedisError })
  const identify = createIdentify({ ...known, people })
  const redis = config.redisUrl === null ? null : connectRedis(config.redisUrl, onRedisError)
  const windows = createRateWindows(redis, monotonic)
  const rates = createRateLimits(config.rateLimits, windows, Date.now)
  const calls: CallDependencies = {
    config,
    clock: { now, monotonic },
    admission: {
      identify,
      rates,
      bodies,
      runningCalls: createRunningCalls(
        {
          perKey: config.limits.callsPerKey,
          perUser: config.limits.callsPerUser,
          perOrganization: config.limits.callsPerOrganization,
          total: connectionsWithin(descriptorLimit(), config.limits.calls),
        },
        monotonic,
      ),
      fetchBudget: createFetchBudget({ fetches: config.limits.fetches, bytes: config.limits.fetchedBytes }),
    },
    routing: { router, vault, random: Math.random },
    network: {
      upstream,
      guard: createAddressGuard(config.allowedAddresses),
      connections: createProviderConnections(
        {
          connections: config.limits.providerConnections,
          waitMs: config.limits.connectionWaitSeconds * 1000,
        },
        monotonic,
      ),
    },
    money: { ledger, prices, tokenizer },
    learned: {
      streamOptionsUnsupported: createStreamOptionsUnsupported(monotonic),
      hiddenShares: createHiddenShares(),
      usualTiers: createUsualTiers(monotonic),
    },
    observe: { log, metrics },
    database,
    shutdown: shutdown.signal,
  }
  const app = createApp({
    calls,
    config,
    identify,
    rates,
    router,
    vault,
    log,
    metrics,
    now,
    reports,
    version,
    health: createHealth(
      identities,
      () => ledger.open,
      () => draining,
    ),
    // In the order of time: each index of the books grows at its end (measured: a tenth of what PostgreSQL does for a call).
    newId: randomUUIDv7,
    draining: () => draining,
    running,
    requestIds,
    mayReadMetrics: createMetricsAccess({ masterKey: config.masterKey, token: options.metricsToken }),
    cors,
    clientOf,
    people,
  })
  const closeAll = async () => {
    people.close()
    windows.close()
    redis?.disconnect()
    await Promise.all([upstream.close(), tokenizer.close(), ledger.close(), vault.close()])
  }
  const server = createServer({ connectionsCheckingInterval: CHECK_MS })
  // What is left of a body that was not read is not the adapter's to read: see discard-body.ts.
  const listener = getRequestListener(app.fetch, {
    hostname: options.host,
    autoCleanupIncoming: false,
  }) as RequestListener
  const limits = connectionLimitsOf(config.limits)
  connections = limitConnections(server, listener, limits, metrics.refused)
  const port = await listen(server, options).catch(async (error: unknown) => {
    await closeAll()
    throw error
  })
  // A little less is nothing to act upon.
  if (limits.connections < config.limits.connections / 2) {
    const few = 'fewer connections than tollgate.limits.connections: raise the limit of open files'
    log.info({ descriptors: descriptorLimit(), connections: limits.connections }, few)
  }
  const cleaning = setInterval(
    () => forgetOldKeys(database).catch((err: unknown) => log.warn({ err }, 'old idempotency keys not forgotten')),
    HOUR_MS,
  )
  const pruning = setInterval(
    () =>
      pruneAuditLog(database, config.auditLogDays).catch((err: unknown) =>
        log.warn({ err }, 'the audit log not pruned'),
      ),
    HOUR_MS,
  )
  const forgetting = setInterval(
    () => people.prune().catch((err: unknown) => log.warn({ err }, 'old sessions not removed')),
    HOUR_MS,
  )

  async function stop(): Promise<boolean> {
    draining = true
    for (const timer of [cleaning, pruning, forgetting]) clearInterval(timer)
    const patience = setTimeout(() => shutdown.abort(), config.limits.drainSeconds * 1000)
    const force = setTimeout(() => server.closeAllConnections(), config.limits.drainSeconds * 1000 + STOP_GRACE_MS)
    // It listens until the last one is done, those included whose callers have left: a balancer reads from /health/readiness that
    // it should look elsewhere, and a late call is told so.
    while (running.size > 0) await Promise.allSettled(running)
    const closed = new Promise<void>((resolve) => {
      server.close(() => resolve())
    })
    // A connection kept alive by its client becomes idle whenever its answer is out.
    const idle = setInterval(() => server.closeIdleConnections(), 50)
    await closed
    for (const timer of [idle, patience, force]) clearTimeout(timer)
    const settled = await ledger.drain(SETTLE_DEADLINE_MS)
    await closeAll()
    return settled
  }
  return { port, countUnowned: metrics.unowned, stop }
}

/** Of a call the caller gave no request id, its own id stands in. What isn't said here the log adds while the call runs. */
function idsOf(callId: string | undefined, requestId: string | null | undefined): Record<string, string> {
  if (callId === undefined) return {}
  return { call_id: callId, ...(requestId === undefined ? {} : { request_id: requestId ?? callId }) }
}

function bodyLimitsOf({ bodyBytes, bodiesBytes, uploadsPerCaller, silentSeconds }: Limits): BodyLimits {
  const memory = Math.min(totalmem(), process.constrainedMemory() || Number.POSITIVE_INFINITY)
  // One body must fit, whatever there is.
  const totalBytes = Math.max(bodyBytes, bodiesBytes ?? Math.floor(memory / 8))
  return { bodyBytes, totalBytes, uploadsPerCaller, silentMs: silentSeconds * 1000 }
}

function connectionLimitsOf(limits: Limits): ConnectionLimits {
  return {
    connections: connectionsWithin(descriptorLimit(), limits.connections),
    requestsPerConnection: limits.requestsPerConnection,
    silentMs: limits.silentSeconds * 1000,
    uploadMs: limits.uploadSeconds * 1000,
    stallMs: limits.clientStallSeconds * 1000,
    keepAliveMs: KEEP_ALIVE_MS,
  }
}

async function listen(server: Server, { host, port }: ServerOptions): Promise<number> {
  server.listen(port, host)
  await once(server, 'listening')
  return (server.address() as AddressInfo).port
}
