/** One of the processes that `start --workers` starts to serve its port. Its primary tells it everything. */
import { connect } from '../db/connect.ts'
import { createLastResort } from '../observe/last-resort.ts'
import { createLog, type Log } from '../observe/log.ts'
import { createLogOutput } from '../observe/log-output.ts'
import { type RunningServer, startServer } from '../server.ts'
import { type JoinedPrimary, joinPrimary } from '../workers/join-primary.ts'
import { limitsOfWorker } from '../workers/limits-of-worker.ts'
import { connectionsOf } from '../workers/worker-connections.ts'
import { CommandError, EXIT } from './exit.ts'
import { LOG_PATIENCE_MS } from './log-patience.ts'
import type { Options } from './options.ts'
import { understand } from './read-config.ts'
import { asCommandError, requireRootConfig } from './root-config.ts'
import { version } from './version.ts'

/** The most a pipe takes in one piece, so that lines of several processes don't mix. */
const PIPE_BUF = 4_096

export async function serveAsWorker(options: Options): Promise<number> {
  // A terminal signals every process: the primary gets the signal too, and tells the workers what to do.
  process.on('SIGINT', () => {})
  const told = new Promise<'SIGTERM'>((resolve) => process.once('SIGTERM', resolve))
  for (const stream of [process.stdout, process.stderr]) stream.on('error', () => {})
  const primary = await joinPrimary()
  if (primary === null) throw new CommandError(EXIT.usage, 'Workers are started by tollgate start --workers N.')
  const { task } = primary
  const requestIds = new Map<string, string>()
  const output = createLogOutput({ fd: 2, chunkBytes: PIPE_BUF })
  const log = createLog(task.logLevel, requestIds, output, { worker: task.number })
  try {
    const opened = await open(primary, options, { log, requestIds, logDropped: () => output.dropped })
    return await serve(primary, { ...opened, log, told })
  } catch (error) {
    const { exitCode = EXIT.failed, message } = error as Partial<CommandError> & Error
    await primary.failed(message, exitCode)
    // Connections that are still being opened must not keep the process alive.
    process.exit(exitCode)
  } finally {
    await output.drain(LOG_PATIENCE_MS)
  }
}

interface Opened {
  server: RunningServer
  close(): Promise<void>
}

async function open(
  { task, part, drain }: JoinedPrimary,
  { env }: Options,
  observed: { log: Log; requestIds: Map<string, string>; logDropped: () => number },
): Promise<Opened> {
  const { config } = understand(task.config.file, task.config.text, env, task.config.includes)
  if (config === null) throw new CommandError(EXIT.config, 'the configuration can no longer be read')
  // The primary has reported the problems of the configuration.
  const root = await requireRootConfig({ env, dataDir: task.dataDir }, config, () => {})
  const { management } = connectionsOf(task.workers)
  const onIdleError = (err: Error) => observed.log.warn({ err }, 'a database connection broke')
  const database = connect(task.databaseUrl, { maxConnections: management, onIdleError })
  const starting = asCommandError(() =>
    startServer({
      ...observed,
      config: { ...config, limits: limitsOfWorker(config.limits, task.workers) },
      root,
      database,
      databaseUrl: task.databaseUrl,
      spoolDirectory: task.spoolDir,
      metricsToken: task.metricsToken,
      host: task.host,
      // The primary names the port.
      port: 0,
      version: version(),
      worker: part,
    }),
  )
  const server = await Promise.race([starting, drain.then(() => null)])
  // It took no call and holds nothing; what it was opening ends with the process.
  if (server === null) process.exit(EXIT.ok)
  return { server, close: () => database.close() }
}

/** Until it is told to drain, by whomever. */
async function serve(
  primary: JoinedPrimary,
  { server, close, log, told }: Opened & { log: Log; told: Promise<'SIGTERM'> },
): Promise<number> {
  primary.listening()
  const lastResort = createLastResort(log, server.countUnowned)
  const why = await Promise.race([primary.drain, told, lastResort.unsound.then(() => null)])
  if (why === 'primary gone') log.error('THE PRIMARY IS GONE: running calls finish, then this worker ends')
  else log.info(why === 'SIGTERM' ? { signal: why } : {}, 'no new calls; running ones finish')
  // Where all go down, late callers are told so; else the port is left to the other workers, or to a new primary.
  const settled = await server.stop(why !== 'told')
  await primary.leave()
  await close()
  lastResort.remove()
  log.info({ settled }, 'stopped')
  return settled && why !== null ? EXIT.ok : EXIT.failed
}
