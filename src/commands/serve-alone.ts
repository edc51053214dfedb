/** Serves the port with this process alone. */
import { createLastResort } from '../observe/last-resort.ts'
import { startServer } from '../server.ts'
import { asCommandError } from './root-config.ts'
import type { Serving, ServingParts } from './serving.ts'
import { version } from './version.ts'

export async function serveAlone(parts: ServingParts): Promise<Serving> {
  const { options, read, root, store, log, output, requestIds, metricsToken } = parts
  const server = await asCommandError(() =>
    startServer({
      config: read.config,
      root,
      database: store.database,
      databaseUrl: store.url,
      spoolDirectory: options.spoolDir,
      log,
      logDropped: () => output.dropped,
      requestIds,
      metricsToken,
      host: options.host,
      port: options.port,
      version: version(),
      worker: null,
    }),
  )
  const lastResort = createLastResort(log, server.countUnowned)
  return {
    port: server.port,
    pids: [],
    broken: lastResort.unsound.then(() => null),
    async stop() {
      const settled = await server.stop()
      lastResort.remove()
      return settled
    },
    kill() {},
  }
}
