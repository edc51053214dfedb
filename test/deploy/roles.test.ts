/** The secrets and roles of compose.yaml, made by its own scripts in a real PostgreSQL that asks for passwords: who may do what. */
import { spawn } from 'node:child_process'
import { chmod, mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseEnv } from 'node:util'
import { afterAll, beforeAll, expect, test, vi } from 'vitest'
import { type EmbeddedStore, openEmbeddedStore } from '../../src/db/embedded.ts'
import { psqlInstalled } from '../support/database.ts'
import { queryOnce } from '../support/empty-database.ts'
import { runCommand } from '../support/run-tollgate.ts'
import { configFor, postChat, startTollgate } from '../support/tollgate.ts'
import { startUpstream } from '../support/upstream.ts'

vi.setConfig({ testTimeout: 120_000, hookTimeout: 120_000 })
const DEPLOY = fileURLToPath(new URL('../../deploy/', import.meta.url))
const FOLDERS = ['callers', 'database', 'grafana', 'migrate', 'prometheus', 'proxy', 'redis']
const withPsql = test.runIf(psqlInstalled())

let folder: string
let secrets: string
let store: EmbeddedStore
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'tollgate-roles-'))
  // Under root the server runs as another user, who has to get through.
  await chmod(folder, 0o711)
  secrets = join(folder, 'secrets')
  for (const name of FOLDERS) await mkdir(join(secrets, name), { recursive: true })
  store = await openEmbeddedStore(join(folder, 'data'))
})
afterAll(async () => {
  await store.close()
  await rm(folder, { recursive: true, force: true })
})

