/**
 * npm run clients:python, its last part: LoopNet's own clients, from the documents of Ops-Center, against the running product: a call
 * that is tried again (402, 403, 429 with waiting, 503), and a credit service by SQL, through psycopg and asyncpg. Exit status 1 when a
 * check fails or the books do not add up.
 */
import { chmod, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { createKey } from '../../../src/billing/create-key.ts'
import { createOrganization } from '../../../src/billing/create-organization.ts'
import type { Database } from '../../../src/db/connect.ts'
import { type Stage, withStage } from '../../attack/stage.ts'
import { installPython } from '../../support/python.ts'
import { runProgram } from '../../support/run-program.ts'
import { configFor } from '../../support/tollgate.ts'
import type { ReceivedRequest } from '../../support/upstream.ts'
import { type Answer, chatAnswer, errorAnswer, textAnswer } from '../../support/upstream-answers.ts'

const PACKAGES = ['requests==2.32.5', 'psycopg[binary]==3.3.2', 'asyncpg==0.31.0']
const SCRIPT = fileURLToPath(new URL('./loopnet.py', import.meta.url))
const MICRO = 1_000_000n
const RUN_MS = 120_000

async function main(): Promise<number> {
  const folder = await mkdtemp(join(tmpdir(), 'tollgate-loopnet-'))
  await chmod(folder, 0o711)
  try {
    const python = process.env.LOOPNET_PYTHON ?? (await installPython(join(folder, 'venv'), PACKAGES))
    const { result: output, findings } = await withStage(
      (url) => configFor(url, { router_settings: { num_retries: 0 } }),
      async (stage) => {
        const served = await seed(stage)
        stage.upstream.respond(provider())
        return runProgram(python, [SCRIPT], { env: { LOOPNET: JSON.stringify(served) }, timeoutMs: RUN_MS })
      },
    )
    process.stdout.write(output)
    const failed = output.split('\n').filter((line) => line.startsWith('FAILED')).length
    const passed = output.split('\n').filter((line) => line.startsWith('ok')).length
    console.log(`LoopNet's clients: ${passed} checks passed, ${failed} failed; the audit finds ${findings} differences`)
    return failed + findings === 0 && passed > 0 ? 0 : 1
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

/** Down as often as a request says; one that is slow is answered once it is let go. */
function provider(): (request: ReceivedRequest) => Promise<Answer> {
  const slow = gate()
  const letGo = gate()
  let down = 0
  return async ({ path, json }) => {
    if (path.endsWith('/until-slow-runs')) return slow.opened.then(() => textAnswer(200, 'it runs'))
    if (path.endsWith('/let-go')) {
      letGo.open()
      return textAnswer(200, 'it ends')
    }
    const { messages } = json as { messages: [{ content: string }] }
    const [{ content }] = messages
    if (content === 'slow') {
      slow.open()
      await letGo.opened
    }
    down += content === 'down twice' ? 1 : 0
    const isDown = content === 'down always' || (content === 'down twice' && down <= 2)
    return isDown ? errorAnswer(500, { message: 'The server had an error' }) : chatAnswer({ text: ['Acme'] })
  }
}

function gate(): { opened: Promise<void>; open: () => void } {
  const { promise, resolve } = Promise.withResolvers<void>()
  return { opened: promise, open: resolve }
}

/** An organization with a key for each case, and a login for SQL that may do what callers may. */
async function seed({ database, tollgate, upstream }: Stage): Promise<Record<string, string>> {
  const { id: organization } = await createOrganization(database, {
    name: 'loopnet',
    plan: 'platform',
    credits: 10_000n * MICRO,
  })
  const keyOf = async (user: string, allocate: bigint) =>
    (await createKey(database, { organization, user, allocate: allocate * MICRO, role: null, name: null })).key
  for (const user of ['psycopg', 'psycopg-whole', 'asyncpg', 'asyncpg-whole']) await keyOf(user, 1_000n)
  const keys = { key: await keyOf('worker', 100n), poor: await keyOf('poor', 0n), single: await keyOf('single', 100n) }
  const unallocated = await keyOf('unallocated', 0n)
  await database.pool.query("select tollgate.ledger_end_allocation($1, 'unallocated', 'seed')", [organization])
  await database.pool.query("update tollgate.api_keys set calls_at_once = 1 where user_id = 'single'")
  return {
    ...keys,
    unallocated,
    org: organization,
    database: await sqlLogin(database),
    llm: `${tollgate.url}/api/v1/llm`,
    let_go: `${upstream.url}/let-go`,
    until_slow_runs: `${upstream.url}/until-slow-runs`,
  }
}

async function sqlLogin({ pool }: Database): Promise<string> {
  await pool.query('create role loopnet_sql login in role tollgate_caller')
  const { rows } = await pool.query<{ host: string; port: string; name: string }>(
    "select trim('\"' from current_setting('unix_socket_directories')) as host, current_setting('port') as port, current_database() as name",
  )
  const [{ host, port, name }] = rows as [(typeof rows)[number]]
  return `postgresql://loopnet_sql@/${name}?host=${encodeURIComponent(host)}&port=${port}`
}

process.exitCode = await main()
