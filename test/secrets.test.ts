/**
 * Secrets planted everywhere a deployment has them: keys of providers in environment, vault and calls, the root key, the database's
 * password, the master key, callers' keys. None of them leaves: not in an answer or its headers, not in the log at its most
 * talkative, not in the numbers, not in what commands print, not in what is left by a crash, and of the database not in one row.
 */
import { type ChildProcess, spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, expect, test, vi } from 'vitest'
import { goodKey, keyless, SEVEN_NAMES, send } from './api/keys-product.ts'
import { expectNothingHeld } from './support/call-books.ts'
import { useDatabase } from './support/database.ts'
import { type CallAnswer, configFor, get, postChat } from './support/tollgate.ts'
import { type ScriptedUpstream, startUpstream } from './support/upstream.ts'
import { chat, errorAnswer, type Script } from './support/upstream-answers.ts'

const MAIN = fileURLToPath(new URL('../src/main.ts', import.meta.url))
const PASSWORD = 'Pl4nted-p4ssw0rd-0f-the-database'
const MASTER = 'sk-b81f6d3c0a97e254f1d8c6b3e07a952d4c'
const ROOT = randomBytes(32)
const ENVIRONMENT: Readonly<Record<string, string>> = {
  OPENAI_API_KEY: 'sk-proj-EnvQm7Zt2Lx9Vb4Kd8Rw1Hs6Nf3Yj5Pc0Ga',
  GROQ_API_KEY: 'gsk_EnvZt2Lx9Vb4Kd8Rw1Hs6Nf3Yj5Pc0GaQm7',
  XAI_API_KEY: 'xai-EnvLx9Vb4Kd8Rw1Hs6Nf3Yj5Pc0GaQm7Zt2',
}
const OWN_KEY = `${goodKey('openai')}OwnedByAlice`
const HELLO = { max_tokens: 20, messages: [{ role: 'user', content: 'Hello' }] }

const db = useDatabase()
let upstream: ScriptedUpstream
let folder: string
let config: string
let children: ChildProcess[] = []
const planted = new Set([
  PASSWORD,
  MASTER,
  ROOT.toString('base64'),
  ROOT.toString('hex'),
  OWN_KEY,
  ...Object.values(ENVIRONMENT),
  ...SEVEN_NAMES.map(goodKey),
])

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'tollgate-planted-'))
  upstream = await startUpstream()
  config = join(folder, 'config.yaml')
  const models = [
    keyless('openai', 'openai/gpt-4o-mini', upstream.url),
    keyless('groq', 'groq/llama-3.3-70b-versatile', upstream.url),
    keyless('xai', 'xai/grok-3', upstream.url),
  ]
  await writeFile(config, configFor(upstream.url, { models, litellm_settings: { num_retries: 0 } }))
})
afterAll(async () => {
  for (const child of children) child.kill('SIGKILL')
  children = []
  await upstream.close()
  await rm(folder, { recursive: true, force: true })
})

const withPassword = (url: string) => url.replace(/^(postgres(?:ql)?:\/\/[^:@/]+)(?::[^@]*)?@/, `$1:${PASSWORD}@`)

interface Running {
  url: string
  child: ChildProcess
  output(): string
  exited: Promise<number | null>
}

function run(args: readonly string[], env: Record<string, string> = {}): Omit<Running, 'url'> {
  const child = spawn(process.execPath, [MAIN, ...args], {
    cwd: folder,
    env: {
      PATH: process.env.PATH,
      HOME: process.env.HOME,
      TOLLGATE_CONFIG: config,
      TOLLGATE_MASTER_KEY: MASTER,
      TOLLGATE_ROOT_KEY: ROOT.toString('base64'),
      DATABASE_URL: withPassword(db.url),
      ...ENVIRONMENT,
      ...env,
    },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  children.push(child)
  let output = ''
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (text: string) => {
      output += text
      child.emit('output')
    })
  }
  return { child, output: () => output, exited: once(child, 'close').then(([code]) => code as number | null) }
}

async function start(env: Record<string, string> = {}): Promise<Running> {
  const running = run(['start', '--port', '0', '--log-level', 'trace'], env)
  const listening = /^Tollgate \S+ on (http:\/\/\S+)$/m
  while (!listening.test(running.output())) await Promise.race([once(running.child, 'output'), ended(running)])
  return { ...running, url: listening.exec(running.output())?.[1] ?? '' }
}

async function ended({ exited, output }: Omit<Running, 'url'>): Promise<never> {
  throw new Error(`it ended with ${await exited}: ${output()}`)
}

function expectNoSecret(text: string, what: string): void {
  for (const secret of planted) {
    for (const form of [secret, Buffer.from(secret).toString('base64'), encodeURIComponent(secret)])
      expect(text.includes(form), `${what} holds ${secret.slice(0, 8)}...`).toBe(false)
  }
}

/** Every row of every table, as a dump has it. */
async function everyRow(): Promise<string> {
  const { rows: tables } = await db.pool.query<{ name: string }>(
    "select format('%I.%I', schemaname, tablename) as name from pg_tables where schemaname not in ('pg_catalog', 'information_schema')",
  )
  const parts = await Promise.all(
    tables.map(({ name }) => db.pool.query<{ row: string }>(`select to_jsonb(t)::text as row from ${name} t`)),
  )
  return parts.flatMap(({ rows }) => rows.map(({ row }) => row)).join('\n')
}

