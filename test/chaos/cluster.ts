/** What a run breaks: one PostgreSQL, started as the product starts its own, and the product's processes, each behind a wire that can be cut. */
import { chmod, mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { connect, type Database } from '../../src/db/connect.ts'
import { openEmbeddedStore } from '../../src/db/embedded.ts'
import { migrate } from '../../src/db/migrate.ts'
import { startTcpProxy, type TcpProxy } from '../support/tcp-proxy.ts'
import type { Calls } from './calls.ts'
import { createSlot, type Door, type ProxySlot } from './proxy-slot.ts'

export type { Door } from './proxy-slot.ts'

/** Short, so that recovery is a matter of seconds; a frozen process is dead well before the run ends. */
export const DEAD_AFTER_SECONDS = 2
const RESTART_PATIENCE_MS = 60_000

export interface Cluster {
  slots: readonly ProxySlot[]
  links: readonly TcpProxy[]
  /** Around every wire. Its own connections break with the server. */
  database: Database
  databaseUrl: string
  configFile: string
  doors(): (Door | null)[]
  /** Ends the server or one of its sessions this way, and waits until it answers again. */
  crashDatabase(how: DatabaseCrash): Promise<void>
}

/** SIGKILL and SIGQUIT lose what is not on disk; SIGINT is an orderly restart; a session that is killed takes all others with it. */
export type DatabaseCrash = 'SIGKILL' | 'SIGQUIT' | 'SIGINT' | 'session'

export interface ClusterOptions {
  folder: string
  proxies: number
  models: unknown[]
  verbose: boolean
  calls: Calls
  /** What it starts puts its end here; to be called in reverse, whether the start succeeds or not. */
  cleanup: (() => unknown)[]
  onAccident: (what: string) => void
  say: (line: string) => void
}

export async function startCluster(options: ClusterOptions): Promise<Cluster> {
  const { folder, proxies, models, calls, cleanup } = options
  const dataDir = join(folder, 'database')
  await mkdir(dataDir)
  // Run by root, PostgreSQL's unprivileged user must get through.
  for (const path of [folder, dataDir]) await chmod(path, 0o711)
  const store = await openEmbeddedStore(dataDir, { log: (line) => options.say(`postgres: ${line}`) })
  cleanup.push(() => store.close())
  await migrate(store.url)
  const database = connect(store.url, { onIdleError: () => {} })
  cleanup.push(() => database.close())
  const configFile = join(folder, 'config.yaml')
  await writeFile(configFile, JSON.stringify(configOf(models), null, 2))
  const links: TcpProxy[] = []
  const slots: ProxySlot[] = []
  for (let index = 0; index < proxies; index += 1) {
    const own = join(folder, `proxy-${index}`)
    await mkdir(own)
    const link = await startTcpProxy(store.url)
    cleanup.push(() => link.close())
    const slot = createSlot({
      index,
      folder: own,
      databaseUrl: link.url,
      configFile,
      logLevel: options.verbose ? 'info' : 'warn',
      onKill: (incarnation) => calls.killed(incarnation),
      onAccident: options.onAccident,
    })
    cleanup.push(() => slot.abandon())
    links.push(link)
    slots.push(slot)
  }
  await Promise.all(slots.map((slot) => slot.up()))
  return {
    slots,
    links,
    database,
    databaseUrl: store.url,
    configFile,
    doors: () => slots.map(({ door }) => door),
    crashDatabase: (how) => crash(how, dataDir, database),
  }
}

function configOf(models: unknown[]): unknown {
  return {
    model_list: models,
    tollgate: {
      plans: { hybrid: { markup_percent: 0 } },
      leases: { renew_seconds: 0.5, dead_after_seconds: DEAD_AFTER_SECONDS },
      // As in a container of 1 GB: else an eighth of what this machine has.
      limits: { drain_seconds: 5, bodies_megabytes: 128 },
    },
  }
}

async function crash(how: DatabaseCrash, dataDir: string, { pool }: Database): Promise<void> {
  if (how === 'session') {
    const { rows } = await pool.query<{ pid: number }>(
      "select pid from pg_stat_activity where application_name like 'tollgate %' and pid <> pg_backend_pid() order by random() limit 1",
    )
    if (rows[0] !== undefined) process.kill(rows[0].pid, 'SIGKILL')
  } else {
    const lock = await readFile(join(dataDir, 'postgres', 'cluster', 'postmaster.pid'), 'utf8')
    process.kill(Number.parseInt(lock, 10), how)
  }
  const start = performance.now()
  // The store starts its server again by itself, and a server starts again by itself where one of its sessions was killed.
  for (;;) {
    await sleep(100)
    const answers = await pool.query('select 1').then(
      () => true,
      () => false,
    )
    if (answers) return
    if (performance.now() - start > RESTART_PATIENCE_MS) throw new Error(`PostgreSQL did not come back after ${how}`)
  }
}
