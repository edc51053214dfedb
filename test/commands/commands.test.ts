/** The command line: what it prints, where, and its exit codes. */
import { execFile } from 'node:child_process'
import { existsSync } from 'node:fs'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { useDatabase } from '../support/database.ts'
import { ROOT_KEY } from '../support/tollgate.ts'

const MAIN = fileURLToPath(new URL('../../src/main.ts', import.meta.url))
const db = useDatabase()
let folder: string

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'tollgate-commands-'))
})
afterAll(() => rm(folder, { recursive: true, force: true }))

interface Ran {
  code: number
  stdout: string
  stderr: string
}

function tollgate(args: string[], env: Record<string, string> = {}): Promise<Ran> {
  return new Promise((resolve) => {
    execFile(
      process.execPath,
      [MAIN, ...args],
      { env: { PATH: process.env.PATH ?? '', DATABASE_URL: db.url, TOLLGATE_ROOT_KEY: ROOT_KEY, ...env } },
      (error, stdout, stderr) => resolve({ code: typeof error?.code === 'number' ? error.code : 0, stdout, stderr }),
    )
  })
}

async function configFile(text: string): Promise<string> {
  const file = join(folder, 'config.yaml')
  await writeFile(file, text)
  return file
}

test('--help and --version print on standard output.', async () => {
  const help = await tollgate(['--help'])
  expect([help.code, help.stderr]).toEqual([0, ''])
  for (const word of [
    'start',
    'migrate',
    'audit',
    'check-config',
    'org create',
    'key create',
    '--config',
    '--host',
    '--port',
    '--data-dir',
    '--log-level',
    'exit codes',
  ]) {
    expect(help.stdout).toContain(word)
  }
  expect((await tollgate(['--version'])).stdout).toMatch(/^\d+\.\d+\.\d+\n$/)
})

test.each([
  [['nonsense'], "There is no command 'nonsense'. tollgate --help lists them."],
  [['disputes', 'list'], "There is no command 'disputes list'. There are: disputes, disputes settle."],
  [
    ['audit', '--port', '1'],
    "Unknown option '--port'. 'audit' takes: --config --data-dir --log-level --since-last --expect --json",
  ],
  [['start', '--port', '99999'], "--port must be a number from 0 to 65535; it is '99999'."],
  [['start', '--workers', '0'], "--workers must be a whole number from 1 to 64, or auto (one a processor); it is '0'."],
  [
    ['start', '--log-level', 'loud'],
    "--log-level must be one of trace, debug, info, warn, error, fatal, silent; it is 'loud'.",
  ],
  [
    ['start', '--accept-unenforced', 'max_budget,nonsense'],
    "--accept-unenforced takes names of settings that protect something and are not enforced here, apart by commas; 'nonsense' is none of them. tollgate check-config names those of your file.",
  ],
  [['org', 'create'], '--name is missing. tollgate org create --help shows how.'],
  [['org', 'create', '--name', 'a', '--plan', 'gold'], "--plan must be one of platform, byok, hybrid; it is 'gold'."],
  [['org', 'create', '--name', 'a', '--credits=-1'], "--credits must be from 0 to 10000000000000; it is '-1'."],
  [
    ['org', 'create', '--name', 'a', '--credits', '0.0000001'],
    "--credits must be a number of credits with at most six decimals; it is '0.0000001'.",
  ],
  [['key', 'create', '--org', 'a'], '--user is missing. tollgate key create --help shows how.'],
  [
    ['key', 'create', '--org', 'a', '--user', 'u', '--role', 'king'],
    "--role must be one of member, admin, owner, billing_admin; it is 'king'.",
  ],
])('A wrong command line ends with exit code 2: %j.', async (args, message) => {
  expect(await tollgate(args)).toEqual({ code: 2, stdout: '', stderr: `tollgate: ${message}\n` })
})

test('org create and key create print JSON; a key is stored as its hash only.', async () => {
  const made = await tollgate(['org', 'create', '--name', 'acme', '--plan', 'hybrid', '--credits', '10000.5'])
  expect(made.code).toBe(0)
  expect(JSON.parse(made.stdout)).toEqual({ id: expect.any(String), name: 'acme', plan: 'hybrid', credits: '10000.5' })

  const again = await tollgate(['org', 'create', '--name', 'acme'])
  expect(again).toEqual({ code: 1, stdout: '', stderr: 'tollgate: An organization named "acme" exists already.\n' })

  const created = await tollgate([
    'key',
    'create',
    '--org',
    'acme',
    '--user',
    'alice',
    '--allocate',
    '5000',
    '--role',
    'admin',
  ])
  const { key, ...rest } = JSON.parse(created.stdout)
  expect(key).toMatch(/^uc_[0-9a-f]{64}$/)
  expect(rest).toMatchObject({
    user: 'alice',
    role: 'admin',
    remaining_credits: '5000',
    organization: { name: 'acme' },
  })
  const { rows } = await db.pool.query(
    'select encode(key_hash, $1) = encode(sha256($2), $1) as hashed, row_to_json(k)::text as row from tollgate.api_keys k',
    ['hex', Buffer.from(key)],
  )
  expect(rows[0].hashed).toBe(true)
  expect(rows[0].row).not.toContain(key)

  const second = await tollgate(['key', 'create', '--org', 'acme', '--user', 'alice'])
  expect(JSON.parse(second.stdout)).toMatchObject({ role: 'admin', remaining_credits: '5000' })
})

