/** Listens, and goes down without losing a call: no new ones, running ones finish, what is left is stopped and settled. */
import { randomUUIDv7 } from 'node:crypto'
import { once, setMaxListeners } from 'node:events'
import { createServer, type RequestListener, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { getRequestListener } from '@hono/node-server'
import { CHECK_MS, type ConnectionLimits, type Connections, limitConnections } from './admission/connections.ts'
import { connectionsWithin, descriptorLimit } from './admission/descriptor-limit.ts'
import { createApp } from './app.ts'
import { forgetChangeKeys } from './billing/change.ts'
import { endTrials } from './billing/end-trials.ts'
import { createQuotes } from './call/quotes.ts'
import type { Limits } from './config/config.ts'
import { connect } from './db/connect.ts'
import { createQuoteSecret } from './db/quote-secret.ts'
import { forgetOldKeys } from './idempotency/idempotency.ts'
import { createHealth } from './observe/health.ts'
import type { Log } from './observe/log.ts'
import type { Metrics } from './observe/metrics.ts'
import { createMetricsAccess } from './observe/metrics-access.ts'
import { createRouter } from './routing/route.ts'
import { createCalls } from './server/create-calls.ts'
import { type CallDatabases, openServices } from './server/open-services.ts'
import type { ServerOptions } from './server/server-options.ts'
import { startHourly } from './server/start-hourly.ts'
import { pruneAuditLog } from './vault/audit-log.ts'
import { connectionsOf } from './workers/worker-connections.ts'
import type { WorkerPart } from './workers/worker-part.ts'

/** Between a response and the next request; balancers keep theirs for 60 seconds. */
const KEEP_ALIVE_MS = 65_000
/** Stopped calls get this long to say so to their callers. */
const STOP_GRACE_MS = 5_000
/** After the drain, this long for the last settlements. */
const SETTLE_DEADLINE_MS = 20_000

export interface RunningServer {
  port: number
  /** Counts an error that belongs to no call. */
  countUnowned(): void
  /**
   * Drains and stops. @param others serve on: the port is left to them at once, else late callers are told that this is the end of it.
   * @returns false when a settlement could not be booked.
   */
  stop(others?: boolean): Promise<boolean>
}

/** @throws when the port can't be listened on, the database can't be written, or stored keys are sealed under another root key. */
export async function startServer(options: ServerOptions): Promise<RunningServer> {
  const onIdleError = (err: Error) => options.log.warn({ err }, 'a database connection broke')
  const pool = (maxConnections: number) => connect(options.databaseUrl, { maxConnections, onIdleError })
  // Apart from each other, so that no report and no burst of calls keeps a caller from being known.
  const { identities: forIdentities, calls } = connectionsOf(options.worker?.workers ?? 1)
  const identities = pool(forIdentities)
  const database = pool(calls)
  const close = async () => {
    await Promise.all([identities.close(), database.close()])
  }
  try {
    const server = await startOver(options, { identities, database })
    const stop = async (others = false) => {
      try {
        return await server.stop(others)
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

async function startOver(options: ServerOptions, databases: CallDatabases): Promise<RunningServer> {
  const { config, log, worker } = options
  const { database } = databases
  const running = new Set<Promise<void>>()
  let connections: Connections = { open: 0 }
  let draining = false
  const descriptors = descriptorLimit()
  const gauges = { runningCalls: () => running.size, connections: () => connections.open }
  const services = await openServices(options, databases, gauges)
  const { metrics, ledger, people, prices, tokenizer } = services
  const shutdown = new AbortController()
  // Every running call listens.
  setMaxListeners(0, shutdown.signal)
  const clock = { now: () => new Date(), monotonic: () => performance.now() }
  const quotes = createQuotes(createQuoteSecret(database), clock.now)
  const shared = { ...services, config, quotes, router: createRouter(config) }
  const money = { ledger, prices, tokenizer }
  const observe = { log, metrics }
  const app = createApp({
    ...shared,
    metrics: worker === null ? metrics : withAllWorkers(metrics, worker),
    calls: createCalls({
      ...shared,
      clock,
      database,
      shutdown: shutdown.signal,
      money,
      observe,
      descriptors,
      places: worker?.places ?? null,
    }),
    log,
    now: clock.now,
    reports: options.database,
    version: options.version,
    health: createHealth(
      databases.identities,
      () => ledger.open,
      () => draining,
    ),
    // In the order of time: each index of the books grows at its end (measured: a tenth of what PostgreSQL does for a call).
    newId: randomUUIDv7,
    draining: () => draining,
    running,
    requestIds: options.requestIds,
    mayReadMetrics: createMetricsAccess({ masterKey: config.masterKey, token: options.metricsToken }),
  })
  const server = createServer({ connectionsCheckingInterval: CHECK_MS })
  const limits = connectionLimitsOf(config.limits, descriptors)
  connections = limitConnections(server, listenerOf(app, options), limits, metrics.refused)
  const port = await listen(server, options).catch(async (error: unknown) => {
    await services.close()
    throw error
  })
  tellFewConnections(log, { descriptors, given: limits.connections, wanted: config.limits.connections })
  const prune = () => pruneAuditLog(database, config.auditLogDays)
  const endHourly = startHourly(
    [
      { run: () => forgetOldKeys(database), failure: 'old idempotency keys not forgotten' },
      { run: () => forgetChangeKeys(database), failure: 'old idempotency keys of changes not forgotten' },
      { run: prune, failure: 'the audit log not pruned' },
      { run: () => people.prune(), failure: 'old sessions not removed' },
      { run: () => endTrials(database), failure: 'trials that are over not ended' },
    ],
    log,
  )
  const stop = async (others = false) => {
    draining = true
    endHourly()
    const drainMs = config.limits.drainSeconds * 1000
    await drain(server, { running, stopCalls: () => shutdown.abort(), drainMs, others })
    const settled = await ledger.drain(SETTLE_DEADLINE_MS)
    await services.close()
    return settled
  }
  return { port, countUnowned: metrics.unowned, stop }
}

interface Drain {
  running: ReadonlySet<Promise<void>>
  /** Ends the calls that still run after `drainMs`. */
  stopCalls: () => void
  drainMs: number
  /** Other processes serve the port. */
  others: boolean
}

/** Resolves when no call runs and no connection is open. */
async function drain(server: Server, { running, stopCalls, drainMs, others }: Drain): Promise<void> {
  const closed = once(server, 'close')
  // A connection kept alive by its client becomes idle whenever its response is out.
  const closeIdle = () => setInterval(() => server.closeIdleConnections(), 50)
  let idle = others ? closeIdle() : null
  if (others) server.close()
  const patience = setTimeout(stopCalls, drainMs)
  const force = setTimeout(() => server.closeAllConnections(), drainMs + STOP_GRACE_MS)
  // It listens until the last one is done, those included whose callers have left: a balancer reads from /health/readiness that
  // it should look elsewhere, and a late call is told so.
  while (running.size > 0) await Promise.allSettled(running)
  if (!others) server.close()
  idle ??= closeIdle()
  await closed
  for (const timer of [idle, patience, force]) clearTimeout(timer)
}

/** The numbers of all workers for whoever asks one of them. */
function withAllWorkers(metrics: Metrics, worker: WorkerPart): Metrics {
  worker.metrics.readBy(() => metrics.read())
  return { ...metrics, print: async () => (await worker.metrics.print()) ?? metrics.print() }
}

/** What is left of a body that was not read is not the adapter's to read: see discard-body.ts. */
function listenerOf(app: ReturnType<typeof createApp>, { host }: ServerOptions): RequestListener {
  return getRequestListener(app.fetch, { hostname: host, autoCleanupIncoming: false }) as RequestListener
}

function connectionLimitsOf(limits: Limits, descriptors: number | null): ConnectionLimits {
  return {
    connections: connectionsWithin(descriptors, limits.connections),
    requestsPerConnection: limits.requestsPerConnection,
    silentMs: limits.silentSeconds * 1000,
    uploadMs: limits.uploadSeconds * 1000,
    stallMs: limits.clientStallSeconds * 1000,
    keepAliveMs: KEEP_ALIVE_MS,
  }
}

/** A little less is nothing to act upon. */
function tellFewConnections(log: Log, limit: { descriptors: number | null; given: number; wanted: number }): void {
  if (limit.given >= limit.wanted / 2) return
  const few = 'fewer connections than tollgate.limits.connections: raise the limit of open files'
  log.info({ descriptors: limit.descriptors, connections: limit.given }, few)
}

async function listen(server: Server, { host, port, worker }: ServerOptions): Promise<number> {
  if (worker === null) server.listen(port, host)
  else server.listen({ port: await worker.port(), host, reusePort: true })
  await once(server, 'listening')
  return (server.address() as AddressInfo).port
}
