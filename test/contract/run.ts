/**
 * npm run contract: requests that schemathesis makes of our own OpenAPI document, by every role, against the running product. Exit
 * status 1 where one gets a 5xx that is not the stated 501, where an answer is not described or does not fit its schema, where a
 * stranger gets anything but 401 on a closed route, where a hold stays open, or where the books do not add up afterwards. Needs Python
 * 3.10 or later; makes an environment in the temporary directory, or uses CONTRACT_PYTHON. `--seed N` makes the same requests again,
 * `--seconds N` sets how long.
 */
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { type Stage, withStage } from '../attack/stage.ts'
import { installPython } from '../support/python.ts'
import { runProgram } from '../support/run-program.ts'
import { type ScriptedStripe, startStripe, WEBHOOK_SECRET } from '../support/stripe.ts'
import { configFor } from '../support/tollgate.ts'
import { seedRoles } from './seed-roles.ts'

const PACKAGES = ['schemathesis==4.32.5']
const HOOKS = fileURLToPath(new URL('./hooks.py', import.meta.url))
/** Methods that a path does not have are the matter of test/identity/every-route.test.ts. */
const SETTINGS = '[phases.coverage]\nunexpected-methods = []\n'
const CHECKS = [
  'no_failure_of_ours',
  'credential_before_all_else',
  'status_code_conformance',
  'content_type_conformance',
  'response_headers_conformance',
  'response_schema_conformance',
]

interface Options {
  seed: number
  seconds: number
  folder: string
}

async function main(): Promise<number> {
  const { values } = parseArgs({ options: { seed: { type: 'string' }, seconds: { type: 'string', default: '60' } } })
  const seed = Number(values.seed ?? Date.now() % 2 ** 31)
  const seconds = Number(values.seconds)
  console.log(`seed ${seed}: npm run contract -- --seed ${seed} --seconds ${seconds}`)
  const folder = await mkdtemp(join(tmpdir(), 'tollgate-contract-'))
  const stripe = await startStripe()
  try {
    const python = process.env.CONTRACT_PYTHON ?? (await installPython(join(folder, 'venv'), PACKAGES))
    const { result: problems, findings } = await withStage(
      (upstream) => configOf(upstream, stripe.url),
      async (stage) => {
        const failed = await generate(stage, stripe, python, { seed, seconds, folder })
        return [...failed, ...(await unforeseen(stage))]
      },
    )
    for (const problem of problems) console.log(`\nBROKEN: ${problem}`)
    console.log(`\n${problems.length} promises broken; the audit finds ${findings} differences; seed ${seed}`)
    return problems.length === 0 && findings === 0 ? 0 : 1
  } finally {
    await stripe.close()
    await rm(folder, { recursive: true, force: true })
  }
}

function configOf(upstreamUrl: string, stripeUrl: string): string {
  return configFor(upstreamUrl, {
    router_settings: { num_retries: 0 },
    tollgate: {
      limits: { unknown_keys_per_minute: 1_000_000 },
      credits: { add: 'payment' },
      public_url: 'https://gate.example.com',
      stripe: { secret_key: 'sk_test_scripted', webhook_secret: WEBHOOK_SECRET, api_base: stripeUrl },
    },
  })
}

/** What schemathesis found; none where it found nothing. */
async function generate(stage: Stage, stripe: ScriptedStripe, python: string, options: Options): Promise<string[]> {
  const { seed, seconds, folder } = options
  const seeded = await seedRoles(stage, stripe)
  const limits = ['--max-time', `${seconds}`, '--seed', `${seed}`, '--max-examples', '25', '--workers', '1']
  const generation = ['--phases', 'examples,coverage,fuzzing', '--generation-with-security-parameters', 'false']
  const rest = ['--continue-on-failure', '--generation-database', 'none', '--warnings', 'off', '--no-color']
  await writeFile(join(folder, 'schemathesis.toml'), SETTINGS)
  const args = ['-m', 'schemathesis.cli', 'run', `${stage.tollgate.url}/openapi.json`, '--checks', CHECKS.join(',')]
  // A stream without an end: schemathesis waits for the whole of an answer.
  args.push('--exclude-path', '/api/v1/events')
  const env = { SCHEMATHESIS_HOOKS: HOOKS, TOLLGATE_CONTRACT: JSON.stringify({ ...seeded, seed }), PYTHONHASHSEED: '0' }
  try {
    const output = await runProgram(python, [...args, ...limits, ...generation, ...rest], { env, cwd: folder })
    process.stdout.write(output.slice(output.lastIndexOf('Test cases:')))
    return []
  } catch (error) {
    return [(error as Error).message]
  }
}

/** Errors that were thrown and nobody foresaw, by the server's own count. */
async function unforeseen({ tollgate }: Stage): Promise<string[]> {
  const metrics = await (await fetch(`${tollgate.url}/metrics`)).text()
  const counts = [/^tollgate_unowned_errors_total (\S+)$/m, /^tollgate_errors_total\{code="internal_error"\} (\S+)$/m]
  return counts.flatMap((line) => {
    const [text, count] = line.exec(metrics) ?? ['', '0']
    return Number(count) === 0 ? [] : [text]
  })
}

process.exitCode = await main()
