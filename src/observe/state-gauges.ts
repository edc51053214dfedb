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
  /** Since the start. */
  logDropped: () => number
}

export function createStateGauges(register: Registry, readings: Readings) {
  /** @param aggregator how several processes are one: what is said of all is the worst of it, and what is of the ledger is no sum. */
  const gauge = (name: string, help: string, aggregator: Aggregator = 'sum') =>
    new Gauge({ name, help, registers: [register], aggregator })
  const running = gauge('tollgate_calls_in_flight', 'Calls under way in this process.')
  const connections = gauge('tollgate_connections', 'Connections of callers that are open.')
  const bodies = gauge('tollgate_body_bytes', 'Memory taken by bodies of requests of more than 64 kB.')
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

  async function openHolds(): Promise<{ count: number; oldestSeconds: number } | null> {
    const answered = new AbortController()
    try {
      const late = pause(DATABASE_PATIENCE_MS, null, { signal: answered.signal })
      return await Promise.race([readings.openHolds(), late])
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
      open.set(readings.ledgerOpen() ? 1 : 0)
      const { entries, oldestMs } = readings.spool()
      spool.set(entries)
      spoolAge.set(oldestMs / 1000)
      const found = await openHolds()
      database.set(found === null ? 0 : 1)
      if (found !== null) {
        holds.set(found.count)
        holdAge.set(found.oldestSeconds)
        return
      }
      // An old number would look like a true one.
      holds.remove()
      holdAge.remove()
    },
  }
}
