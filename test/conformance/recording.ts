/** A recorded exchange with a provider, and what it is known to mean. Recordings are read from a folder given; none is kept here. */
import { readdir, readFile, stat } from 'node:fs/promises'
import { basename, dirname, join, resolve } from 'node:path'

export interface Recording {
  /** `openai/st_logprobs` */
  name: string
  /** As the folder calls it: a provider, or one of its dialects (`gemini_openai_compat`). */
  provider: string
  /** Who served, where the address says so and the model does not: `/nebius/v1/...` of a router. */
  servedBy: string | null
  /** In the provider's own dialect; null where it was not recorded. */
  request: Record<string, unknown> | null
  /** The collector cut something out of the request: what was billed can't be told from it. */
  cutRequest: boolean
  status: number
  headers: Record<string, string>
  /** The exact bytes of the answer. */
  body: Buffer
  stream: boolean
  /** Null for answers that are errors. */
  oracle: Oracle | null
}

export interface Oracle {
  /** Null: the provider stated none. */
  usage: OracleUsage | null
  /** A long one by its fingerprint. */
  text: string | { sha256: string }
  tool_calls: { name: string; arguments: unknown }[]
  /** As the provider words it; a list where the stream said it more than once; null where it never ended. */
  native_finish: string | string[] | null
  /** What the provider said the call cost, in dollars. */
  billed_usd?: number
}

export interface OracleUsage {
  /** Cached and written tokens included. */
  input_tokens: number
  cache_read: number
  cache_write: number
  /** Inside `cache_write`. */
  cache_write_1h?: number
  /** Tokens of further models that worked on the call; not in the numbers beside this. */
  other_models?: {
    model: string
    input_tokens: number
    output_tokens: number
    cache_read_input_tokens: number
    cache_creation_input_tokens: number
  }[]
  /** Reasoning included. */
  output_tokens: number
  /** Null where the provider does not tell. */
  reasoning: number | null
  total?: number
}

interface RecordingFile {
  provider?: string
  endpoint_url?: string
  request?: { body?: unknown; model_hint?: unknown }
  response?: { status?: number; headers?: Record<string, string>; body?: unknown; body_raw?: string; sse?: string }
  oracle?: Oracle
}

/** All recordings of a folder; of a folder of folders, those of each; or a single file. */
export async function readRecordings(path: string): Promise<Recording[]> {
  if ((await stat(path)).isFile()) {
    const recording = parse(JSON.parse(await readFile(path, 'utf8')), path)
    return recording === null ? [] : [recording]
  }
  const entries = (await readdir(path, { withFileTypes: true })).sort((a, b) => a.name.localeCompare(b.name))
  const wanted = entries.filter((entry) => entry.isDirectory() || entry.name.endsWith('.json'))
  return (await Promise.all(wanted.map((entry) => readRecordings(join(path, entry.name))))).flat()
}

function parse(file: RecordingFile | RecordingFile[], path: string): Recording | null {
  if (Array.isArray(file) || file.response?.status === undefined) return null
  const folder = basename(dirname(resolve(path)))
  const { status, headers = {}, body, body_raw: raw, sse } = file.response
  const text = sse ?? raw ?? (typeof body === 'string' ? body : JSON.stringify(body))
  const request = requestOf(file)
  return {
    name: `${folder}/${basename(path, '.json')}`,
    provider: file.provider ?? folder,
    servedBy: /^https:\/\/router\.[^/]+\/([\w-]+)\/v1\/chat\//.exec(file.endpoint_url ?? '')?.[1] ?? null,
    request,
    cutRequest: /\.\.\.\[TRUNCATED|<MASSIVE_TEXT>/.test(JSON.stringify(request)),
    status,
    headers: sentHeaders(headers, sse !== undefined),
    body: Buffer.from(text),
    stream: sse !== undefined || request?.stream === true,
    oracle: file.oracle ?? null,
  }
}

function requestOf({ request }: RecordingFile): Record<string, unknown> | null {
  const body = request?.body
  if (typeof body !== 'object' || body === null || Array.isArray(body)) return null
  const hint = request?.model_hint
  // Where the model stands in the address, it comes with the method behind it.
  return typeof hint === 'string' ? { model: hint.replace(/:\w*[cC]ontent$/, ''), ...body } : { ...body }
}

/** Without what the server that replays them writes itself. */
function sentHeaders(headers: Record<string, string>, stream: boolean): Record<string, string> {
  const own = new Set(['connection', 'date', 'transfer-encoding', 'content-length', 'content-encoding', 'keep-alive'])
  const kept = Object.entries(headers).filter(([name]) => !own.has(name.toLowerCase()))
  return {
    'content-type': stream ? 'text/event-stream; charset=utf-8' : 'application/json',
    ...Object.fromEntries(kept),
  }
}
