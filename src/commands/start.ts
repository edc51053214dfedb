/** `tollgate start`: store, schema, server or workers, banner; then until a signal. */
import { once } from 'node:events'
import { isAppBuilt } from '../api/app/app-files.ts'
import { DEMO_USER, demoKey } from '../billing/demo.ts'
import { ensureServiceUser } from '../billing/service-user.ts'
import { makeSignInLink } from '../identity/session/sign-in-links.ts'
import { createLog } from '../observe/log.ts'
import { createLogOutput } from '../observe/log-output.ts'
import { tokenTrouble } from '../observe/metrics-access.ts'
import { planWorkers, TooManyWorkersError } from '../workers/plan-workers.ts'
import { banner, urlOf } from './banner.ts'
import { CommandError, EXIT } from './exit.ts'
import { LOG_PATIENCE_MS } from './log-patience.ts'
import { openStore } from './open-store.ts'
import type { Options } from './options.ts'
import { requireReadConfig } from './read-config.ts'
import { requireRootConfig } from './root-config.ts'
import { findServer, writeServerNote } from './server-note.ts'
import type { Serving, ServingParts } from './serving.ts'
import { refuseUnenforced } from './unenforced.ts'
import { unpricedLine } from './unpriced.ts'
import { version } from './version.ts'

export async function start(options: Options): Promise<number> {
  const say = (line: string) => process.stderr.write(`${line}\n`)
  // The server goes on when nobody reads its output any more.
  for (const stream of [process.stdout, process.stderr]) stream.on('error', () => {})
  await refuseSecond(options)
  const read = await requireReadConfig(options, say)
  refuseUnenforced(read.problems, options.acceptUnenforced)
  const unpriced = unpricedLine(read.config, new Date())
  if (unpriced !== null) say(unpriced)
  const metricsToken = metricsTokenOf(options)
  const root = await requireRootConfig(options, read.config, say)
  const requestIds = new Map<string, string>()
  const output = createLogOutput({ fd: 2 })
  const log = createLog(options.logLevel, requestIds, output)
  const store = await openStore(options, read.config, say, (err) => log.warn({ err }, 'a database connection broke'))
  for (const note of store.notes) say(note)
  let serving: Serving | null = null
  const stopped = nextSignal(() => serving?.kill())
  let forgetServer: () => Promise<void>
  try {
    for (const { organization, user } of read.config.serviceKeys)
      await ensureServiceUser(store.database, organization, user)
    const key = store.embedded ? await demoKey(store.database, options.dataDir) : null
    serving = await serve({ options, read, root, store, log, output, requestIds, metricsToken })
    const { host } = options
    const { port, pids: workers } = serving
    forgetServer = await writeServerNote(options.spoolDir, { pid: process.pid, host, port })
    const signInToken = store.embedded ? await makeSignInLink(store.database, DEMO_USER) : null
    const facts = { version: version(), host, port, workers, config: read.config, store, demoKey: key }
    process.stdout.write(banner({ ...facts, signInToken, hasApp: isAppBuilt() }))
  } catch (error) {
    await store.close()
    throw error
  }
  const ended = await Promise.race([
    stopped.then((signal) => ({ signal, why: null })),
    serving.broken.then((why) => ({ signal: null, why })),
  ])
  log.info({ signal: ended.signal }, 'no new calls; running ones finish')
  const settled = await serving.stop()
  await forgetServer()
  await store.close()
  log.info({ settled }, 'stopped')
  await output.drain(LOG_PATIENCE_MS)
  if (ended.why !== null) throw new CommandError(EXIT.failed, ended.why)
  return settled && ended.signal !== null ? EXIT.ok : EXIT.failed
}

/** Serves with this process or with workers. Only a process that serves loads the server's modules. */
async function serve(parts: ServingParts): Promise<Serving> {
  const { options, store } = parts
  try {
    const workers = await planWorkers(options.workers, store.database)
    if (workers > 1) return await (await import('./serve-with-workers.ts')).serveWithWorkers(parts, workers)
    return await (await import('./serve-alone.ts')).serveAlone(parts)
  } catch (error) {
    if (error instanceof TooManyWorkersError) throw new CommandError(EXIT.usage, error.message, { cause: error })
    const { code, syscall } = error as { code?: string; syscall?: string }
    if (syscall !== 'listen' && syscall !== 'getaddrinfo') throw error
    if (code === 'EADDRINUSE') await refuseSecond(options)
    throw new CommandError(EXIT.port, whyNotListening(options, code ?? 'unknown'), { cause: error })
  }
}

/** @throws {CommandError} where a server of this data directory already listens on the port: it was started twice by mistake. */
async function refuseSecond({ spoolDir, port }: Options): Promise<void> {
  const running = port === 0 ? null : await findServer(spoolDir, port)
  if (running === null) return
  throw new CommandError(
    EXIT.running,
    `Tollgate is running already: process ${running.pid} on ${urlOf(running.host, port)}. Stop it with kill ${running.pid}, or start another beside it with --port.`,
  )
}

/** Why the server can't listen, with the setting at fault. */
function whyNotListening({ host, port }: Options, code: string): string {
  if (code === 'EADDRINUSE')
    return `Another program listens on ${host}:${port} (EADDRINUSE). Choose another port with --port or TOLLGATE_PORT.`
  if (code === 'EACCES')
    return `Port ${port} may not be used by this user (EACCES). Choose one above 1023 with --port or TOLLGATE_PORT.`
  return `--host ${host} (or TOLLGATE_HOST) is no address of this machine (${code}). 127.0.0.1 is for this machine only, 0.0.0.0 for all its addresses.`
}

/** @throws {CommandError} where the token is easy to guess: it may be all that protects the figures of the business. */
function metricsTokenOf({ env }: Options): string | null {
  const token = env.TOLLGATE_METRICS_TOKEN?.trim() ?? ''
  if (token === '') return null
  const trouble = tokenTrouble(token)
  if (trouble === null) return token
  throw new CommandError(EXIT.config, `TOLLGATE_METRICS_TOKEN ${trouble}. Take a random one: openssl rand -hex 24`)
}

/** The first signal drains; a second one ends the process at once, and what it started. */
async function nextSignal(kill: () => void): Promise<string> {
  const signals = ['SIGINT', 'SIGTERM'] as const
  const signal = await Promise.race(signals.map((name) => once(process, name).then(() => name)))
  const hurry = () => {
    kill()
    process.exit(EXIT.failed)
  }
  for (const name of signals) process.once(name, hurry)
  return signal
}
