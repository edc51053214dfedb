/** The product itself, as its operator starts it, in front of the benchmark's provider. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { MODELS, PRICES } from './provider-answers.ts'
import type { Workspace } from './workspace.ts'

const MAIN = fileURLToPath(new URL('../src/main.ts', import.meta.url))
/** What it wrote last is enough to say why it broke. */
const OUTPUT_MAX = 4_000

export interface ProxyOptions {
  databaseUrl: string
  /** Origin of the provider. */
  upstream: string
  /** For Node itself. */
  nodeFlags: string[]
  /** How many files and sockets it may have open; as many as this process where it is left out. */
  descriptors?: number
  /** On top of what every proxy here is given. */
  env?: Readonly<Record<string, string>>
}

export interface RunningProxy {
  /** http://127.0.0.1:PORT */
  origin: string
  pid: number
  /** What it logged: warnings and worse. */
  log(): string
  /** SIGTERM: it drains and ends. Returns its exit code. */
  stop(): Promise<number | null>
}

/** Stopped with the workspace. @throws when it ends before it listens, with what it wrote. */
export async function startProxy(
  workspace: Workspace,
  { databaseUrl, upstream, nodeFlags, descriptors, env = {} }: ProxyOptions,
): Promise<RunningProxy> {
  const directory = join(workspace.directory, 'proxy')
  await mkdir(directory, { recursive: true })
  const config = join(directory, 'config.yaml')
  await writeFile(config, configFor(upstream))
  const { PATH = '', HOME = '', TMPDIR = '/tmp' } = process.env
  const args = [...nodeFlags, MAIN, 'start', '--config', config, '--port', '0', '--log-level', 'warn']
  const limited = descriptors === undefined ? [] : ['prlimit', `--nofile=${descriptors}`]
  const [command, ...rest] = [...limited, process.execPath, ...args] as [string, ...string[]]
  const child = spawn(command, rest, {
    cwd: directory,
    env: {
      PATH,
      HOME,
      TMPDIR,
      NODE_ENV: 'production',
      DATABASE_URL: databaseUrl,
      BENCH_UPSTREAM_KEY: 'sk-bench-upstream',
      // So that its webhooks are read.
      STRIPE_SECRET_KEY: 'sk_test_bench',
      STRIPE_WEBHOOK_SECRET: 'whsec_bench',
      TOLLGATE_MASTER_KEY: 'sk-bench-0f1e2d3c4b5a69788796a5b4c3d2e1f0',
      TOLLGATE_ROOT_KEY: '2Zk0c8xZ1s7uXo4mQ9vYb3TfLhR6eWjK5aNdPgUiVqM=',
      ...env,
    },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  let [log, stopping] = ['', false]
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    log = `${log}${text}`.slice(-OUTPUT_MAX)
  })
  const exited = once(child, 'close').then(([code]) => {
    if (!stopping) process.stderr.write(`\nThe proxy ended with ${code}:\n${log}\n`)
    return code as number | null
  })
  const stop = () => {
    stopping = true
    child.kill('SIGTERM')
    return exited
  }
  workspace.defer(stop)
  const url = new Promise<string>((resolve) => {
    let output = ''
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      output += text
      const found = /^Tollgate \S+ on (http:\/\/\S+)$/m.exec(output)?.[1]
      if (found !== undefined) resolve(found)
    })
  })
  const failed = exited.then((code) => {
    throw new Error(`the proxy ended with ${code} before it listened`)
  })
  return {
    origin: await Promise.race([url, failed]),
    pid: child.pid ?? 0,
    log: () => log.trim(),
    stop,
  }
}

/** As YAML, not JSON: prices are written out, so that no float comes near them. */
function configFor(upstream: string): string {
  const models = Object.entries(MODELS).map(
    ([name, model]) => `
  - model_name: ${name}
    litellm_params:
      model: ${model}
      api_base: ${upstream}/v1
      api_key: os.environ/BENCH_UPSTREAM_KEY
      input_cost_per_token: ${PRICES.input_cost_per_token}
      output_cost_per_token: ${PRICES.output_cost_per_token}
    model_info:
      id: ${name}-deployment`,
  )
  return `model_list:${models.join('')}\n`
}
