/** Tells consumers what happens, over connections of its own; loaded only where somebody is told. */
import { randomUUID } from 'node:crypto'
import { connect } from '../db/connect.ts'
import type { Metrics } from '../observe/metrics.ts'
import type { ServerOptions } from './server-options.ts'

const CONNECTIONS = 2
/** To find what waits for an organization may take long: no call waits for it. */
const PATIENCE_MS = 60_000

/** Returns a function that ends it after the requests that are under way. */
export async function startEvents(options: ServerOptions, metrics: Metrics): Promise<() => Promise<void>> {
  const { config, log, databaseUrl } = options
  if (config.outbox.length === 0) return async () => {}
  const [{ startOutbox }, { createSink }, { createAddressGuard }] = await Promise.all([
    import('../outbox/create-outbox.ts'),
    import('../outbox/create-sink.ts'),
    import('../http/address-guard.ts'),
  ])
  const onIdleError = (err: Error) => log.warn({ err }, 'a database connection broke')
  const database = connect(databaseUrl, { maxConnections: CONNECTIONS, patienceMs: PATIENCE_MS, onIdleError })
  const guard = createAddressGuard(config.allowedAddresses)
  const outbox = startOutbox({
    database,
    sinks: config.outbox.map((consumer) => {
      metrics.outbox(consumer.name, 'sent', 0)
      return { ...consumer, sink: createSink(consumer, { guard, database, now: () => new Date() }) }
    }),
    owner: randomUUID(),
    random: Math.random,
    now: () => performance.now(),
    count(consumer, outcome, events) {
      metrics.outbox(consumer, outcome, events)
      if (outcome === 'dead') log.error({ consumer }, 'an event was given up: tollgate outbox list says why')
    },
    onTrouble: (consumer, err) => log.warn({ consumer, err }, 'events were not followed; tried again'),
  })
  return async () => {
    await outbox.stop()
    await database.close()
  }
}
