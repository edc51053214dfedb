import { type ChildProcess, execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmod, cp, mkdir, mkdtemp, readFile, rename, rm, stat, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { createInterface } from 'node:readline'
import { promisify } from 'node:util'
import pg from 'pg'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest'
import { type EmbeddedStore, embeddedStoreExists, openEmbeddedStore } from '../../src/db/embedded.ts'
import { findBinaries, runnableBinaries } from '../../src/db/embedded-binaries.ts'
import { findPlace } from '../../src/db/embedded-place.ts'
import { stopServer } from '../../src/db/embedded-server.ts'

// Each test starts a PostgreSQL of its own.
vi.setConfig({ testTimeout: 60_000, hookTimeout: 60_000 })

const isRoot = process.getuid?.() === 0

/** A data directory whose store was opened once and closed. */
let usedDir: string
let base: string
let systemDir: string
let dataDir: string
const stores: EmbeddedStore[] = []
const children: ChildProcess[] = []
const dataDirs = new Set<string>()

beforeAll(async () => {
  const made = await mkdtemp(join(tmpdir(), 'tollgate-test-'))
  await chmod(made, 0o711)
  usedDir = join(made, 'data')
  await (await openEmbeddedStore(usedDir, { systemDir: join(made, 'system') })).close()
})

afterAll(() => rm(dirname(usedDir), { recursive: true, force: true }))

beforeEach(async () => {
  base = await mkdtemp(join(tmpdir(), 'tollgate-test-'))
  await chmod(base, 0o711)
  systemDir = join(base, 'system')
  dataDir = join(base, 'data')
})

afterEach(async () => {
  for (const child of children.splice(0)) child.kill('SIGKILL')
  for (const store of stores.splice(0)) await store.close()
  for (const used of dataDirs) await stopWhatRuns(used)
  dataDirs.clear()
  await rm(base, { recursive: true, force: true })
})

/** A server that lost its starter, or that a failed test left behind. */
async function stopWhatRuns(used: string): Promise<void> {
  const place = await findPlace(used, systemDir).catch(() => null)
  if (place === null) return
  await stopServer(place)
  if (!place.socketDirectory.startsWith(base)) await rm(place.socketDirectory, { recursive: true, force: true })
}

async function open(directory = dataDir, log: (line: string) => void = () => {}): Promise<EmbeddedStore> {
  dataDirs.add(directory)
  const store = await openEmbeddedStore(directory, { systemDir, log })
  stores.push(store)
  return store
}

/** Makes `dataDir` one that was used before, by a copy: making a cluster takes seconds, and most tests are not about that. */
async function useBefore(directory = dataDir): Promise<void> {
  await mkdir(dirname(directory), { recursive: true })
  await promisify(execFile)('cp', ['-a', usedDir, directory])
}

async function query(store: EmbeddedStore, sql: string): Promise<unknown[]> {
  const client = new pg.Client({ connectionString: store.url })
  await client.connect()
  const { rows } = await client.query<{ value: unknown }>(sql).finally(() => client.end())
  return rows.map((row) => row.value)
}

async function postmasterOf(store: EmbeddedStore): Promise<number> {
  const [directory] = await query(store, `SELECT current_setting('data_directory') AS value`)
  return Number.parseInt(await readFile(join(String(directory), 'postmaster.pid'), 'utf8'), 10)
}

/** Another process that opens the store and says so with one line of JSON; it closes the store when told to. */
async function openElsewhere(
  directory = dataDir,
): Promise<{ child: ChildProcess; store: { url: string; started: boolean } }> {
  dataDirs.add(directory)
  const source = `
    const { openEmbeddedStore } = await import(${JSON.stringify(new URL('../../src/db/embedded.ts', import.meta.url).href)})
    const store = await openEmbeddedStore(${JSON.stringify(directory)}, { systemDir: ${JSON.stringify(systemDir)} })
    console.log(JSON.stringify(store))
    process.stdin.once('data', async () => { await store.close(); process.stdin.destroy() })`
  const child = spawn(process.execPath, ['--input-type=module', '-e', source], { stdio: ['pipe', 'pipe', 'inherit'] })
  children.push(child)
  for await (const line of createInterface({ input: child.stdout })) return { child, store: JSON.parse(line) }
  throw new Error('the other process ended without opening the store')
}

async function kill(child: ChildProcess): Promise<void> {
  const ended = once(child, 'exit')
  child.kill('SIGKILL')
  await ended
}

/** Resolves once nothing has this process id any more. */
async function gone(pid: number): Promise<void> {
  for (;;) {
    const state = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => null)
    if (state === null || state.includes(') Z ')) return
    await new Promise((resolve) => setImmediate(resolve))
  }
}

