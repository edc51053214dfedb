/** The product itself, as a process of its own: started from its command line, spoken to over HTTP, stopped by a signal. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

/** The operator's key of every started process, unless its environment says otherwise. */
export const MASTER_KEY = 'sk-4f7c1e9b2d6a8053c9e1b7f4a2d8063e5b'
/** Seals provider keys, unless the environment says otherwise. */
export const ROOT_KEY = '2Zk0c8xZ1s7uXo4mQ9vYb3TfLhR6eWjK5aNdPgUiVqM='
/** What the provider is sent by models of `configFor`. */
export const UPSTREAM_KEY = 'sk-test-upstream'

const PROGRAM = fileURLToPath(new URL('../../', import.meta.url))

export interface StartOptions {
  databaseUrl: string
  /** config.yaml's text; see configFor. */
  config: string
  /** On top of DATABASE_URL, TOLLGATE_MASTER_KEY and SCRIPTED_API_KEY (what configFor's models use). Nothing else is inherited but PATH, HOME and TMPDIR. */
  env?: Record<string, string>
  /** Flags of `start`. */
  flags?: string[]
  /** The folder of another program than this one; see program-copy.ts. */
  program?: string
  /** Nobody reads its standard error. */
  unreadLog?: boolean
}

export interface Tollgate {
  /** http://127.0.0.1:PORT */
  url: string
  pid: number
  /** Sends the signal (SIGTERM unless stated) and resolves to the exit code once the process is gone; null where a signal killed it. */
  stop(signal?: NodeJS.Signals): Promise<number | null>
  /** Resolves to the exit code once the process is gone, whatever ended it. */
  exited: Promise<number | null>
  /** Everything it wrote to standard output and standard error. */
  output(): string
  /** Resolves once the output matches, at once where it does already. Rejects when the process ends first. */
  outputMatches(pattern: RegExp): Promise<RegExpExecArray>
  /** SIGSTOP, SIGCONT: what leaves it there. */
  send(signal: NodeJS.Signals): void
  /** SIGKILL. */
  kill(): void
}

