/** `tollgate keys`: what it does to stored provider keys, what it prints, and its exit codes. */
import { execFile } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { chmod, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { connect } from '../../src/db/connect.ts'
import { openEmbeddedStore } from '../../src/db/embedded.ts'
import { createLog } from '../../src/observe/log.ts'
import { readRootConfig } from '../../src/vault/root-config.ts'
import { rawRoot } from '../../src/vault/root-key.ts'
import { openVault } from '../../src/vault/vault.ts'
import { useDatabase } from '../support/database.ts'
import { openTestVault } from '../support/vault.ts'

const MAIN = fileURLToPath(new URL('../../src/main.ts', import.meta.url))
const FERNET = JSON.parse(readFileSync(new URL('../vault/fernet-tokens.json', import.meta.url), 'utf8'))
const db = useDatabase()
const root = randomBytes(32)
const change = { actor: 'test', ip: null, requestId: null }
const platform = { kind: 'platform' } as const
const KEY = 'sk-proj-planted-0123456789'
let folder: string

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'tollgate-keys-'))
  // Under root the embedded server runs as another user, who has to get through.
  await chmod(folder, 0o711)
})
afterEach(() =>
  db.pool.query(
    'delete from platform_settings; delete from user_provider_keys; delete from tollgate.organization_provider_keys',
  ),
)
afterAll(() => rm(folder, { recursive: true, force: true }))

interface Ran {
  code: number
  stdout: string
  stderr: string
}

function tollgate(args: string[], env: Record<string, string> = {}): Promise<Ran> {
  const own = { PATH: process.env.PATH ?? '', DATABASE_URL: db.url, TOLLGATE_ROOT_KEY: root.toString('base64') }
  return new Promise((resolve) => {
    execFile(process.execPath, [MAIN, ...args], { env: { ...own, ...env } }, (error, stdout, stderr) =>
      resolve({ code: typeof error?.code === 'number' ? error.code : 0, stdout, stderr }),
    )
  })
}

async function fileWith(text: string): Promise<string> {
  const file = join(folder, `root-${randomBytes(4).toString('hex')}`)
  await writeFile(file, text)
  return file
}

test('--help names the commands and their environment.', async () => {
  const { stdout } = await tollgate(['--help'])
  for (const word of [
    'keys rotate',
    '--new-root-key-file',
    'keys import-fernet',
    'TOLLGATE_ROOT_KEY',
    'ENCRYPTION_KEY',
  ])
    expect(stdout).toContain(word)
})

describe('keys rotate', () => {
  test.each([
    [
      'no root key',
      { TOLLGATE_ROOT_KEY: '' },
      /^tollgate: There is no root key to seal provider keys with\. Set TOLLGATE_ROOT_KEY/,
    ],
    [
      'a short one',
      { TOLLGATE_ROOT_KEY: 'c2hvcnQ=' },
      /^tollgate: The root key in TOLLGATE_ROOT_KEY has 5 bytes instead of 32/,
    ],
    [
      'a well known one',
      { TOLLGATE_ROOT_KEY: Buffer.alloc(32).toString('base64') },
      /^tollgate: The root key repeats a pattern/,
    ],
    ['no next one', {}, /^tollgate: Name a file with the next root key: openssl rand -base64 32 > next-root-key/],
  ])('%s ends with exit code 3, and the error says what to do.', async (_, env, message) => {
    const { code, stdout, stderr } = await tollgate(['keys', 'rotate'], env)
    expect({ code, stdout }).toEqual({ code: 3, stdout: '' })
    expect(stderr).toMatch(message)
  })

  test('A next root key that can be guessed is refused.', async () => {
    const file = await fileWith(Buffer.from('changeme-changeme-changeme-12345').toString('base64'))
    expect(await tollgate(['keys', 'rotate', '--new-root-key-file', file])).toEqual({
      code: 3,
      stdout: '',
      stderr: 'tollgate: The new root key is text, not random bytes. Take 32 random bytes: openssl rand -base64 32\n',
    })
  })

  test('keys rotate makes its own root key with the embedded store, and a running instance goes on.', {
    timeout: 60_000,
  }, async () => {
    const dataDir = join(folder, 'data')
    const env = { DATABASE_URL: '', TOLLGATE_ROOT_KEY: '' }
    const ran = () => tollgate(['keys', 'rotate', '--data-dir', dataDir], env)
    expect(await ran()).toMatchObject({ code: 0 })
    const file = join(dataDir, 'root-key')
    const first = await readFile(file, 'utf8')
    const store = await openEmbeddedStore(dataDir)
    const database = connect(store.url)
    const open = async () => {
      const { roots, fernetKeys } = await readRootConfig({}, { embedded: true, dataDir })
      const log = createLog('silent')
      return openVault({ database, databaseUrl: store.url, roots, fernetKeys, log, now: () => performance.now() })
    }
    const running = await open()
    try {
      await running.save('openai', platform, KEY, change)
      expect(await ran()).toMatchObject({ code: 0 })
      expect(await running.find('openai', platform)).toBe(KEY)
      const second = await readFile(file, 'utf8')
      expect([first, second].map((text) => Buffer.from(text, 'base64').length)).toEqual([32, 32])
      expect(second).not.toBe(first)
      expect((await stat(file)).mode & 0o777).toBe(0o600)
      expect((await readdir(dataDir)).filter((name) => name.startsWith('root-key'))).toEqual(['root-key'])
      const restarted = await open()
      expect(await restarted.find('openai', platform)).toBe(KEY)
      await restarted.close()
      const refused = await tollgate(['keys', 'rotate', '--data-dir', dataDir, '--new-root-key-file', file], env)
      expect(refused.stderr).toContain(`Tollgate keeps the root key of its own store in ${file}`)
    } finally {
      await running.close()
      await database.close()
      await store.close()
    }
  })
})

