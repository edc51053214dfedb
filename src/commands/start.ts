/** `tollgate start`: store, schema, server, banner; then until a signal. */
import { once } from 'node:events'
import { demoKey } from '../admin/demo.ts'
import { createLog } from '../observe/log.ts'
import { type RunningServer, startServer } from '../server.ts'
import { banner } from './banner.ts'
import { CommandError, EXIT } from './exit.ts'
import { openStore, type Store } from './open-store.ts'
import type { Options } from './options.ts'
import { requireConfig } from './read-config.ts'
import { version } from './version.ts'

export async function start(options: Options): Promise<number> {
  const say = (line: string) => process.stderr.write(`${line}\n`)
  const config = await requireConfig(options, say)
  const log = createLog(options.logLevel)
  const store = await openStore(options, config, say, (err) => log.warn({ err }, 'a database connection broke'))
  const stopped = nextSignal()
  let server: RunningServer
  try {
    const key = store.embedded ? await demoKey(store.database, options.dataDir) : null
    server = await listen(options, store, config, log)
    process.stdout.write(
      banner({
        version: version(),
        host: options.host,
        port: server.port,
        config,
        store,
        dataDir: options.dataDir,
        demoKey: key,
      }),
    )
  } catch (error) {
    await store.close()
    throw error
  }
  const signal = await stopped
  log.info({ signal }, 'no new calls; running ones finish')
  const settled = await server.stop()
  await store.close()
  log.info({ settled }, 'stopped')
  return settled ? EXIT.ok : EXIT.failed
}

async function listen(
  options: Options,
  store: Store,
  config: Parameters<typeof startServer>[0]['config'],
  log: ReturnType<typeof createLog>,
): Promise<RunningServer> {
  try {
    return await startServer({
      config,
      database: store.database,
      databaseUrl: store.url,
      spoolDirectory: options.spoolDir,
      log,
      host: options.host,
      port: options.port,
      version: version(),
    })
  } catch (error) {
    const { code } = error as { code?: string }
    if (code !== 'EADDRINUSE' && code !== 'EACCES' && code !== 'EADDRNOTAVAIL') throw error
    throw new CommandError(
      EXIT.port,
      `${options.host}:${options.port} can't be listened on (${code}). Choose another with --port.`,
      { cause: error },
    )
  }
}

/** The first signal drains; a second one ends the process at once. */
async function nextSignal(): Promise<string> {
  const signals = ['SIGINT', 'SIGTERM'] as const
  const signal = await Promise.race(signals.map((name) => once(process, name).then(() => name)))
  for (const name of signals) process.once(name, () => process.exit(EXIT.failed))
  return signal
}
