/** This program and a newer one, whose every function has another text, on one database while calls run. */
import { afterAll, afterEach, beforeAll, expect, onTestFinished, test, vi } from 'vitest'
import { migrate } from '../../src/db/migrate.ts'
import { useEmptyDatabase } from '../support/empty-database.ts'
import { copyProgram, type ProgramCopy } from '../support/program-copy.ts'
import { runCommand } from '../support/run-tollgate.ts'
import { configFor, postChat, startTollgate, type Tollgate } from '../support/tollgate.ts'
import { type ScriptedUpstream, startUpstream } from '../support/upstream.ts'

// Processes that start one after the other, beside calls that leave them little of the machine.
vi.setConfig({ testTimeout: 180_000 })
const db = useEmptyDatabase()
let newer: ProgramCopy
let upstream: ScriptedUpstream
let running: Tollgate[] = []

beforeAll(async () => {
  newer = await copyProgram()
  await newer.renewFunctions('newer')
  upstream = await startUpstream()
})
afterEach(async () => {
  for (const tollgate of running) tollgate.kill()
  await Promise.all(running.map(({ exited }) => exited))
  running = []
})
afterAll(async () => {
  await upstream.close()
  await newer.remove()
})

async function start(program?: string): Promise<Tollgate> {
  const config = configFor(upstream.url)
  const tollgate = await startTollgate({ databaseUrl: db.url, config, ...(program === undefined ? {} : { program }) })
  running.push(tollgate)
  return tollgate
}

/** An organization whose user may spend 1000 credits. */
async function makeKey(): Promise<string> {
  const run = (...args: string[]) => runCommand({ args, databaseUrl: db.url })
  expect(await run('org', 'create', '--name', 'acme', '--credits', '1000')).toMatchObject({ code: 0 })
  const { stdout } = await run('key', 'create', '--org', 'acme', '--user', 'alice', '--allocate', '1000')
  return JSON.parse(stdout).key
}

/** Calls without a pause, four at a time, through every running program in turn, until told to stop. */
function load(key: string) {
  let stopped = false
  const statuses: number[] = []
  const worker = async () => {
    for (let turn = 0; !stopped; turn++) {
      const body = { model: 'gpt-4o-mini', max_tokens: 10, messages: [{ role: 'user', content: 'Hello' }] }
      statuses.push((await postChat(running[turn % running.length]!, key, body)).status)
    }
  }
  const workers = Promise.all(Array.from({ length: 4 }, worker))
  return {
    /** Resolves when `n` more calls are over. */
    async progress(n = 20) {
      const until = statuses.length + n
      while (statuses.length < until) await Promise.race([upstream.received(upstream.requests.length + 1), workers])
    },
    async stop(): Promise<number[]> {
      stopped = true
      await workers
      return statuses
    },
  }
}

async function expectNewerSet(): Promise<void> {
  expect(await db.query('select number from tollgate.function_set')).toEqual([{ number: newer.number }])
  const [row] = await db.query<{ text: string }>("select prosrc as text from pg_proc where proname = 'ledger_audit'")
  expect(row?.text).toContain('/* newer */')
}

/** Every call was answered and is on the books once, and the books are right, by the audit of each program. */
async function expectBooks(statuses: number[]): Promise<void> {
  expect(new Set(statuses)).toEqual(new Set([200]))
  expect(
    await db.query('select count(*)::int, count(distinct call_id)::int as calls from credit_usage_attribution'),
  ).toEqual([{ count: statuses.length, calls: statuses.length }])
  for (const program of [undefined, newer.folder]) {
    const ran = await runCommand({
      args: ['audit'],
      databaseUrl: db.url,
      ...(program === undefined ? {} : { program }),
    })
    expect(ran).toMatchObject({
      code: 0,
      stdout: expect.stringMatching(/^The books are right: .* 0 open holds\.\n$/),
    })
  }
}

const stays = () =>
  `The database has function set ${newer.number} of Tollgate 0.1.0, newer than set ${newer.number - 1} of this version: it stays.`

test('While an older version runs, a newer one migrates and starts: no call notices, and the newer functions stay.', async () => {
  await migrate(db.url)
  const key = await makeKey()
  await start()
  const calls = load(key)
  onTestFinished(async () => void (await calls.stop()))
  await calls.progress()
  await expect(start(newer.folder)).rejects.toThrow(/are to be applied.* Run `tollgate migrate`\./)
  expect(await runCommand({ args: ['migrate'], databaseUrl: db.url, program: newer.folder })).toMatchObject({
    code: 0,
    stderr: '',
  })
  await start(newer.folder)
  await calls.progress()
  expect(await runCommand({ args: ['migrate'], databaseUrl: db.url })).toEqual({
    code: 0,
    stdout: `${stays()}\nThe schema is up to date.\n`,
    stderr: '',
  })
  await calls.progress()
  await expectBooks(await calls.stop())
  await expectNewerSet()
})

test('While a newer version runs, an older one starts and says that the newer functions stay.', async () => {
  expect(await runCommand({ args: ['migrate'], databaseUrl: db.url, program: newer.folder })).toMatchObject({ code: 0 })
  const key = await makeKey()
  await start(newer.folder)
  const calls = load(key)
  onTestFinished(async () => void (await calls.stop()))
  await calls.progress()
  expect(await runCommand({ args: ['migrate'], databaseUrl: db.url })).toMatchObject({ code: 0, stderr: '' })
  const older = await start()
  expect(older.output()).toContain(stays())
  await calls.progress()
  await expectBooks(await calls.stop())
  await expectNewerSet()
})