test('keys import-fernet seals every token it can open, once, and names the others.', async () => {
  const org = await db.seedOrganization({ credits: 0, users: { alice: 0 } })
  const [one, two, three] = FERNET.tokens
  await db.pool.query(
    `insert into platform_settings (key, value, category) values ('openai_api_key', $1, 'api_keys'),
      ('google_ai_api_key', $2, 'api_keys'), ('groq_api_key', $3, 'api_keys'), ('theme', $1, 'ui')`,
    [one.token, two.token, FERNET.tokenOfOther],
  )
  await db.pool.query(
    "insert into user_provider_keys (user_id, provider, api_key_encrypted, enabled) values ('alice', 'google', $1, false)",
    [three.token],
  )
  await db.pool.query(
    "insert into tollgate.organization_provider_keys (org_id, provider, api_key_encrypted) values ($1, 'openai', $2)",
    [org.id, one.token],
  )
  const ran = (env: Record<string, string>) => tollgate(['keys', 'import-fernet'], env)
  const refused = {
    key: 'platform/groq_api_key',
    problem: 'it is a Fernet token that was damaged or made with another key than ENCRYPTION_KEY',
  }
  const imported = await ran({ ENCRYPTION_KEY: FERNET.encryptionKey })
  expect(JSON.parse(imported.stdout)).toEqual({ imported: 4, unreadable: [refused] })
  expect([imported.code, imported.stderr]).toEqual([1, ''])
  const rest = await ran({ ENCRYPTION_KEY: FERNET.encryptionKey, BYOK_ENCRYPTION_KEY: FERNET.otherKey })
  expect(JSON.parse(rest.stdout)).toEqual({ imported: 1, unreadable: [] })
  expect(rest.code).toBe(0)
  expect(JSON.parse((await ran({})).stdout)).toEqual({ imported: 0, unreadable: [] })

  const vault = await openTestVault(db, { roots: [rawRoot(root)] })
  expect(await vault.find('openai', platform)).toBe(one.text)
  expect(await vault.find('gemini', platform)).toBe(two.text)
  expect(await vault.find('groq', platform)).toBe('sk-ant-other-0123456789abcdef')
  expect(await vault.find('openai', { kind: 'organization', id: org.id })).toBe(one.text)
  expect(await vault.list({ kind: 'user', id: 'alice' })).toMatchObject([
    { provider: 'gemini', mask: `${three.text.slice(0, 7)}...${three.text.slice(-4)}`, enabled: false, problem: null },
  ])
  await vault.close()
  const { rows } = await db.pool.query("select value from platform_settings where key = 'theme'")
  expect(rows[0].value).toBe(one.token)
  const log = await db.pool.query("select distinct actor from tollgate.audit_log where action = 'key.imported'")
  expect(log.rows).toEqual([{ actor: `tollgate keys import-fernet, uid ${process.getuid?.()}` }])
})