describe('the embedded store', () => {
  test('The embedded store starts a server, serves a second opener with the same one, and stops it with the last.', async () => {
    expect(await embeddedStoreExists(dataDir)).toBe(false)

    const first = await open()
    const second = await open()

    expect([first.started, second.started]).toEqual([true, false])
    expect(second.url).toBe(first.url)
    expect(await embeddedStoreExists(dataDir)).toBe(true)
    await first.close()
    expect(await query(second, 'SELECT current_database() AS value')).toEqual(['tollgate'])
    await second.close()
    await expect(query(second, 'SELECT 1 AS value')).rejects.toMatchObject({ code: 'ENOENT' })
    await second.close()
  })

  test('The embedded store is durable, listens on no TCP port, and has the same text rules on every machine.', async () => {
    await useBefore()
    const store = await open()

    const settings = await query(
      store,
      `SELECT name || '=' || setting AS value FROM pg_settings WHERE name IN ('fsync', 'synchronous_commit', 'full_page_writes',
        'listen_addresses', 'unix_socket_permissions', 'max_connections', 'server_encoding', 'TimeZone') ORDER BY name`,
    )
    expect(settings).toEqual([
      'TimeZone=UTC',
      'fsync=on',
      'full_page_writes=on',
      'listen_addresses=',
      'max_connections=200',
      'server_encoding=UTF8',
      'synchronous_commit=on',
      'unix_socket_permissions=0700',
    ])
    expect(await query(store, `SELECT lower('ÄÖ') || ('a' > 'B')::text AS value`)).toEqual(['äötrue'])
  })

  test('The embedded store keeps its directories to their owner.', async () => {
    await useBefore()
    await open()

    for (const path of ['postgres', 'postgres/cluster']) {
      expect((await stat(join(dataDir, path))).mode & 0o777).toBe(0o700)
    }
    expect((await stat(join(dataDir, 'postgres/postgres.log'))).mode & 0o777).toBe(0o600)
  })

  test('The embedded store keeps data over a restart.', async () => {
    await useBefore()
    const before = await open()
    await query(before, 'CREATE TABLE kept AS SELECT 42 AS value')
    await before.close()

    const after = await open()

    expect(after.started).toBe(true)
    expect(await query(after, 'SELECT value FROM kept')).toEqual([42])
  })

  test('The embedded store leaves the server to a client that is still connected.', async () => {
    await useBefore()
    const store = await open()
    const psql = new pg.Client({ connectionString: store.url })
    await psql.connect()

    await store.close()

    const { rows } = await psql.query('SELECT 1 AS value')
    expect(rows).toEqual([{ value: 1 }])
    await psql.end()
  })

  test('The embedded store finds the server of a starter that was killed.', async () => {
    await useBefore()
    const { child, store: orphaned } = await openElsewhere()
    expect(orphaned.started).toBe(true)
    await kill(child)

    const store = await open()

    expect(store.started).toBe(false)
    expect(await query(store, 'SELECT 1 AS value')).toEqual([1])
    // On a busy machine the killed one's session outlives it for a moment, and a server in use is left running.
    const leases = "SELECT count(*)::int AS value FROM pg_locks WHERE locktype = 'advisory'"
    await vi.waitFor(async () => expect(await query(store, leases)).toEqual([1]), { timeout: 30_000, interval: 50 })
    const postmaster = await postmasterOf(store)
    await store.close()
    await gone(postmaster)
  })

  test('An idle process keeps the server when another one closes.', async () => {
    await useBefore()
    const { child } = await openElsewhere()
    const store = await open()

    await store.close()

    expect(await query(store, 'SELECT 1 AS value')).toEqual([1])
    const ended = once(child, 'exit')
    child.stdin?.write('close\n')
    expect(await ended).toEqual([0, null])
    await expect(query(store, 'SELECT 1 AS value')).rejects.toMatchObject({ code: 'ENOENT' })
  })

  test('The embedded store recovers what was committed when the server itself was killed.', async () => {
    await useBefore()
    const { child, store: first } = await openElsewhere()
    const reader = { ...first, directory: '', psql: '', notes: [], close: async () => {} }
    await query(reader, 'CREATE TABLE kept AS SELECT 42 AS value')
    const postmaster = await postmasterOf(reader)
    await kill(child)
    process.kill(postmaster, 'SIGKILL')
    await gone(postmaster)

    const store = await open()

    expect(store.started).toBe(true)
    expect(await query(store, 'SELECT value FROM kept')).toEqual([42])
  })

  test('The embedded store starts a server again that dies while the store is open.', async () => {
    await useBefore()
    const { promise: restarted, resolve } = Promise.withResolvers<string>()
    const store = await open(dataDir, (line) => {
      if (line.includes('started again')) resolve(line)
    })
    await query(store, 'CREATE TABLE kept AS SELECT 42 AS value')

    process.kill(await postmasterOf(store), 'SIGKILL')

    expect(await restarted).toBe('The embedded PostgreSQL was down and has been started again')
    expect(await query(store, 'SELECT value FROM kept')).toEqual([42])
  })

  test('The embedded store starts although another program got the process id of the dead server.', async () => {
    await useBefore()
    const place = await findPlace(dataDir, systemDir)
    const other = spawn('sleep', ['60'], { stdio: 'ignore', uid: place.user.uid, gid: place.user.gid })
    children.push(other)
    await once(other, 'spawn')
    const lock = `${other.pid}\n${place.cluster}\n1700000000\n5432\n${place.root}\n\n  1234567 0\nready   \n`
    const paths = [join(place.cluster, 'postmaster.pid'), join(place.root, '.s.PGSQL.5432.lock')]
    for (const path of paths) await writeFile(path, lock)

    const again = await open()

    expect(again.started).toBe(true)
    expect(await query(again, 'SELECT 1 AS value')).toEqual([1])
  })

  test('Two processes that open a fresh directory at once share one server.', async () => {
    const [elsewhere, here] = await Promise.all([openElsewhere(), open()])

    expect([elsewhere.store.started, here.started].filter(Boolean)).toEqual([true])
    expect(here.url).toBe(elsewhere.store.url)
  })

  test('An opener that meets a closing server gets one that stays.', async () => {
    await useBefore()
    let current = await open()
    for (let round = 0; round < 8; round++) {
      const [next] = await Promise.all([open(), current.close()])
      expect(await query(next, 'SELECT 1 AS value')).toEqual([1])
      current = next
    }
    await current.close()
    await expect(query(current, 'SELECT 1 AS value')).rejects.toMatchObject({ code: 'ENOENT' })
  })

  test('The embedded store serves a data directory whose path is too long for a socket.', async () => {
    const deep = join(base, 'x'.repeat(60), 'y'.repeat(60), 'data')
    await useBefore(deep)
    const store = await open(deep)
    const again = await open(deep)

    expect([store.started, again.started]).toEqual([true, false])
    expect(await query(store, `SELECT current_setting('data_directory') AS value`)).toEqual([
      join(deep, 'postgres', 'cluster'),
    ])
    const socketDirectory = decodeURIComponent(new URL(store.url).hostname)
    expect(dirname(socketDirectory)).toBe(tmpdir())
    expect((await stat(socketDirectory)).mode & 0o777).toBe(0o700)
  })

  test('The embedded store serves a data directory with characters that shells and settings treat specially.', async () => {
    const store = await open(join(base, `a b,c'd"e$HOME;f%20%g\\é`))

    expect(await query(store, 'SELECT 1 AS value')).toEqual([1])
  })
})