test('Nothing that is planted is in a response, in the log, in the metrics or in the database.', async () => {
  const { keys } = await db.seedOrganization({ plan: 'hybrid', credits: 100, users: { alice: 50, bob: 50 } })
  for (const key of Object.values(keys)) planted.add(key)
  const tollgate = await start()
  const answers: CallAnswer[] = []
  const ask = async (method: string, path: string, body?: unknown, key = MASTER) => {
    answers.push(await send(tollgate, method, path, body, key))
  }
  const platform = '/api/v1/admin/platform-keys'
  const own = '/api/v1/llm/byok/keys'

  for (const name of SEVEN_NAMES) {
    await ask('PUT', `${platform}/${name}`, { api_key: goodKey(name) })
    // Another provider's: refused. Half a body: refused. No admin: refused.
    await ask('PUT', `${platform}/${name}`, { api_key: goodKey(name === 'openai' ? 'groq' : 'openai') })
    await ask('PUT', `${platform}/${name}`, `{"api_key":"${goodKey(name)}"`)
    await ask('PUT', `${platform}/${name}`, { api_key: goodKey(name) }, keys.alice)
    await ask('GET', `${platform}/${name}/decrypted`)
    await ask('POST', own, { provider: name, api_key: goodKey(name).slice(0, 12) }, keys.bob)
  }
  await ask('POST', own, { provider: 'openai', api_key: OWN_KEY }, keys.alice)
  await ask('POST', own, { provider: 'openai', api_key: OWN_KEY, scope: 'organization' }, keys.alice)
  upstream.respond(({ headers }) => errorAnswer(401, { message: `Wrong: ${JSON.stringify(headers)}` }))
  await ask('POST', `${own}/openai/test`, undefined, keys.alice)
  await ask('POST', `${platform}/openai/test`)
  await ask('POST', `${platform}/groq/test`, { api_key: goodKey('groq'), api_base: `http://${PASSWORD}@127.0.0.1/` })

  const quote = (status: number): Script => errorAnswer(status, { message: `Key ${OWN_KEY} is bad`, code: OWN_KEY })
  for (const status of [200, 401, 402, 403, 429, 500]) {
    for (const stream of [false, true]) {
      upstream.respond(status === 200 ? chat() : quote(status))
      for (const key of [keys.alice, keys.bob, MASTER]) {
        for (const model of ['openai', 'groq', 'xai'])
          answers.push(await postChat(tollgate, key, { ...HELLO, model, stream }))
      }
    }
  }
  for (const path of [
    platform,
    '/api/v1/admin/audit-log',
    own,
    `${own}/openai/usage`,
    '/metrics',
    '/openapi.json',
    '/docs',
  ])
    await ask('GET', path)
  answers.push(await get(tollgate, keys.alice, own), await get(tollgate, `${keys.alice}x`, own))

  // A key that does not open is told to the operator, in words.
  await db.pool.query("update platform_settings set value = left(value, -8) || 'AAAAAAAA' where key = 'groq_api_key'")
  await vi.waitFor(async () => {
    const answer = await postChat(tollgate, keys.bob, { ...HELLO, model: 'groq' })
    answers.push(answer)
    expect(answer.json()).toMatchObject({ error: { code: 'provider_key_unavailable' } })
  })
  await ask('GET', platform)
  await expectNothingHeld(db.pool)
  const dump = await everyRow()
  tollgate.child.kill('SIGTERM')
  expect(await tollgate.exited).toBe(0)

  expect(answers.filter(({ status }) => status === 200).length).toBeGreaterThan(20)
  for (const { body, headers } of answers) expectNoSecret(body + JSON.stringify([...headers]), 'an answer')
  expect(tollgate.output()).toContain("a stored provider key can't be used")
  expectNoSecret(tollgate.output(), 'the log')
  expect(dump).toContain('openai_api_key')
  expectNoSecret(dump, 'the database')
  const { rows } = await db.pool.query<{ value: string }>(
    `select value from platform_settings union all select api_key_encrypted from user_provider_keys
     union all select api_key_encrypted from organization_provider_keys`,
  )
  expect(rows).toHaveLength(SEVEN_NAMES.length + 2)
  for (const { value } of rows) expect(value).toMatch(/^tollgate:[^:]+:[A-Za-z0-9+/]+={0,2}$/)
})

test.each([
  ['--help', ['--help'], {}, 0],
  ['check-config', ['check-config'], {}, 0],
  [
    'start without its database',
    ['start'],
    { DATABASE_URL: `postgres://tollgate:${PASSWORD}@127.0.0.1:9/tollgate` },
    4,
  ],
  [
    'start under another root key',
    ['start', '--port', '0'],
    { TOLLGATE_ROOT_KEY: randomBytes(32).toString('base64') },
    3,
  ],
  ['start with half a root key', ['start'], { TOLLGATE_ROOT_KEY: ROOT.subarray(0, 16).toString('base64') }, 3],
  ['keys rotate without a next root key', ['keys', 'rotate'], {}, 3],
  ['keys import-fernet', ['keys', 'import-fernet'], {}, 0],
] as const)('%s prints nothing of what is planted.', async (_, args, env, code) => {
  // The root key is registered by whoever comes first.
  if (env !== undefined && 'TOLLGATE_ROOT_KEY' in env) planted.add(env.TOLLGATE_ROOT_KEY)
  const { output, exited } = run(args, env)
  expect([await exited, output()]).toEqual([code, expect.stringMatching(/./)])
  expectNoSecret(output(), 'what it prints')
})

test('A crash prints nothing of what is planted.', async () => {
  const crash = "process.on('SIGUSR2', () => { throw new Error('out of the blue') })"
  const tollgate = await start({ NODE_OPTIONS: `--import=data:text/javascript,${encodeURIComponent(crash)}` })
  tollgate.child.kill('SIGUSR2')
  expect(await tollgate.exited).not.toBe(0)
  expect(tollgate.output()).toContain('out of the blue')
  expectNoSecret(tollgate.output(), 'what is left of it')
})
