/** Keys and passwords never leave: not in an answer, not in the log, not in what commands print. Neither does what callers write. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { expectNothingHeld } from '../support/call-books.ts'
import { useDatabase } from '../support/database.ts'
import {
  type CallAnswer,
  configFor,
  get,
  postChat,
  ROOT_KEY,
  startTollgate,
  type Tollgate,
} from '../support/tollgate.ts'
import { type ScriptedUpstream, startUpstream } from '../support/upstream.ts'
import { chat, errorAnswer, type Script } from '../support/upstream-answers.ts'

const UPSTREAM_SECRET = 'sk-proj-Qm7Zt2Lx9Vb4Kd8Rw1Hs6Nf3Yj5Pc0Ga'
const MASTER_SECRET = 'sk-b81f6d3c0a97e254f1d8c6b3e07a952d4c'
const PASSWORD = 'Pl4nted-p4ssw0rd'
const PROMPT = 'My diagnosis is hemochromatosis'
const ANSWER = 'You wrote about hemochromatosis'
const MAIN = fileURLToPath(new URL('../../src/main.ts', import.meta.url))

const db = useDatabase()
let upstream: ScriptedUpstream
let tollgate: Tollgate
let config: string
const secretEnv = { SCRIPTED_API_KEY: UPSTREAM_SECRET, TOLLGATE_MASTER_KEY: MASTER_SECRET }
beforeAll(async () => {
  upstream = await startUpstream()
  config = configFor(upstream.url, { litellm_settings: { num_retries: 0 } })
  tollgate = await startTollgate({ databaseUrl: db.url, config, env: secretEnv })
})
afterAll(async () => {
  await tollgate.stop()
  await upstream.close()
})

const HELLO = { model: 'gpt-4o-mini', messages: [{ role: 'user', content: PROMPT }] }

test('No secret and no prompt is in any response or any line of the log.', async () => {
  const { keys } = await db.seedOrganization({ credits: 100, users: { alice: 50, bob: '0.000001' } })
  const secrets = [UPSTREAM_SECRET, MASTER_SECRET, keys.alice, keys.bob]
  const echo = `Bad key ${UPSTREAM_SECRET} in Authorization: Bearer ${UPSTREAM_SECRET}.`
  // A provider may quote the request where it finds the request at fault.
  const quoting = (status: number) => (status === 400 || status === 404 ? `${echo} You sent: ${PROMPT}` : echo)
  const answers: CallAnswer[] = []
  const scripts: Script[] = [
    ...[400, 401, 403, 404, 429, 500, 503].map((status) =>
      errorAnswer(status, { message: quoting(status), code: UPSTREAM_SECRET }),
    ),
    { status: 502, frames: [echo] },
    { frames: [echo] },
    'hangUp',
  ]
  for (const script of scripts) {
    upstream.respond(script)
    for (const stream of [false, true]) answers.push(await postChat(tollgate, keys.alice, { ...HELLO, stream }))
  }
  upstream.respond(chat({ text: [ANSWER] }))
  for (const key of [keys.alice, keys.bob, MASTER_SECRET, `${keys.alice}0`, `x${MASTER_SECRET}`]) {
    answers.push(await postChat(tollgate, key, HELLO), await postChat(tollgate, key, `{"model":"${key}"`))
    answers.push(await postChat(tollgate, key, { ...HELLO, model: 'none-such' }))
  }
  const callId = answers.find(({ status }) => status === 200)?.headers.get('x-litellm-call-id')
  for (const path of ['/v1/models', `/v1/calls/${callId}`, '/health/readiness', '/openapi.json']) {
    answers.push(await get(tollgate, MASTER_SECRET, path))
  }
  await expectNothingHeld(db.pool)

  for (const answer of answers) {
    const all = answer.body + JSON.stringify([...answer.headers])
    for (const secret of secrets) expect(all).not.toContain(secret)
  }
  expect(tollgate.output()).toContain('"outcome":"answered"')
  expect(tollgate.output()).toContain('THE PROVIDER REJECTS OUR ACCOUNT')
  for (const secret of [...secrets, PROMPT, ANSWER, 'hemochromatosis']) expect(tollgate.output()).not.toContain(secret)
  for (const table of [
    'credit_usage_attribution',
    'tollgate.ledger_holds',
    'tollgate.ledger_journal',
    'tollgate.idempotency_keys',
  ]) {
    const { rows } = await db.pool.query<{ row: string }>(`select t::text as row from ${table} t`)
    const stored = rows.map(({ row }) => row).join('\n')
    for (const secret of [...secrets, PROMPT]) expect(stored).not.toContain(secret)
  }
})

test('A caller’s key never goes to the provider, and the provider’s key goes nowhere else.', async () => {
  const { keys } = await db.seedOrganization({ credits: 100, users: { alice: 50 } })
  upstream.respond(chat())
  await postChat(tollgate, keys.alice, HELLO, { headers: { cookie: 'session=abc', 'x-api-key': keys.alice } })
  const { headers, body } = upstream.requests.at(-1) ?? { headers: {}, body: '' }
  expect(headers.authorization).toBe(`Bearer ${UPSTREAM_SECRET}`)
  expect(JSON.stringify(headers) + String(body)).not.toContain(keys.alice)
  expect(headers).not.toHaveProperty('cookie')
})

test.for([
  { args: ['--help'], code: 0 },
  { args: ['check-config', '--config', 'CONFIG'], code: 0 },
  { args: ['start', '--config', 'CONFIG', '--port', '0'], code: 4 },
  { args: ['migrate', '--config', 'CONFIG'], code: 4 },
  { args: ['audit', '--config', 'CONFIG'], code: 4 },
])('What $args.0 prints has no secret in it.', async ({ args, code }) => {
  const directory = await mkdtemp(join(tmpdir(), 'tollgate-secrets-'))
  const file = join(directory, 'config.yaml')
  await writeFile(file, config)
  const child = spawn(process.execPath, [MAIN, ...args.map((arg) => arg.replace('CONFIG', file))], {
    cwd: directory,
    env: {
      PATH: process.env.PATH,
      HOME: process.env.HOME,
      ...secretEnv,
      TOLLGATE_ROOT_KEY: ROOT_KEY,
      // Nothing listens there: below the ports a server is given.
      DATABASE_URL: `postgres://tollgate:${PASSWORD}@127.0.0.1:9/tollgate`,
    },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  let output = ''
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (text: string) => {
      output += text
    })
  }
  const [exitCode] = await once(child, 'close')
  await rm(directory, { recursive: true, force: true })
  expect(exitCode, output).toBe(code)
  expect(output).not.toBe('')
  for (const secret of [PASSWORD, UPSTREAM_SECRET, MASTER_SECRET]) expect(output).not.toContain(secret)
})