function sh(script: string, args: string[], env: Record<string, string> = {}): Promise<{ code: number; said: string }> {
  const child = spawn('sh', [DEPLOY + script, ...args], {
    env: { PATH: process.env.PATH, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  let said = ''
  for (const stream of [child.stdout, child.stderr])
    stream.setEncoding('utf8').on('data', (text: string) => (said += text))
  return new Promise((resolve) => child.on('close', (code) => resolve({ code: code ?? -1, said })))
}

const secret = (path: string) => readFile(join(secrets, path), 'utf8')

async function everySecret(): Promise<Record<string, string>> {
  const files = await Promise.all(
    FOLDERS.map(async (name) => (await readdir(join(secrets, name))).sort().map((file) => `${name}/${file}`)),
  )
  return Object.fromEntries(await Promise.all(files.flat().map(async (file) => [file, await secret(file)])))
}

/** As the file has it, but for where the server is. */
async function urlIn(path: string): Promise<string> {
  const { DATABASE_URL = '' } = parseEnv(await secret(path))
  const { username, password, host, pathname } = new URL(DATABASE_URL)
  expect([host, pathname]).toEqual(['unicorn-postgresql:5432', '/unicorn_db'])
  return urlOf(username, password)
}

function urlOf(user: string, password: string): string {
  const [, socket] = /@([^/]+)\//.exec(store.url) ?? []
  return `postgresql://${user}:${password}@${socket}/unicorn_db?sslmode=disable`
}

test('Secrets are random and made once, and only those who mount the folder can read them.', async () => {
  expect(await sh('make-secrets.sh', [secrets])).toEqual({ code: 0, said: '' })
  const made = await everySecret()
  expect(Object.keys(made)).toEqual([
    'callers/callers.env',
    'database/postgres',
    'database/tollgate_owner',
    'database/tollgate_proxy',
    'database/unicorn',
    'grafana/grafana_password',
    'migrate/migrate.env',
    'prometheus/metrics_token',
    'proxy/proxy.env',
    'proxy/root_key',
    'redis/redis.conf',
    'redis/redis_password',
  ])
  for (const file of Object.keys(made)) expect((await stat(join(secrets, file))).mode & 0o777, file).toBe(0o444)
  // The program never sees the passwords of the owner, of the server or of callers, and callers not the program's.
  const passwords = ['postgres', 'tollgate_owner', 'tollgate_proxy', 'unicorn'].map((role) => made[`database/${role}`]!)
  expect(new Set(passwords).size).toBe(4)
  const holders = passwords.map((password) =>
    Object.keys(made).filter((file) => !file.startsWith('database/') && made[file]?.includes(password)),
  )
  expect(holders).toEqual([[], ['migrate/migrate.env'], ['proxy/proxy.env'], ['callers/callers.env']])
  expect(Buffer.from(made['proxy/root_key']!, 'base64')).toHaveLength(32)
  expect(made['redis/redis.conf']).toBe(`requirepass ${made['redis/redis_password']}\n`)
  expect(parseEnv(made['proxy/proxy.env']!).TOLLGATE_METRICS_TOKEN).toBe(made['prometheus/metrics_token'])

  await rm(join(secrets, 'redis/redis.conf'))
  expect(await sh('make-secrets.sh', [secrets])).toEqual({ code: 0, said: '' })
  expect(await everySecret()).toEqual(made)
})

withPsql('owner, program and SQL callers each get in by their own password, and do what is theirs', async () => {
  await queryOnce(store.url, 'create database unicorn_db')
  const { hostname, port } = socketOf(store.url)
  const made = await sh('make-roles.sh', [], {
    POSTGRES_USER: 'tollgate',
    POSTGRES_DB: 'unicorn_db',
    PGHOST: hostname,
    PGPORT: port,
    TOLLGATE_SECRETS: join(secrets, 'database'),
  })
  expect(made).toEqual({ code: 0, said: '' })
  const [{ hba_file: hba } = { hba_file: '' }] = await queryOnce<{ hba_file: string }>(store.url, 'show hba_file')
  await writeFile(hba, 'local all tollgate trust\nlocal all all scram-sha-256\n')
  await queryOnce(store.url, 'select pg_reload_conf()')

  const [owner, proxy, caller] = await Promise.all(
    ['migrate/migrate.env', 'proxy/proxy.env', 'callers/callers.env'].map(urlIn),
  )
  await expect(queryOnce(urlOf('tollgate_owner', 'wrong'), 'select 1')).rejects.toMatchObject({ code: '28P01' })
  const run = (url: string | undefined, ...args: string[]) => runCommand({ args, databaseUrl: url ?? '' })
  expect(await run(owner, 'migrate')).toMatchObject({ code: 0, stderr: '' })
  expect(await run(proxy, 'migrate', '--check')).toMatchObject({ code: 0, stdout: 'The schema is up to date.\n' })

  const { id } = JSON.parse((await run(proxy, 'org', 'create', '--name', 'acme', '--credits', '1000')).stdout)
  const { key } = JSON.parse(
    (await run(proxy, 'key', 'create', '--org', 'acme', '--user', 'alice', '--allocate', '1000')).stdout,
  )
  const upstream = await startUpstream()
  const tollgate = await startTollgate({ databaseUrl: proxy ?? '', config: configFor(upstream.url) })
  const body = { model: 'gpt-4o-mini', max_tokens: 10, messages: [{ role: 'user', content: 'Hello' }] }
  expect((await postChat(tollgate, key, body)).status).toBe(200)
  expect(await tollgate.stop()).toBe(0)
  await upstream.close()
  expect((await run(proxy, 'audit')).stdout).toBe('The books are right: 2 organizations, 1 charge, 0 open holds.\n')

  const ask = (statement: string, values: unknown[] = []) => queryOnce(caller ?? '', statement, values)
  expect(await ask("select has_sufficient_credits($1, 'alice', 1) as enough", [id])).toEqual([{ enough: true }])
  await ask("select deduct_credits($1, 'alice', 1, 'valuation')", [id])
  for (const statement of [
    'select from tollgate.api_keys',
    'select from public.user_provider_keys',
    'update public.organization_credit_pools set total_credits = 1000000',
    'create table public.mine (id integer)',
    'create schema mine',
    'create temp table mine (id integer)',
    'set role tollgate_owner',
    'set role tollgate_proxy',
  ])
    await expect(ask(statement), statement).rejects.toMatchObject({ code: '42501' })
  await expect(queryOnce(proxy ?? '', 'set role tollgate_owner')).rejects.toMatchObject({ code: '42501' })
  expect(await queryOnce(store.url, 'select rolname from pg_roles where rolsuper order by 1')).toEqual([
    { rolname: 'tollgate' },
  ])
})

function socketOf(url: string): { hostname: string; port: string } {
  const [, hostname = '', port = ''] = /@([^:/]+):(\d+)\//.exec(url) ?? []
  return { hostname: decodeURIComponent(hostname), port }
}
