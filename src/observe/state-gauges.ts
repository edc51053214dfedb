/** The state of this process and of its ledger, read for every scrape. */
import { setTimeout as pause } from 'node:timers/promises'
import { type Aggregator, Gauge, type Registry } from 'prom-client'

const DATABASE_PATIENCE_MS = 1_000

/** What is read when somebody looks. */
export interface Readings {
  runningCalls: () => number
  connections: () => number
  bodyBytes: () => number
  ledgerOpen: () => boolean
  spool: () => { entries: number; oldestMs: number }
  /** Of the whole ledger, from the database. */
  openHolds: () => Promise<{ count: number; oldestSeconds: number }>
  /** Of each consumer that the configuration names, from the database. */
  consumers: () => Promise<readonly { name: string; lag_seconds: number; blocked: number; dead_letters: number }[]>
  /** Since the start. */
  logDropped: () => number
  /** Deployments that get no calls for a while. */
  spared: () => number
}

export function createStateGauges(register: Registry, readings: Readings) {
  /** @param aggregator how several processes are one: what is said of all is the worst of it, and what is of the ledger is no sum. */
  const gauge = (name: string, help: string, aggregator: Aggregator = 'sum') =>
    new Gauge({ name, help, registers: [register], aggregator })
  const running = gauge('tollgate_calls_in_flight', 'Calls under way in this process.')
  const connections = gauge('tollgate_connections', 'Connections of callers that are open.')
  const bodies = gauge('tollgate_body_bytes', 'Memory taken by bodies of requests of more than 64 kB.')
  const spared = gauge('tollgate_deployments_spared', 'Deployments that failed and get no calls for a while.', 'max')
  const open = gauge('tollgate_ledger_open', '1 while paid calls can start in this process.', 'min')
  const spool = gauge('tollgate_spool_entries', 'Charges on the local disk of this process that wait for the database.')
  const spoolAge = gauge('tollgate_spool_oldest_seconds', 'How long the oldest of them waits.', 'max')
  const database = gauge('tollgate_database_up', '1 when the database answered this scrape within a second.', 'min')
  const holds = gauge(
    'tollgate_open_holds',
    'Open holds of the whole ledger; left out while the database is away.',
    'max',
  )
  const holdAge = gauge(
    'tollgate_open_hold_age_seconds_max',
    'Age of the oldest of them; left out while the database is away.',
    'max',
  )

  const consumers = createConsumerGauges(register)

  async function fromDatabase() {
    const answered = new AbortController()
    try {
      const late = pause(DATABASE_PATIENCE_MS, null, { signal: answered.signal })
      return await Promise.race([Promise.all([readings.openHolds(), readings.consumers()]), late])
    } catch {
      return null
    } finally {
      answered.abort()
    }
  }

  return {
    async read(): Promise<void> {
      running.set(readings.runningCalls())
      connections.set(readings.connections())
      bodies.set(readings.bodyBytes())
      spared.set(readings.spared())
      open.set(readings.ledgerOpen() ? 1 : 0)
      const { entries, oldestMs } = readings.spool()
      spool.set(entries)
      spoolAge.set(oldestMs / 1000)
      const found = await fromDatabase()
      database.set(found === null ? 0 : 1)
      consumers.set(found?.[1] ?? [])
      if (found !== null) {
        const [{ count, oldestSeconds }] = found
        holds.set(count)
        holdAge.set(oldestSeconds)
        return
      }
      // An old number would look like a true one.
      holds.remove()
      holdAge.remove()
    },
  }
}

/** Left out while the database is away. */
function createConsumerGauges(register: Registry) {
  const gauge = (name: string, help: string) =>
    new Gauge({ name, help, labelNames: ['consumer'], registers: [register], aggregator: 'max' })
  const lag = gauge('tollgate_outbox_lag_seconds', 'How long the oldest event waits that a consumer has not taken.')
  const blocked = gauge(
    'tollgate_outbox_blocked_organizations',
    'Organizations whose events wait behind one that was not taken.',
  )
  const dead = gauge(
    'tollgate_outbox_dead_letters',
    'Events that were given up: tollgate outbox replay sends them again.',
  )
  return {
    set(states: Awaited<ReturnType<Readings['consumers']>>): void {
      for (const each of [lag, blocked, dead]) each.reset()
      for (const { name: consumer, lag_seconds, ...state } of states) {
        lag.set({ consumer }, lag_seconds)
        blocked.set({ consumer }, state.blocked)
        dead.set({ consumer }, state.dead_letters)
      }
    },
  }
}
