/**
 * Other proxies, as their makers say they are to be run: installed once in a folder outside the repository, each started in front of
 * the benchmark's provider. None of them keeps prepaid books in these settings; what they do is pass a call on.
 */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { type AddressInfo, createServer } from 'node:net'
import { availableParallelism, tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { request } from 'undici'
import { installPython } from '../test/support/python.ts'
import { runProgram } from '../test/support/run-program.ts'
import type { Workspace } from './workspace.ts'

const PORTKEY = '@portkey-ai/gateway@1.15.2'
const LITELLM = 'litellm[proxy]==1.108.7'
const LITELLM_KEY = 'sk-bench-9b1de7f0c2a84a5e8f6d3c7b2a190e4d'
const START_SECONDS = 120
/** What it wrote last is enough to say why it broke. */
const OUTPUT_MAX = 4_000

export interface Peer {
  name: string
  /** With its version, and how it runs. */
  described: string
  /** http://127.0.0.1:PORT */
  origin: string
  /** Of the process that started all others of it. */
  pid: number
  /** What clients must send it. */
  headers: Record<string, string>
  /** Bearer token; null: the provider's own key. */
  key: string | null
}

interface Program {
  command: string
  args: string[]
  env: Record<string, string>
}

/** Where they are installed: TOLLGATE_PEERS, or a folder in the temporary directory. */
export function peersFolder(): string {
  return process.env.TOLLGATE_PEERS ?? join(tmpdir(), 'tollgate-peers')
}

/** Portkey's gateway: one process of Node, told by headers where to send a call. */
export async function startPortkey(workspace: Workspace, upstream: string): Promise<Peer> {
  const folder = join(peersFolder(), 'portkey')
  await installedOnce(folder, PORTKEY, async () => {
    await runProgram('npm', ['install', '--no-audit', '--no-fund', '--loglevel=error', '--prefix', folder, PORTKEY])
  })
  const port = await freePort()
  const main = join(folder, 'node_modules', '@portkey-ai', 'gateway', 'build', 'start-server.js')
  const program = {
    command: process.execPath,
    args: [main, `--port=${port}`, '--headless'],
    env: { NODE_ENV: 'production', TRUSTED_CUSTOM_HOSTS: '127.0.0.1,localhost' },
  }
  const origin = `http://127.0.0.1:${port}`
  return {
    name: 'portkey',
    described: `Portkey's gateway (${PORTKEY}), one process, no books`,
    origin,
    pid: await start(workspace, program, `${origin}/`),
    headers: { 'x-portkey-provider': 'openai', 'x-portkey-custom-host': `${upstream}/v1` },
    key: null,
  }
}

/** LiteLLM's proxy: a worker for each core and logging off, as its page on production has it. Without a database it books nothing. */
export async function startLitellm(workspace: Workspace, upstream: string): Promise<Peer> {
  return startLitellmWith(workspace, litellmConfig(upstream), {
    workers: availableParallelism(),
    key: LITELLM_KEY,
    env: { BENCH_UPSTREAM_KEY: 'sk-bench-upstream' },
  })
}

/** The same with a configuration of one's own. */
export async function startLitellmWith(
  workspace: Workspace,
  config: string,
  { workers, key, env }: { workers: number; key: string; env: Record<string, string> },
): Promise<Peer> {
  const folder = join(peersFolder(), 'litellm')
  await installedOnce(folder, LITELLM, () => installPython(folder, [LITELLM]))
  const file = join(workspace.directory, 'litellm.yaml')
  await writeFile(file, config)
  const port = await freePort()
  const flags = { '--config': file, '--host': '127.0.0.1', '--port': port, '--num_workers': workers }
  const program = {
    command: join(folder, 'bin', 'litellm'),
    args: [
      ...Object.entries(flags).flatMap(([flag, value]) => [flag, `${value}`]),
      '--timeout_worker_healthcheck',
      '60',
    ],
    env: { LITELLM_MODE: 'PRODUCTION', LITELLM_LOG: 'ERROR', LITELLM_LOCAL_MODEL_COST_MAP: 'True', ...env },
  }
  const origin = `http://127.0.0.1:${port}`
  return {
    name: 'litellm',
    described: `LiteLLM's proxy (${LITELLM}), ${workers} workers, a master key, no database`,
    origin,
    pid: await start(workspace, program, `${origin}/health/liveliness`),
    headers: {},
    key,
  }
}

function litellmConfig(upstream: string): string {
  return `model_list:
  - model_name: bench
    litellm_params:
      model: openai/bench
      api_base: ${upstream}/v1
      api_key: os.environ/BENCH_UPSTREAM_KEY
      input_cost_per_token: 0.00000015
      output_cost_per_token: 0.0000006
general_settings:
  master_key: ${LITELLM_KEY}
litellm_settings:
  set_verbose: false
  json_logs: true
  request_timeout: 600
  telemetry: false
`
}

/** What was installed is written beside it: another version is installed again. */
async function installedOnce(folder: string, wanted: string, install: () => Promise<unknown>): Promise<void> {
  const note = `${folder}.installed`
  if ((await readFile(note, 'utf8').catch(() => null)) === wanted) return
  await mkdir(folder, { recursive: true })
  await install()
  await writeFile(note, wanted)
}

/** Stopped with the workspace, its children too. @throws with what it wrote where it does not answer. */
async function start(workspace: Workspace, { command, args, env }: Program, alive: string): Promise<number> {
  const { PATH = '', HOME = '' } = process.env
  const child = spawn(command, args, {
    cwd: workspace.directory,
    env: { PATH, HOME, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
    // A group of its own, so that its workers end with it.
    detached: true,
  })
  let log = ''
  for (const output of [child.stdout, child.stderr])
    output.setEncoding('utf8').on('data', (text: string) => {
      log = `${log}${text}`.slice(-OUTPUT_MAX)
    })
  const exited = once(child, 'exit')
  workspace.defer(async () => {
    if (child.pid !== undefined && child.exitCode === null) process.kill(-child.pid, 'SIGKILL')
    await exited
  })
  for (let second = 0; second < START_SECONDS; second += 1) {
    if (child.exitCode !== null) break
    const answer = await request(alive).catch(() => null)
    await answer?.body.dump()
    if (answer?.statusCode === 200) return child.pid ?? 0
    await sleep(1_000)
  }
  throw new Error(`${command} does not answer at ${alive}:\n${log}`)
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  server.close()
  await once(server, 'close')
  return port
}
