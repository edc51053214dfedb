/** `tollgate backup` and `tollgate restore`: the books of one instant, elsewhere, and calls go on. */
import { mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import pg from 'pg'
import { afterAll, beforeAll, expect, onTestFinished, test, vi } from 'vitest'
import { listTables, PUBLIC_TABLES } from '../../src/backup/backup-tables.ts'
import { type Manifest, writeManifest } from '../../src/backup/manifest.ts'
import { queryOnce, useEmptyDatabase } from '../support/empty-database.ts'
import { useProduct } from '../support/product.ts'
import { type Ran, runCommand } from '../support/run-tollgate.ts'
import { configFor, postChat, startTollgate } from '../support/tollgate.ts'

// Commands that start one after the other.
vi.setConfig({ testTimeout: 180_000 })

const CALL = { model: 'exact', max_tokens: 100, messages: [{ role: 'user', content: 'Hi' }] }
const product = useProduct()
const elsewhere = useEmptyDatabase()
let acme: Awaited<ReturnType<typeof product.db.seedOrganization<'alice' | 'bob'>>>
let parent = ''
let taken = 0

beforeAll(async () => {
  acme = await product.db.seedOrganization({ credits: 10_000, users: { alice: 5_000, bob: 100 } })
  parent = await mkdtemp(join(tmpdir(), 'tollgate-backup-'))
})
afterAll(() => rm(parent, { recursive: true, force: true }))

async function takeBackup(): Promise<{ ran: Ran; folder: string }> {
  taken += 1
  const folder = join(parent, `backup-${taken}`)
  return { folder, ran: await runCommand({ args: ['backup', '--to', folder], databaseUrl: product.db.url }) }
}

function restore(folder: string): Promise<Ran> {
  return runCommand({ args: ['restore', '--from', folder], databaseUrl: elsewhere.url })
}

const readManifest = async (folder: string): Promise<Manifest> =>
  JSON.parse(await readFile(join(folder, 'manifest.json'), 'utf8'))

/** What is in each table, as one hash; without what the processes that run there write. */
async function contents(url: string): Promise<Record<string, string>> {
  const client = new pg.Client({ connectionString: url })
  await client.connect()
  try {
    const all: Record<string, string> = {}
    for (const { name } of await listTables(client)) {
      if (name === 'tollgate.ledger_processes') continue
      const { rows } = await client.query(
        `select md5(coalesce(string_agg(t::text, '|' order by t::text), '')) as hash from ${name} t`,
      )
      all[name] = rows[0].hash
    }
    return all
  } finally {
    await client.end()
  }
}

/** A backup during which nothing changed: the process that runs folds sums and prunes at times of its own. */
async function takeAtRest(): Promise<{ folder: string; original: Record<string, string> }> {
  for (;;) {
    const original = await contents(product.db.url)
    const { folder } = await takeBackup()
    const after = await contents(product.db.url)
    if (JSON.stringify(after) === JSON.stringify(original)) return { folder, original }
  }
}

test('A backup that is taken while calls run is restored elsewhere: the audit finds nothing, and calls go on there.', async () => {
  const over = new AbortController()
  const caller = async () => {
    let calls = 0
    for (; !over.signal.aborted; calls += 1)
      expect((await postChat(product.tollgate, acme.keys.alice, CALL)).status).toBe(200)
    return calls
  }
  const callers = Promise.all([caller(), caller(), caller()])
  const { ran, folder } = await takeBackup()
  over.abort()
  expect((await callers).reduce((sum, calls) => sum + calls, 0)).toBeGreaterThan(5)
  expect([ran.code, ran.stdout]).toEqual([
    0,
    expect.stringMatching(/^The backup of \S+Z \(\d+ rows\) is in .*backup-\d+\.\n$/),
  ])
  const restored = await restore(folder)
  expect([restored.code, restored.stdout], restored.stderr).toEqual([
    0,
    expect.stringMatching(
      /^The backup of \S+ \(\d+ rows\) is restored\.\nThe books are right: \d+ organizations?, \d+ charges?, \d+ open holds?\.\n$/,
    ),
  ])

  const other = await startTollgate({ databaseUrl: elsewhere.url, config: configFor(product.upstream.url) })
  onTestFinished(async () => void (await other.stop()))
  const answer = await postChat(other, acme.keys.alice, CALL)
  expect([answer.status, answer.headers.get('x-credits-used')]).toEqual([200, '0.150000'])
  const [row] = await elsewhere.query(
    'select count(*)::int as charges from credit_usage_attribution where call_id = $1',
    [answer.headers.get('x-litellm-call-id')],
  )
  expect(row).toEqual({ charges: 1 })
  expect(await elsewhere.query('select * from tollgate.ledger_audit()')).toEqual([])
})

test('A restored database has every row of every table, and refuses what the first one refused.', async () => {
  await postChat(product.tollgate, acme.keys.bob, CALL)
  await product.db.pool.query(
    "insert into platform_settings (key, value) values ('some_setting', E'two\\nlines\\tand \\\\ one') on conflict do nothing",
  )
  const { folder, original } = await takeAtRest()
  const restored = await restore(folder)
  expect([restored.code, restored.stderr]).toEqual([0, expect.any(String)])
  expect(await contents(elsewhere.url)).toEqual(original)
  await expect(elsewhere.query('update credit_usage_attribution set credits_used = 0')).rejects.toThrow('append-only')
  // What is added goes on after the rows.
  const added = 'select add_credits_to_pool(id, 5) from organizations where name = $1'
  await elsewhere.query(added, [acme.name])
  expect(await elsewhere.query('select * from tollgate.ledger_audit()')).toEqual([])
})

test('A backup can be read by nobody but the user who took it.', async () => {
  const { folder } = await takeBackup()
  expect((await stat(folder)).mode & 0o777).toBe(0o700)
  for (const { file } of (await readManifest(folder)).tables)
    expect((await stat(join(folder, file))).mode & 0o777).toBe(0o600)
})

test('A backup is restored into an empty database only, and taken into an empty folder only.', async () => {
  const { folder } = await takeBackup()
  const again = await runCommand({ args: ['backup', '--to', folder], databaseUrl: product.db.url })
  expect([again.code, again.stderr]).toEqual([1, `tollgate: ${folder} is not empty. Name a new folder.\n`])
  const used = await runCommand({ args: ['restore', '--from', folder], databaseUrl: product.db.url })
  expect(used.code).toBe(1)
  expect(used.stderr).toContain('tollgate: The database is in use: it has organizations, or a process runs on it.')
  const missing = await runCommand({ args: ['restore'], databaseUrl: product.db.url })
  expect([missing.code, missing.stderr]).toEqual([
    2,
    'tollgate: --from is missing. tollgate restore --help shows how.\n',
  ])
})

test.each<[string, (folder: string) => Promise<unknown>, RegExp]>([
  [
    'with a changed byte',
    async (folder) => {
      const file = join(folder, 'public.organizations.copy.gz')
      const bytes = await readFile(file)
      bytes[bytes.length - 9]! ^= 1
      await writeFile(file, bytes)
    },
    /organizations\.copy\.gz is damaged: its checksum is another one\./,
  ],
  [
    'without one of its files',
    (folder) => rm(join(folder, 'tollgate.ledger_journal.copy.gz')),
    /ledger_journal\.copy\.gz can't be read/,
  ],
  [
    'that was broken off',
    (folder) => rm(join(folder, 'manifest.json')),
    /is no backup, or one that was broken off: it has no manifest\.json\./,
  ],
  [
    'of another schema',
    async (folder) => {
      const { format: _, ...manifest } = await readManifest(folder)
      await rm(join(folder, 'manifest.json'))
      await writeManifest(folder, { ...manifest, schema: 3, program: '0.1.0' })
    },
    /The backup has the schema of Tollgate 0\.1\.0 \(3\), this program \d+\. Restore it with that version, then upgrade\./,
  ],
  [
    'with fewer rows than it says',
    async (folder) => {
      const { format: _, ...manifest } = await readManifest(folder)
      await rm(join(folder, 'manifest.json'))
      const tables = manifest.tables.map((one) =>
        one.name === 'public.organizations' ? { ...one, rows: one.rows + 1 } : one,
      )
      await writeManifest(folder, { ...manifest, tables })
    },
    /organizations\.copy\.gz has 2 rows, not 3\./,
  ],
])('A backup %s is refused, and nothing of it is restored.', async (_, damage, message) => {
  const { folder } = await takeBackup()
  await damage(folder)
  const ran = await restore(folder)
  expect([ran.code, ran.stdout]).toEqual([1, ''])
  expect(ran.stderr).toMatch(message)
  const [there] = await elsewhere.query<{ there: boolean }>(
    "select to_regclass('public.organizations') is not null as there",
  )
  if (there?.there === true)
    expect(await elsewhere.query('select name from organizations')).toEqual([{ name: 'default' }])
})

test('A table that a migration adds in public is among those of a backup.', async () => {
  const rows = await queryOnce<{ name: string }>(
    product.db.url,
    "select relname as name from pg_class where relkind = 'r' and relnamespace = 'public'::regnamespace order by 1",
  )
  expect(rows.map(({ name }) => name)).toEqual([...PUBLIC_TABLES])
})
