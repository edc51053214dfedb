/**
 * What a run needs and must not leave behind: a temporary directory, a PostgreSQL of its own with the settings the product
 * gives it, and every process started. Closed in the reverse order, whatever ended the run.
 */
import { chmod, mkdtemp, rm, statfs } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import pg from 'pg'
import { openEmbeddedStore } from '../src/db/embedded.ts'
import { migrate } from '../src/db/migrate.ts'
import { parentOf } from './cpu-time.ts'

export interface BenchDatabase {
  url: string
  /** Without time limits, for the benchmark's own questions. */
  client: pg.Client
  /** Of the process that started all others of the server. */
  pid: number
}

const TMPFS = 0x01021994

export class Workspace {
  readonly directory: string
  private readonly closers: (() => unknown)[] = []
  private closing: Promise<void> | null = null

  private constructor(directory: string) {
    this.directory = directory
  }

  static async open(): Promise<Workspace> {
    const directory = await mkdtemp(join(tmpdir(), 'tollgate-bench-'))
    // Under root the database runs as another user, who has to get through; what it keeps there is 0700 all the same.
    await chmod(directory, 0o711)
    const workspace = new Workspace(directory)
    workspace.defer(() => rm(directory, { recursive: true, force: true }))
    return workspace
  }

  /** Runs `closer` when the workspace closes; at once where it is closed already (Ctrl-C while something was starting). */
  defer(closer: () => unknown): void {
    if (this.closing === null) this.closers.push(closer)
    else this.closing = this.closing.then(() => attempt(closer))
  }

  close(): Promise<void> {
    this.closing ??= closeAll(this.closers)
    return this.closing
  }

  /** A durable, migrated database. */
  async openDatabase(): Promise<BenchDatabase> {
    const store = await openEmbeddedStore(join(this.directory, 'data'))
    this.defer(() => store.close())
    const { url } = store
    await migrate(url)
    const client = new pg.Client({ connectionString: url, application_name: 'tollgate bench' })
    // A connection that breaks fails the statement that runs on it; without a listener it would end the process instead.
    client.on('error', () => {})
    await client.connect()
    this.defer(() => client.end())
    const { rows } = await client.query<{ pid: number }>('select pg_backend_pid() as pid')
    return { url, client, pid: await parentOf(rows[0]?.pid ?? 0) }
  }

  /** Whether commits go to memory, where a durable one costs nothing. */
  async inMemory(): Promise<boolean> {
    return (await statfs(this.directory)).type === TMPFS
  }
}

async function closeAll(closers: (() => unknown)[]): Promise<void> {
  for (let closer = closers.pop(); closer !== undefined; closer = closers.pop()) await attempt(closer)
}

async function attempt(closer: () => unknown): Promise<void> {
  try {
    await closer()
  } catch (error) {
    process.stderr.write(`While cleaning up: ${error instanceof Error ? error.message : error}\n`)
  }
}
