/** A recorded exchange with a provider, and what it is known to mean. Recordings are read from a folder given; none is kept here. */
import { readdir, readFile } from 'node:fs/promises'
import { basename, join } from 'node:path'

export interface Recording {
  /** `openai/st_logprobs` */
  name: string
  provider: string
  /** Null where the request was not recorded. */
  request: Record<string, unknown> | null
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
  text: string
  tool_calls: { name: string; arguments: unknown }[]
  native_finish: string
}

export interface OracleUsage {
  /** Cached and written tokens included. */
  input_tokens: number
  cache_read: number
  cache_write: number
  /** Reasoning included. */
  output_tokens: number
  reasoning: number
  total: number
}

interface RecordingFile {
  provider?: string
  request?: { body?: unknown; model_hint?: unknown }
  response?: { status?: number; headers?: Record<string, string>; body?: unknown; body_raw?: string; sse?: string }
  oracle?: Oracle
}

/** All recordings of a folder; of a folder of folders, those of each. */
export async function readRecordings(folder: string): Promise<Recording[]> {
  const entries = (await readdir(folder, { withFileTypes: true })).sort((a, b) => a.name.localeCompare(b.name))
  const read = entries.map(async (entry): Promise<Recording[]> => {
    const path = join(folder, entry.name)
    if (entry.isDirectory()) return readRecordings(path)
    if (!entry.name.endsWith('.json')) return []
    const recording = parse(JSON.parse(await readFile(path, 'utf8')), basename(folder), basename(entry.name, '.json'))
    return recording === null ? [] : [recording]
  })
  return (await Promise.all(read)).flat()
}

function parse(file: RecordingFile | RecordingFile[], folder: string, name: string): Recording | null {
  if (Array.isArray(file) || file.response?.status === undefined) return null
  const { status, headers = {}, body, body_raw: raw, sse } = file.response
  const text = sse ?? raw ?? (typeof body === 'string' ? body : JSON.stringify(body))
  return {
    name: `${folder}/${name}`,
    provider: file.provider ?? folder,
    request: requestOf(file),
    status,
    headers: sentHeaders(headers, sse !== undefined),
    body: Buffer.from(text),
    stream: sse !== undefined || (file.request?.body as { stream?: unknown } | null)?.stream === true,
    oracle: file.oracle ?? null,
  }
}

function requestOf({ request }: RecordingFile): Record<string, unknown> | null {
  const body = request?.body
  if (typeof body !== 'object' || body === null || Array.isArray(body)) return null
  return typeof request?.model_hint === 'string'
    ? { model: request.model_hint, ...body }
    : (body as Record<string, unknown>)
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