describe('the embedded store refuses', () => {
  test('The embedded store refuses a cluster of another PostgreSQL version, untouched.', async () => {
    await useBefore()
    const path = join(dataDir, 'postgres/cluster/PG_VERSION')
    await writeFile(path, '16\n')

    await expect(open()).rejects.toThrow(
      /written by PostgreSQL 16, and this Tollgate brings PostgreSQL 18\. Nothing was changed\./,
    )
    expect(await readFile(path, 'utf8')).toBe('16\n')
  })

  test('The embedded store refuses a planted link in place of its directory.', async () => {
    await mkdir(join(base, 'elsewhere'))
    await mkdir(dataDir)
    await symlink(join(base, 'elsewhere'), join(dataDir, 'postgres'))

    await expect(open()).rejects.toThrow(`${dataDir}/postgres is a link or a file`)
  })

  test('The embedded store refuses a file in place of the data directory, by name.', async () => {
    await writeFile(dataDir, '')

    await expect(open()).rejects.toThrow(`Can't use the data directory ${dataDir}: EEXIST`)
  })

  test("The embedded store refuses a server that does not start, with the server's own words.", async () => {
    await useBefore()
    await writeFile(join(dataDir, 'postgres/cluster/postgresql.auto.conf'), 'shared_buffers = nonsense\n')

    await expect(open()).rejects.toThrow(
      /does not start on .*\n.*invalid value for parameter "shared_buffers": "nonsense"/s,
    )
  })
})

