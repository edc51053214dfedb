/** One recording through the running product: the scripted provider plays it, a plain HTTP client receives what comes out. */
import { once } from 'node:events'
import { type IncomingHttpHeaders, type IncomingMessage, request } from 'node:http'
import type { Split } from '../support/splits.ts'
import type { ReceivedRequest, ScriptedUpstream } from '../support/upstream.ts'
import type { Recording } from './recording.ts'
import { sentRequest } from './request.ts'

/** How a recording is played. */
export interface Variant {
  name: string
  split: Split
  /** Streams only: whether the caller asks for the usage frame. */
  includeUsage: boolean
}

export interface Replayed {
  /** The caller's request, and what of it reached the provider; null where the provider was not called once. */
  sent: Record<string, unknown>
  received: ReceivedRequest | null
  status: number
  headers: IncomingHttpHeaders
  body: Buffer
  /** What GET /v1/calls/{call_id} says afterwards. */
  call: Record<string, unknown> | null
  /** What POST /v1/quotes said before; the call went out with that quote. */
  quote: Record<string, unknown>
}

export interface Replayer {
  url: string
  key: string
  upstream: ScriptedUpstream
}

export async function replay(replayer: Replayer, recording: Recording, variant: Variant): Promise<Replayed> {
  const { status, headers, body } = recording
  replayer.upstream.respond({ status, headers, frames: [body], split: variant.split })
  const sent = sentRequest(recording, variant.includeUsage)
  const { requests } = replayer.upstream
  const before = requests.length
  const text = Buffer.from(JSON.stringify(sent))
  const quoted = await send(replayer, 'POST', '/v1/quotes', text)
  const quote = JSON.parse(quoted.body.toString()) as Record<string, unknown>
  const id = typeof quote.quote_id === 'string' ? { 'x-tollgate-quote': quote.quote_id } : {}
  const answer = await send(replayer, 'POST', '/v1/chat/completions', text, id)
  const received = requests.length === before + 1 ? (requests.at(-1) ?? null) : null
  const callId = String(answer.headers['x-litellm-call-id'])
  const call = await send(replayer, 'GET', `/v1/calls/${callId}`)
  const found = call.status === 200 ? (JSON.parse(call.body.toString()) as Record<string, unknown>) : null
  return { ...answer, sent, received, call: found, quote }
}

async function send(
  { url, key }: Replayer,
  method: string,
  path: string,
  body?: Buffer,
  headers: Record<string, string> = {},
): Promise<Pick<Replayed, 'status' | 'headers' | 'body'>> {
  const outgoing = request(`${url}${path}`, {
    method,
    headers: {
      ...headers,
      authorization: `Bearer ${key}`,
      ...(body === undefined ? {} : { 'content-type': 'application/json', 'content-length': body.length }),
    },
  })
  outgoing.end(body)
  const [incoming] = (await once(outgoing, 'response')) as [IncomingMessage]
  const chunks: Buffer[] = []
  for await (const chunk of incoming) chunks.push(chunk as Buffer)
  return { status: incoming.statusCode ?? 0, headers: incoming.headers, body: Buffer.concat(chunks) }
}