test('key create is all or nothing.', async () => {
  await tollgate(['org', 'create', '--name', 'poor', '--credits', '1'])
  const refused = await tollgate(['key', 'create', '--org', 'poor', '--user', 'bob', '--allocate', '2'])
  expect(refused).toEqual({
    code: 1,
    stdout: '',
    stderr: 'tollgate: Insufficient credits in pool: 1 available, 2 needed\n',
  })
  const { rows } = await db.pool.query(
    "select (select count(*) from organization_members where user_id = 'bob') + (select count(*) from tollgate.api_keys where user_id = 'bob') as n",
  )
  expect(rows[0].n).toBe('0')
  expect((await tollgate(['key', 'create', '--org', 'nobody', '--user', 'bob'])).stderr).toBe(
    'tollgate: There is no organization "nobody". Make it with: tollgate org create\n',
  )
})

test('migrate says what it did; audit prints the differences and exits with 1.', async () => {
  expect(await tollgate(['migrate'])).toMatchObject({ code: 0, stdout: 'The schema is up to date.\n' })
  expect((await tollgate(['audit'])).code).toBe(0)
  await tollgate(['org', 'create', '--name', 'wrong', '--credits', '10'])
  await db.pool.query(
    "update organization_credit_pools p set total_credits = 11 from organizations o where o.id = p.org_id and o.name = 'wrong'",
  )
  const found = await tollgate(['audit', '--json'])
  expect(found.code).toBe(1)
  expect(JSON.parse(found.stdout).findings).toEqual([
    {
      finding: 'pool.total_credits is not the sum of the journal',
      org_id: expect.any(String),
      user_id: null,
      call_id: null,
      stored: '11.000000',
      recomputed: '10.000000',
    },
  ])
  expect((await tollgate(['audit'])).stdout).toContain('stored 11.000000, the rows add up to 10.000000')
  await db.pool.query(
    "update organization_credit_pools p set total_credits = 10 from organizations o where o.id = p.org_id and o.name = 'wrong'",
  )
})

test('check-config names every problem with its line and exits with 3; start refuses the same file.', async () => {
  const file = await configFile(
    'model_list:\n  - model_name: a\n    litellm_params: {model: nowhere/x}\n  - model_name: b\n    litellm_params: {model: openai/gpt-4o, timeout: soon}\nunknown_thing: 1\n',
  )
  const checked = await tollgate(['check-config', '--config', file])
  expect(checked.code).toBe(3)
  expect(checked.stdout).toMatch(/warning: .*config\.yaml:3: model_list\[0\]\.litellm_params\.model: left out/)
  expect(checked.stdout).toMatch(
    /error: .*config\.yaml:5: model_list\[1\]\.litellm_params\.timeout: expected a number of seconds, found "soon"/,
  )
  expect(checked.stdout).toMatch(/warning: .*config\.yaml:6: unknown_thing/)
  const started = await tollgate(['start', '--config', file, '--port', '0'])
  expect([started.code, started.stdout]).toEqual([3, ''])
  expect(started.stderr).toContain('the configuration has an error; nothing was started.')
  expect((await tollgate(['check-config', '--config', join(folder, 'nothing.yaml')])).code).toBe(3)
})

test('A database that can’t be reached is exit code 4, without its password; a port that is taken is 5.', async () => {
  const away = await tollgate(['audit'], { DATABASE_URL: 'postgresql://user:planted-password@127.0.0.1:1/x' })
  expect(away.code).toBe(4)
  expect(away.stderr).toBe(
    "tollgate: The database of DATABASE_URL can't be used: connect ECONNREFUSED 127.0.0.1:1. Nothing listens there: start PostgreSQL, or correct host and port.\n",
  )
  expect(away.stdout + away.stderr).not.toContain('planted-password')
  const nowhere = await tollgate(['audit'], { DATABASE_URL: 'postgresql://user@%2Fnowhere/x' })
  expect([nowhere.code, nowhere.stderr]).toEqual([
    4,
    "tollgate: The database of DATABASE_URL can't be used: connect ENOENT /nowhere/.s.PGSQL.5432. There is no socket: start PostgreSQL, or correct the folder that stands for the host.\n",
  ])

  const taken = createServer()
  await new Promise<void>((resolve) => taken.listen(0, '127.0.0.1', resolve))
  const { port } = taken.address() as { port: number }
  const refused = await tollgate(['start'], { TOLLGATE_PORT: String(port) })
  expect([refused.code, refused.stderr]).toEqual([
    5,
    `tollgate: Another program listens on 127.0.0.1:${port} (EADDRINUSE). Choose another port with --port or TOLLGATE_PORT.\n`,
  ])
  taken.close()
})

test('audit creates no store where there is none.', async () => {
  const nowhere = join(folder, 'nowhere')
  const { code, stderr } = await tollgate(['audit', '--data-dir', nowhere], { DATABASE_URL: '' })
  expect([code, stderr]).toEqual([
    4,
    `tollgate: There are no books in ${nowhere}. Name another folder with --data-dir.\n`,
  ])
  expect(existsSync(nowhere)).toBe(false)
})

test('A weak master key is refused on a real database.', async () => {
  const weak = await tollgate(['start', '--port', '0'], { TOLLGATE_MASTER_KEY: 'sk-1234' })
  expect(weak.code).toBe(3)
  expect(weak.stderr).not.toContain('sk-1234')
})
