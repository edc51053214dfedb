/** Listens, and goes down without losing a call: no new ones, running ones finish, what is left is stopped and settled. */
import { randomUUIDv7 } from 'node:crypto'
import { once, setMaxListeners } from 'node:events'
import { createServer, type RequestListener, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { getRequestListener } from '@hono/node-server'
import { CHECK_MS, type ConnectionLimits, type Connections, limitConnections } from './admission/connections.ts'
import { connectionsWithin, descriptorLimit } from './admission/descriptor-limit.ts'
import { readAppFiles } from './api/app/app-files.ts'
import { createApp } from './app.ts'
import { forgetChangeKeys } from './billing/change.ts'
import { endTrials } from './billing/end-trials.ts'
import { renewSubscriptions, sweepPeriods } from './billing/sweep-periods.ts'
import { createQuotes } from './call/quotes.ts'
import type { Limits } from './config/config.ts'
import { connect } from './db/connect.ts'
import { createQuoteSecret } from './db/quote-secret.ts'
import { createKeptResponses } from './endpoints/responses/kept-responses.ts'
import { forgetOldKeys } from './idempotency/idempotency.ts'
import { forgetDetails } from './ledger/forget-details.ts'
import { createRuns } from './ledger/runs.ts'
import { createHealth } from './observe/health.ts'
import type { Log } from './observe/log.ts'
import type { Metrics } from './observe/metrics.ts'
import { createMetricsAccess } from './observe/metrics-access.ts'
import { forgetOldEvents } from './outbox/forget-old-events.ts'
import { noteUnusualSpending } from './outbox/unusual-spending.ts'
import { createRouter } from './routing/route.ts'
import { createCalls } from './server/create-calls.ts'
import { type CallDatabases, openServices, type Services } from './server/open-services.ts'
import type { ServerOptions } from './server/server-options.ts'
import { startEvents } from './server/start-events.ts'
import { startFolding } from './server/start-folding.ts'
import { type HourlyTask, startHourly } from './server/start-hourly.ts'
import { pruneAuditLog } from './vault/audit-log.ts'
import { connectionsOf } from './workers/worker-connections.ts'
import type { WorkerPart } from './workers/worker-part.ts'

/** How often what is due is looked for; calls do not wait for it. */
const PERIODS_MS = 60_000
/** How often unusual spending is looked for. */
const UNUSUAL_MS = 600_000
/** How long an idle connection is kept; balancers keep theirs for 60 seconds. */
const KEEP_ALIVE_MS = 65_000
/** How long stopped calls may take to tell their callers. */
const STOP_GRACE_MS = 5_000
/** How long the last settlements may take after the drain. */
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
  // Separate pools, so that neither a report nor a burst of calls delays the check of a credential.
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
    // Otherwise open connections keep a process alive that could not start.
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
  // Every running call listens to this signal.
  setMaxListeners(0, shutdown.signal)
  const clock = { now: () => new Date(), monotonic: () => performance.now() }
  const shared = {
    ...services,
    config,
    ...signedBy(createQuoteSecret(database), clock.now),
    router: createRouter(config),
  }
  const money = { ledger, prices, tokenizer }
  const observe = { log, metrics, ...(services.traces === undefined ? {} : { traces: services.traces }) }
  const keptResponses = createKeptResponses({ database, log, hours: config.keptResponsesHours })
  const app = createApp({
    ...shared,
    keptResponses,
    metrics: worker === null ? metrics : withAllWorkers(metrics, worker),
    calls: createCalls({
      ...shared,
      clock,
      database,
      shutdown: shutdown.signal,
      money,
      memory: keptResponses,
      observe,
      descriptors,
      places: worker?.places ?? null,
    }),
    log,
    now: clock.now,
    reports: options.database,
    version: options.version,
    appFiles: readAppFiles(),
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
  const endRegular = await startRegularWork(options, services, database, { config, keptResponses, people })
  const stop = async (others = false) => {
    draining = true
    const regularEnded = endRegular()
    const drainMs = config.limits.drainSeconds * 1000
    await drain(server, { running, stopCalls: () => shutdown.abort(), drainMs, others })
    const settled = await ledger.drain(SETTLE_DEADLINE_MS)
    await keptResponses.drain()
    await regularEnded
    await services.close()
    return settled
  }
  return { port, countUnowned: metrics.unowned, stop }
}

/** What callers are given to send along: all replicas of a database accept it. */
function signedBy(secret: () => Promise<Uint8Array>, now: () => Date) {
  return { quotes: createQuotes(secret, now), runs: createRuns(secret, now) }
}

interface Kept {
  config: ServerOptions['config']
  keptResponses: { prune(): Promise<unknown> }
  people: { prune(): Promise<unknown> }
}

/** What runs beside calls. Returns a function that ends it. */
async function startRegularWork(
  options: ServerOptions,
  { metrics }: Pick<Services, 'metrics'>,
  database: CallDatabases['database'],
  kept: Kept,
): Promise<() => Promise<void>> {
  const { log } = options
  const ends = [startHourly(regularWork(database, kept), log), startFolding(database, log)]
  const endEvents = await startEvents(options, metrics)
  return () => {
    for (const end of ends) end()
    return endEvents()
  }
}

function regularWork(database: CallDatabases['database'], { config, keptResponses, people }: Kept): HourlyTask[] {
  return [
    { run: () => forgetOldKeys(database), failure: 'old idempotency keys not forgotten' },
    { run: () => forgetChangeKeys(database), failure: 'old idempotency keys of changes not forgotten' },
    { run: () => keptResponses.prune(), failure: 'old responses not forgotten' },
    { run: () => pruneAuditLog(database, config.auditLogDays), failure: 'the audit log not pruned' },
    { run: () => forgetDetails(database, config.detailsDays), failure: 'old details of charges not removed' },
    { run: () => forgetOldEvents(database, config.eventsDays), failure: 'old events not forgotten' },
    { run: () => people.prune(), failure: 'old sessions not removed' },
    { run: () => endTrials(database), failure: 'trials that are over not ended', everyMs: PERIODS_MS },
    { run: () => renewSubscriptions(database), failure: 'subscriptions not renewed', everyMs: PERIODS_MS },
    { run: () => noteUnusualSpending(database), failure: 'unusual spending not looked for', everyMs: UNUSUAL_MS },
    { run: () => sweepPeriods(database), failure: 'credits that are due not reset', everyMs: PERIODS_MS },
  ]
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
  // The port stays open until the last call is done, calls without a caller included: a balancer reads from /health/readiness that
  // it should send calls elsewhere, and a late call is told so.
  while (running.size > 0) await Promise.allSettled(running)
  if (!others) server.close()
  idle ??= closeIdle()
  await closed
  for (const timer of [idle, patience, force]) clearTimeout(timer)
}

/** The metrics of all workers, whichever worker is asked. */
function withAllWorkers(metrics: Metrics, worker: WorkerPart): Metrics {
  worker.metrics.readBy(() => metrics.read())
  return { ...metrics, print: async () => (await worker.metrics.print()) ?? metrics.print() }
}

/** The adapter must not read the rest of an unread body: see discard-body.ts. */
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

/** A small shortage needs no action. */
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
