/**
 * npm run samples: every sample of docs/integration.md as it is printed, in its order, against a running product and its database.
 * A block of code is run; the block of text after it is what it must print. Makes a Python environment in the temporary directory.
 * Exit status 1 when a sample fails or prints something else.
 */
import { chmod, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { createKey } from '../../src/billing/create-key.ts'
import { createOrganization } from '../../src/billing/create-organization.ts'
import { connect, type Database } from '../../src/db/connect.ts'
import { openEmbeddedStore } from '../../src/db/embedded.ts'
import { migrate } from '../../src/db/migrate.ts'
import { audit } from '../../src/ledger/audit.ts'
import { installPython } from '../support/python.ts'
import { runProgram } from '../support/run-program.ts'
import { configFor, startTollgate } from '../support/tollgate.ts'

const ROOT = fileURLToPath(new URL('../../', import.meta.url))
const GUIDE = join(ROOT, 'docs/integration.md')
const PACKAGES = ['requests==2.32.5', 'psycopg[binary]==3.3.2', 'asyncpg==0.31.0']
const MICRO = 1_000_000n
const SAMPLE = /```(bash|js|python|sql)\n([\s\S]*?)```\n\n```text\n([\s\S]*?)```/g
const RUN_MS = 60_000

interface Sample {
  language: 'bash' | 'js' | 'python' | 'sql'
  code: string
  prints: string
  line: number
}

type Closer = () => unknown

async function main(): Promise<number> {
  const closers: Closer[] = []
  try {
    const folder = await mkdtemp(join(tmpdir(), 'tollgate-samples-'))
    closers.push(() => rm(folder, { recursive: true, force: true }))
    // Run by root, the store's unprivileged user must get through.
    await chmod(folder, 0o711)
    // So that samples in JavaScript find the packages of this repository.
    await symlink(join(ROOT, 'node_modules'), join(folder, 'node_modules'))
    const python = await installPython(join(folder, 'venv'), PACKAGES)
    return await runAll(folder, python, closers)
  } finally {
    for (const close of closers.reverse()) await close()
  }
}

async function runAll(folder: string, python: string, closers: Closer[]): Promise<number> {
  const store = await openEmbeddedStore(join(folder, 'data'))
  closers.push(() => store.close())
  await migrate(store.url)
  const database = connect(store.url)
  closers.push(() => database.close())
  const tollgate = await startTollgate({ databaseUrl: store.url, config: config() })
  closers.push(() => tollgate.stop())
  const env = { ...(await seed(database, store.url)), TOLLGATE_URL: tollgate.url }
  const samples = await readSamples()
  let failed = 0
  for (const sample of samples) {
    const printed = await runSample(sample, folder, python, env).catch((error: Error) => error.message)
    const isRight = printed === sample.prints
    failed += isRight ? 0 : 1
    process.stdout.write(`${isRight ? 'ok    ' : 'FAILED'} ${sample.language} at line ${sample.line}\n`)
    if (!isRight) process.stdout.write(`${printed}\ninstead of\n${sample.prints}\n`)
  }
  const { findings } = await audit(database)
  for (const finding of findings) process.stdout.write(`the audit: ${JSON.stringify(finding)}\n`)
  process.stdout.write(`${samples.length - failed} of ${samples.length} samples print what the guide says\n`)
  return failed + findings.length === 0 && samples.length > 0 ? 0 : 1
}

function config(): string {
  const model = {
    model_name: 'gpt-4o-mini',
    litellm_params: { model: 'openai/gpt-4o-mini', mock_response: 'Hello! How can I help?' },
  }
  const whole = JSON.parse(configFor('http://127.0.0.1:9')) as Record<string, unknown>
  return JSON.stringify({ ...whole, model_list: [model] })
}

/** LoopNet's organization, an admin with a key, a worker, and a login for SQL. */
async function seed(database: Database, url: string): Promise<Record<string, string>> {
  const { id } = await createOrganization(database, { name: 'loopnet', plan: 'platform', credits: 10_000n * MICRO })
  const admin = { organization: id, user: 'admin', allocate: 1_000n * MICRO, role: 'owner', name: null } as const
  const { key } = await createKey(database, admin)
  await database.pool.query("insert into organization_members (org_id, user_id) values ($1, 'loopnet-worker')", [id])
  await database.pool.query('create role loopnet_sql login in role tollgate_caller')
  const login = new URL(url)
  login.username = 'loopnet_sql'
  return { TOLLGATE_KEY: key, ORG_ID: id, DATABASE_URL: login.href }
}

async function readSamples(): Promise<Sample[]> {
  const text = await readFile(GUIDE, 'utf8')
  const samples = [...text.matchAll(SAMPLE)].map((match) => ({
    language: match[1] as Sample['language'],
    code: match[2] ?? '',
    prints: (match[3] ?? '').trimEnd(),
    line: text.slice(0, match.index).split('\n').length,
  }))
  const blocks = text.match(/^```(?:bash|js|python|sql)$/gm)?.length ?? 0
  if (blocks !== samples.length)
    throw new Error(`${blocks - samples.length} samples of ${GUIDE} do not say what they print`)
  return samples
}

async function runSample({ language, code }: Sample, folder: string, python: string, env: Record<string, string>) {
  const run = (program: string, args: readonly string[]) => runProgram(program, args, { env, timeoutMs: RUN_MS })
  const file = join(folder, `sample.${language === 'js' ? 'mjs' : language}`)
  await writeFile(file, code)
  const printed = await {
    bash: () => run('bash', [file]),
    js: () => run(process.execPath, [file]),
    python: () => run(python, [file]),
    sql: () =>
      run('psql', [
        '-X',
        '-A',
        '-t',
        '-v',
        'ON_ERROR_STOP=1',
        '-v',
        `org_id=${env.ORG_ID}`,
        '-f',
        file,
        `${env.DATABASE_URL}`,
      ]),
  }[language]()
  return printed.trimEnd()
}

try {
  process.exitCode = await main()
} catch (error) {
  process.stderr.write(`samples: ${(error as Error).stack}\n`)
  process.exitCode = 1
}
