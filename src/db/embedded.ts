/**
 * The database of an installation without DATABASE_URL: a real PostgreSQL, from the binaries npm brought, on a socket only
 * its owner reaches. One server serves every Tollgate process and psql on the same data directory; it outlives a process that
 * is killed and is found again. Fails closed: no store, no start.
 */
import { join, resolve } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type pg from 'pg'
import { type Binaries, findBinaries, runnableBinaries } from './embedded-binaries.ts'
import { EmbeddedStoreError, errorText } from './embedded-error.ts'
import { embeddedDatabase, isPassing, takeLastLease, tryLease } from './embedded-lease.ts'
import { findPlace, type StorePlace } from './embedded-place.ts'
import {
  clusterExists,
  createCluster,
  embeddedPort,
  embeddedUser,
  type Launch,
  launchServer,
  runningServer,
  stopServer,
} from './embedded-server.ts'

export { EmbeddedStoreError } from './embedded-error.ts'
export { embeddedStoreExists } from './embedded-place.ts'

export interface EmbeddedStore {
  /** For node-postgres and libpq: database and user `tollgate`, over the Unix socket. */
  url: string
  /** The command for an operator's shell that opens the same database. */
  psql: string
  /** The folder that has the database. */
  directory: string
  /** Lines worth showing to the operator; empty unless the server runs as another user. */
  notes: string[]
  /** True when this call started the server, false when it found one that runs. */
  started: boolean
  /**
   * Gives the server up: stops it when nobody else uses it, otherwise leaves it to the others. Close your own pool before,
   * or it counts as somebody else. Never throws.
   */
  close(): Promise<void>
}

export interface EmbeddedStoreOptions {
  /** Told, in a line each, what takes long and what goes wrong later. */
  log?: (line: string) => void
  /** Where root keeps what the server's unprivileged user must reach and can't reach in the data directory. */
  systemDir?: string
}

/** How long a server may take; one that recovers from a crash says so, and has a whole checkpoint's log to replay. */
const patienceMs = 30_000
const recoveryPatienceMs = 600_000

/**
 * Finds or starts the PostgreSQL of a data directory and makes its database. Several processes may call it at once. The
 * store does not keep the process alive; a process that ends without `close` leaves the server running. A server that dies
 * while the store is open is started again.
 * @throws EmbeddedStoreError
 */
export async function openEmbeddedStore(dataDir: string, options: EmbeddedStoreOptions = {}): Promise<EmbeddedStore> {
  const log = options.log ?? (() => {})
  const systemDir = options.systemDir ?? '/var/lib/tollgate'
  const found = findBinaries()
  const place = await findPlace(resolve(dataDir), systemDir)
  const holder = new StoreHolder(place, found, () => runnableBinaries(found, place.user, systemDir), log)
  const started = await holder.open()
  const { root, user, earlier } = place
  const { socketDirectory } = holder
  return {
    url: `postgresql://${embeddedUser}@${encodeURIComponent(socketDirectory)}:${embeddedPort}/${embeddedDatabase}?sslmode=disable`,
    psql: `psql -h ${shellWord(socketDirectory)} -p ${embeddedPort} -U ${embeddedUser} ${embeddedDatabase}`,
    directory: root,
    notes: [
      ...(user.borrowed
        ? [`PostgreSQL runs as user ${user.name}, since it may not run as root; its data is in ${root}`]
        : []),
      ...earlier.map(
        (old) =>
          `The store of an earlier data directory of this path is still in ${old}; it is left alone, and this one is new. Remove it, or name it as "place" in ${join(resolve(dataDir), 'postgres.json')} (with the earlier root-key) to go on with it.`,
      ),
    ],
    started,
    close: () => holder.close(),
  }
}