describe.runIf(isRoot)('as root, over a data directory the unprivileged user can not reach, the embedded store', () => {
  beforeEach(async () => {
    await mkdir(join(base, 'private'), { mode: 0o700 })
    dataDir = join(base, 'private', 'data')
  })

  test('The embedded store of root lives in the system directory where its user can not reach the data directory, says so, and is found again.', async () => {
    const store = await open()

    const record = JSON.parse(await readFile(join(dataDir, 'postgres.json'), 'utf8'))
    expect(dirname(record.place)).toBe(systemDir)
    expect(record.dataDirectory).toBe(dataDir)
    expect(store.notes).toEqual([expect.stringContaining(`its data is in ${record.place}`)])
    expect(await embeddedStoreExists(dataDir)).toBe(true)
    await query(store, 'CREATE TABLE kept AS SELECT 42 AS value')
    await store.close()
    await chmod(join(base, 'private'), 0o711)
    expect(await query(await open(), 'SELECT value FROM kept')).toEqual([42])
  })

  test('The embedded store of root follows a data directory that was moved, and gives its ledger to no copy and no successor.', async () => {
    const store = await open()
    await query(store, 'CREATE TABLE kept AS SELECT 42 AS value')
    await store.close()
    const [moved, copied] = [join(base, 'private', 'moved'), join(base, 'private', 'copied')]
    await rename(dataDir, moved)
    await cp(moved, copied, { recursive: true })

    expect(await query(await open(moved), 'SELECT value FROM kept')).toEqual([42])
    await expect(open(copied)).rejects.toThrow(`belongs to ${moved}, of which ${copied} is a copy or whose path it was`)
    const successor = await open(dataDir)
    await expect(query(successor, 'SELECT value FROM kept')).rejects.toThrow('relation "kept" does not exist')
  })

  test('The embedded store of root is a new one for a new data directory at the path of one that was removed, and names the earlier.', async () => {
    const first = await open()
    await query(first, 'CREATE TABLE kept AS SELECT 42 AS value')
    await first.close()
    await rm(dataDir, { recursive: true })

    const second = await open()
    await expect(query(second, 'SELECT value FROM kept')).rejects.toThrow('relation "kept" does not exist')
    expect(second.notes[1]).toMatch(
      new RegExp(`^The store of an earlier data directory of this path is still in ${first.directory};`),
    )
    await second.close()
    const again = await open()
    expect([again.directory, again.notes.length]).toEqual([second.directory, 1])

    await again.close()
    await writeFile(join(dataDir, 'postgres.json'), JSON.stringify({ dataDirectory: dataDir, place: first.directory }))
    expect(await query(await open(), 'SELECT value FROM kept')).toEqual([42])
  })

  test('The embedded store of root is one store for two processes that begin it at once.', async () => {
    const [one, other] = await Promise.all([openElsewhere(), openElsewhere()])
    expect(one.store.url).toBe(other.store.url)
  })

  test('The embedded store of root refuses a system directory that others can write.', async () => {
    await mkdir(systemDir)
    await chmod(systemDir, 0o777)

    await expect(open()).rejects.toThrow(`${systemDir} can be written by others than root`)
  })

  test('The embedded store of root runs a copy of binaries that only root can read.', async () => {
    const { user } = await findPlace(dataDir, systemDir)
    const found = findBinaries()
    const hidden = join(base, 'private', 'native')
    await symlink(found.directory, hidden)

    const copied = await runnableBinaries({ ...found, directory: `${hidden}/.` }, user, systemDir)

    expect(copied.directory).toBe(join(systemDir, `postgresql-${found.version}`))
    expect(await runnableBinaries({ ...found, directory: hidden }, user, systemDir)).toEqual(copied)
  })
})
