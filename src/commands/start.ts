/** `tollgate start`: store, schema, server, banner; then until a signal. */
import { once } from 'node:events'
import { demoKey } from '../billing/demo.ts'
import { ensureServiceUser } from '../billing/service-user.ts'
import { createLastResort } from '../observe/last-resort.ts'
import { createLog } from '../observe/log.ts'
import { createLogOutput } from '../observe/log-output.ts'
import { tokenTrouble } from '../observe/metrics-access.ts'
import type { ServerOptions } from '../server/server-options.ts'
import { type RunningServer, startServer } from '../server.ts'
import { banner, urlOf } from './banner.ts'
import { CommandError, EXIT } from './exit.ts'
import { openStore, type Store } from './open-store.ts'
import type { Options } from './options.ts'
import { requireConfig } from './read-config.ts'
import { asCommandError, requireRootConfig } from './root-config.ts'
import { findServer, writeServerNote } from './server-note.ts'
import { version } from './version.ts'

/** At the end, for whoever reads the log. */
const LOG_PATIENCE_MS = 2_000

export async function start(options: Options): Promise<number> {
  const say = (line: string) => process.stderr.write(`${line}\n`)
  // A reader that is gone is no reason to stop.
  for (const stream of [process.stdout, process.stderr]) stream.on('error', () => {})
  await refuseSecond(options)
  const config = await requireConfig(options, say)
  const metricsToken = metricsTokenOf(options)
  const root = await requireRootConfig(options, config, say)
  const requestIds = new Map<string, string>()
  const output = createLogOutput({ fd: 2 })
  const log = createLog(options.logLevel, requestIds, output)
  const store = await openStore(options, config, say, (err) => log.warn({ err }, 'a database connection broke'))
  for (const note of store.notes) say(note)
  const stopped = nextSignal()
  let server: RunningServer
  let forgetServer: () => Promise<void>
  try {
    for (const { organization, user } of config.serviceKeys) await ensureServiceUser(store.database, organization, user)
    const key = store.embedded ? await demoKey(store.database, options.dataDir) : null
    server = await listen(options, store, {
      config,
      root,
      log,
      logDropped: () => output.dropped,
      requestIds,
      metricsToken,
    })
    forgetServer = await writeServerNote(options.spoolDir, {
      pid: process.pid,
      host: options.host,
      port: server.port,
    })
    process.stdout.write(
      banner({
        version: version(),
        host: options.host,
        port: server.port,
        config,
        store,
        demoKey: key,
      }),
    )
  } catch (error) {
    await store.close()
    throw error
  }
  const lastResort = createLastResort(log, server.countUnowned)
  const signal = await Promise.race([stopped, lastResort.unsound.then(() => null)])
  log.info({ signal }, 'no new calls; running ones finish')
  const settled = await server.stop()
  await forgetServer()
  await store.close()
  lastResort.remove()
  log.info({ settled }, 'stopped')
  await output.drain(LOG_PATIENCE_MS)
  return settled && signal !== null ? EXIT.ok : EXIT.failed
}

async function listen(
  options: Options,
  store: Store,
  own: Pick<ServerOptions, 'config' | 'root' | 'log' | 'logDropped' | 'requestIds' | 'metricsToken'>,
): Promise<RunningServer> {
  try {
    return await asCommandError(() =>
      startServer({
        ...own,
        database: store.database,
        databaseUrl: store.url,
        spoolDirectory: options.spoolDir,
        host: options.host,
        port: options.port,
        version: version(),
      }),
    )
  } catch (error) {
    const { code, syscall } = error as { code?: string; syscall?: string }
    if (syscall !== 'listen' && syscall !== 'getaddrinfo') throw error
    if (code === 'EADDRINUSE') await refuseSecond(options)
    throw new CommandError(EXIT.port, whyNotListening(options, code ?? 'unknown'), { cause: error })
  }
}

/** @throws {CommandError} where a server of this data directory listens on the port: started twice by mistake. */
async function refuseSecond({ spoolDir, port }: Options): Promise<void> {
  const running = port === 0 ? null : await findServer(spoolDir, port)
  if (running === null) return
  throw new CommandError(
    EXIT.running,
    `Tollgate is running already: process ${running.pid} on ${urlOf(running.host, port)}. Stop it with kill ${running.pid}, or start another beside it with --port.`,
  )
}

/** With the setting at fault. */
function whyNotListening({ host, port }: Options, code: string): string {
  if (code === 'EADDRINUSE')
    return `Another program listens on ${host}:${port} (EADDRINUSE). Choose another port with --port or TOLLGATE_PORT.`
  if (code === 'EACCES')
    return `Port ${port} needs more rights than this user has (EACCES). Choose one above 1023 with --port or TOLLGATE_PORT.`
  return `--host ${host} (or TOLLGATE_HOST) is no address of this machine (${code}). 127.0.0.1 is for this machine only, 0.0.0.0 for all its addresses.`
}

/** @throws {CommandError} where it could be guessed: it may be all that stands before the numbers of the business. */
function metricsTokenOf({ env }: Options): string | null {
  const token = env.TOLLGATE_METRICS_TOKEN?.trim() ?? ''
  if (token === '') return null
  const trouble = tokenTrouble(token)
  if (trouble === null) return token
  throw new CommandError(EXIT.config, `TOLLGATE_METRICS_TOKEN ${trouble}. Take a random one: openssl rand -hex 24`)
}

/** The first signal drains; a second one ends the process at once. */
async function nextSignal(): Promise<string> {
  const signals = ['SIGINT', 'SIGTERM'] as const
  const signal = await Promise.race(signals.map((name) => once(process, name).then(() => name)))
  for (const name of signals) process.once(name, () => process.exit(EXIT.failed))
  return signal
}