/** Resolves when the banner is out. @throws when the process ends before, with what it wrote. */
export async function startTollgate(options: StartOptions): Promise<Tollgate> {
  const { databaseUrl, config, env = {}, flags = [], program = PROGRAM, unreadLog = false } = options
  const directory = await mkdtemp(join(tmpdir(), 'tollgate-process-'))
  const file = join(directory, 'config.yaml')
  await writeFile(file, config)
  const { PATH = '', HOME = '', TMPDIR = '/tmp' } = process.env
  const args = ['start', '--port', '0', '--config', file, '--log-level', 'info', ...flags]
  const child = spawn(process.execPath, [join(program, 'src/main.ts'), ...args], {
    cwd: directory,
    env: {
      PATH,
      HOME,
      TMPDIR,
      TOLLGATE_MASTER_KEY: MASTER_KEY,
      TOLLGATE_ROOT_KEY: ROOT_KEY,
      SCRIPTED_API_KEY: UPSTREAM_KEY,
      DATABASE_URL: databaseUrl,
      ...env,
    },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  let output = ''
  const collect = (text: string) => {
    output += text
    child.emit('output')
  }
  child.stdout.setEncoding('utf8').on('data', collect)
  if (!unreadLog) child.stderr.setEncoding('utf8').on('data', collect)
  const unguard = guard(child.pid ?? 0, directory)
  const exited = once(child, unreadLog ? 'exit' : 'close').then(async ([code]) => {
    unguard()
    await rm(directory, { recursive: true, force: true })
    return code as number | null
  })

  function outputMatches(pattern: RegExp): Promise<RegExpExecArray> {
    return new Promise((resolve, reject) => {
      const look = () => {
        const match = pattern.exec(output)
        if (match === null) return
        child.off('output', look)
        resolve(match)
      }
      child.on('output', look)
      exited.then(
        (code) => reject(new Error(`tollgate ended with ${code} before ${pattern} was in:\n${output}`)),
        reject,
      )
      look()
    })
  }

  const [, url = ''] = await outputMatches(/^Tollgate \S+ on (http:\/\/\S+)$/m)
  return {
    url,
    pid: child.pid ?? 0,
    async stop(signal = 'SIGTERM') {
      child.kill(signal)
      return exited
    },
    exited,
    output: () => output,
    outputMatches,
    send: (signal) => void child.kill(signal),
    kill: () => void child.kill('SIGKILL'),
  }
}

/**
 * A run that is interrupted or killed leaves no process behind, not even one that is stopped by a signal and hears of nothing: its
 * end closes the guard's standard input.
 */
function guard(pid: number, directory: string): () => void {
  const script = 'read -r _; kill -KILL "$0"; rm -rf "$1"'
  const watcher = spawn('sh', ['-c', script, `${pid}`, directory], {
    stdio: ['pipe', 'ignore', 'ignore'],
    detached: true,
  })
  watcher.unref()
  return () => void watcher.kill('SIGKILL')
}

/** A model of config.yaml, in LiteLLM's words. */
export interface ModelEntry {
  model_name: string
  litellm_params: Record<string, unknown>
  model_info?: Record<string, unknown>
}

export interface ExtraConfig {
  /** On top of `gpt-4o-mini` and `exact`. */
  models?: readonly ModelEntry[]
  tollgate?: Record<string, unknown> & { limits?: Record<string, unknown> }
  router_settings?: Record<string, unknown>
  litellm_settings?: Record<string, unknown>
  general_settings?: Record<string, unknown>
}

/**
 * A config.yaml (as JSON, which YAML contains) of models served by the scripted upstream: `gpt-4o-mini` at its listed price
 * ($0.15 in, $0.60 out a million tokens), `gpt-4o` ($2.50, $10), `o4-mini` ($1.10, $4.40; reasons), and `exact`: input free,
 * output $0.00002 a token, so that on the platform plan (50 % markup) 100 output tokens are held and charged at 3 credits. An answer
 * waits for its booking however busy the machine is, unless the test is about that: `booking_wait_seconds`.
 */
export function configFor(upstreamUrl: string, { models = [], tollgate, ...sections }: ExtraConfig = {}): string {
  const own = [
    modelOn(upstreamUrl, 'gpt-4o-mini'),
    modelOn(upstreamUrl, 'gpt-4o'),
    modelOn(upstreamUrl, 'o4-mini'),
    modelOn(upstreamUrl, 'exact', { input_cost_per_token: 0, output_cost_per_token: 0.00002 }),
  ]
  const limits = { booking_wait_seconds: 20, ...tollgate?.limits }
  // A test file asks more in a minute than a person does.
  const rate_limits = { post_per_minute: 100_000, get_per_minute: 100_000, change_per_minute: 100_000 }
  return JSON.stringify(
    { model_list: [...own, ...models], ...sections, tollgate: { rate_limits, ...tollgate, limits } },
    null,
    2,
  )
}

/** `id` of its deployment is `<name>-scripted` unless `params` are of a second one: then give `model_info` yourself. */
export function modelOn(upstreamUrl: string, name: string, params: Record<string, unknown> = {}): ModelEntry {
  return {
    model_name: name,
    litellm_params: {
      model: `openai/${name}`,
      api_base: upstreamUrl,
      api_key: 'os.environ/SCRIPTED_API_KEY',
      ...params,
    },
    model_info: { id: `${name}-scripted` },
  }
}

/** A second deployment of the same name. */
export function another(entry: ModelEntry): ModelEntry {
  return { ...entry, model_info: { ...entry.model_info, id: `${entry.model_name}-another` } }
}

export interface CallAnswer {
  status: number
  headers: Headers
  /** The body as it came. */
  body: string
  /** The body parsed; only look where it is JSON. */
  json(): Record<string, unknown>
}

/** POST /v1/chat/completions (or another path), the answer read to its end. A string body goes out as it is. */
export async function postChat(
  tollgate: Pick<Tollgate, 'url'>,
  key: string | null,
  body: unknown,
  { headers = {}, path = '/v1/chat/completions' }: { headers?: Record<string, string>; path?: string } = {},
): Promise<CallAnswer> {
  const answer = await fetch(`${tollgate.url}${path}`, {
    method: 'POST',
    headers: {
      'content-type': 'application/json',
      ...(key === null ? {} : { authorization: `Bearer ${key}` }),
      ...headers,
    },
    body: typeof body === 'string' ? body : JSON.stringify(body),
  })
  const text = await answer.text()
  return { status: answer.status, headers: answer.headers, body: text, json: () => JSON.parse(text) }
}

/** A GET with a key. */
export async function get(tollgate: Pick<Tollgate, 'url'>, key: string | null, path: string): Promise<CallAnswer> {
  const headers: Record<string, string> = key === null ? {} : { authorization: `Bearer ${key}` }
  const answer = await fetch(`${tollgate.url}${path}`, { headers })
  const text = await answer.text()
  return { status: answer.status, headers: answer.headers, body: text, json: () => JSON.parse(text) }
}