function shellWord(text: string): string {
  return /^[\w./-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`
}

/** Keeps the lease on the server for as long as the store is open. */
class StoreHolder {
  socketDirectory: string
  private readonly place: StorePlace
  private readonly found: Binaries
  private readonly prepare: () => Promise<Binaries>
  private readonly log: (line: string) => void
  private readonly closing = new AbortController()
  private client: pg.Client | null = null
  private regaining: Promise<void> = Promise.resolve()

  constructor(place: StorePlace, found: Binaries, prepare: () => Promise<Binaries>, log: (line: string) => void) {
    this.place = place
    this.socketDirectory = place.socketDirectory
    this.found = found
    this.prepare = prepare
    this.log = log
  }

  /** @returns whether this call started the server. */
  async open(): Promise<boolean> {
    return await this.acquire(true)
  }

  async close(): Promise<void> {
    this.closing.abort()
    await this.regaining
    const client = this.client
    this.client = null
    if (client === null) return
    keepAlive(client, true)
    try {
      if (await takeLastLease(client)) await stopServer(this.place)
    } catch (thrown) {
      // Another process that closes at the same time may have stopped it first.
      if (!isPassing(thrown)) this.log(`The embedded PostgreSQL was left as it is: ${errorText(thrown)}`)
    }
    await client.end().catch(() => {})
  }

  /** @param first the opening, which may make a new cluster; later, a cluster that is gone must not become an empty ledger. */
  private async acquire(first: boolean): Promise<boolean> {
    const { place, closing } = this
    const launches: Launch[] = []
    const start = performance.now()
    let [failures, told] = [0, false]
    for (;;) {
      const exists = await clusterExists(place, this.found)
      const running = exists ? await runningServer(place) : null
      // A server that runs already may have been started with another directory for temporary files.
      this.socketDirectory = running?.socketDirectory ?? place.socketDirectory
      const attempt = await tryLease(this.socketDirectory)
      const launch = launches.at(-1)
      if (attempt.state === 'held') {
        this.hold(attempt.client)
        return launch !== undefined && (await runningServer(place))?.pid === launch.pid
      }
      // A server that was launched here is waited for, or `close` would leave it running without anybody.
      if (launches.length === 0) closing.signal.throwIfAborted()
      if (attempt.state === 'absent' && running === null && launch?.isRunning() !== true) {
        if (await launch?.hasFailed()) failures++
        if (launch !== undefined && failures >= 2) throw await startFailure(place, launch)
        if (!exists && !first) throw new EmbeddedStoreError(`${place.cluster} is gone`)
        launches.push(await this.launch(exists))
      }
      const waited = performance.now() - start
      const recovering = attempt.state === 'busy' && attempt.recovering
      const reason = attempt.state === 'busy' ? attempt.reason : 'nothing answers on its socket'
      if (waited > (recovering ? recoveryPatienceMs : patienceMs)) throw await tooLate(place, reason, launches.at(-1))
      if (waited > 3_000 && !told) this.log(`Waiting for PostgreSQL: ${reason}`)
      told ||= waited > 3_000
      // Unhurried where others start and stop the server all the time.
      const pause = launches.length > 10 ? 1_000 : 20 * Math.max(1, launches.length)
      const mustFinish = first || launches.length > 0
      await sleep(pause, undefined, mustFinish ? {} : { ref: false, signal: closing.signal })
    }
  }

  private async launch(exists: boolean): Promise<Launch> {
    const binaries = await this.prepare()
    if (!exists) await createCluster(this.place, binaries)
    return await launchServer(this.place, binaries)
  }

  private hold(client: pg.Client): void {
    this.client = client
    keepAlive(client, false)
    client.once('end', () => {
      if (this.client !== client) return
      this.client = null
      this.regaining = this.regain()
    })
  }

  /** The server restarted after a crash of one of its processes, or died: others must not think that nobody uses it. */
  private async regain(): Promise<void> {
    this.log('The embedded PostgreSQL ended the connection; connecting again')
    while (!this.closing.signal.aborted) {
      try {
        if (await this.acquire(false)) this.log('The embedded PostgreSQL was down and has been started again')
        return
      } catch (thrown) {
        if (this.closing.signal.aborted) return
        this.log(`The embedded PostgreSQL can't be reached: ${errorText(thrown)}`)
      }
      await sleep(1_000, undefined, { ref: false, signal: this.closing.signal }).catch(() => {})
    }
  }
}

/** An open store must not keep a finished command from ending, but closing it must get to its end. */
function keepAlive(client: pg.Client, keep: boolean): void {
  // Missing in the types of pg 8.
  const socket: pg.Client & { ref?: () => void; unref?: () => void } = client
  if (keep) socket.ref?.()
  else socket.unref?.()
}

async function startFailure(place: StorePlace, launch: Launch): Promise<EmbeddedStoreError> {
  return new EmbeddedStoreError(
    `PostgreSQL does not start on ${place.cluster}. The end of ${place.log}:\n${await launch.logTail()}`,
  )
}

async function tooLate(place: StorePlace, why: string, launch: Launch | undefined): Promise<EmbeddedStoreError> {
  const tail = launch === undefined ? `See ${place.log}` : `The end of ${place.log}:\n${await launch.logTail()}`
  return new EmbeddedStoreError(`The PostgreSQL on ${place.cluster} can't be used: ${why}. ${tail}`)
}
