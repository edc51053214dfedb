/** Who tries a trick: an organization of its own, a key, and ways to call the product. */
import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { type IncomingHttpHeaders, type IncomingMessage, request } from 'node:http'
import type { Ask } from './trick.ts'

export interface Seen {
  status: number
  headers: IncomingHttpHeaders
  body: string
}

export interface Actor {
  organization: string
  key: string
  /** Of all users, the actor's own first. */
  keys: readonly string[]
  /** One call, to its end or to where the caller leaves. */
  call(ask: Ask): Promise<Seen>
  /** Microcredits that the organization was charged so far. */
  charged(): Promise<bigint>
  /** POST to another path. */
  post(path: string, body: unknown): Promise<Seen>
  /** A key of a service of the actor's organization that may act as its members. */
  service(): Promise<string>
  /** Another organization, with plenty of credits for its user `bob`. */
  other(): Promise<{ organization: string; key: string }>
  /** As the operator does it: all of what a call cost is given back. */
  refund(callId: string): Promise<void>
  /** Sets the status of the organization's subscription. */
  subscribe(status: string): Promise<void>
}

/** Members of every call that is not written byte for byte. */
export const HELLO = { model: 'gpt-4o-mini', messages: [{ role: 'user', content: 'Say hello' }] }
const PATH = '/v1/chat/completions'

/** @param reached resolves when the provider has the request of the call at hand. */
export async function callProduct(url: string, key: string, ask: Ask, reached: () => Promise<unknown>): Promise<Seen> {
  const text = ask.text ?? JSON.stringify({ ...HELLO, ...ask.body })
  return send(`${url}${ask.path ?? PATH}`, ask.key ?? key, text, ask, reached)
}

export async function send(
  url: string,
  key: string,
  text: string | Buffer,
  { headers = {}, leaveAfter }: Ask,
  reached: () => Promise<unknown> = async () => {},
): Promise<Seen> {
  const outgoing = request(url, {
    method: 'POST',
    agent: false,
    headers: {
      'content-type': 'application/json',
      authorization: `Bearer ${key}`,
      'x-request-id': randomUUID(),
      ...headers,
    },
  })
  // Who leaves has its socket reset; what came of the call is read in the books.
  outgoing.on('error', () => {})
  outgoing.end(text)
  if (leaveAfter === 0) {
    await reached()
    outgoing.socket?.resetAndDestroy()
    return { status: 0, headers: {}, body: '' }
  }
  const [incoming] = (await once(outgoing, 'response')) as [IncomingMessage]
  const body = await readUntil(incoming, leaveAfter ?? Number.POSITIVE_INFINITY)
  if (leaveAfter !== undefined) outgoing.socket?.resetAndDestroy()
  return { status: incoming.statusCode ?? 0, headers: incoming.headers, body }
}

function readUntil(incoming: IncomingMessage, frames: number): Promise<string> {
  return new Promise((resolve) => {
    let body = ''
    incoming.setEncoding('utf8')
    incoming.on('error', () => resolve(body))
    incoming.on('close', () => resolve(body))
    incoming.on('data', (text: string) => {
      body += text
      if (frames < Number.POSITIVE_INFINITY && body.split('\n\n').length > frames) resolve(body)
    })
  })
}
