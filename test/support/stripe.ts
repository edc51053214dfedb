/** A scripted Stripe on loopback: checkout sessions, payments, and webhooks signed as Stripe signs them. */
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import Stripe from 'stripe'

export const WEBHOOK_SECRET = 'whsec_scripted'

export interface ScriptedStripe {
  url: string
  /** The form of each request for a checkout session, decoded. */
  sessions: Record<string, string>[]
  /** By id, what GET /v1/payment_intents/{id} returns. */
  payments: Map<string, Record<string, unknown>>
  close(): Promise<void>
}

export async function startStripe(): Promise<ScriptedStripe> {
  const sessions: Record<string, string>[] = []
  const payments = new Map<string, Record<string, unknown>>()
  const server = createServer((request, response) => {
    const chunks: Buffer[] = []
    request.on('data', (chunk: Buffer) => chunks.push(chunk))
    request.on('end', () => {
      const reply = (status: number, body: unknown) => {
        response.writeHead(status, { 'content-type': 'application/json' })
        response.end(JSON.stringify(body))
      }
      if (request.method === 'POST' && request.url === '/v1/checkout/sessions') {
        sessions.push(Object.fromEntries(new URLSearchParams(Buffer.concat(chunks).toString())))
        const id = `cs_${randomBytes(8).toString('hex')}`
        return reply(200, { id, object: 'checkout.session', url: `https://checkout.stripe.test/${id}` })
      }
      const payment = payments.get(/^\/v1\/payment_intents\/(\w+)$/.exec(request.url ?? '')?.[1] ?? '')
      if (payment !== undefined) return reply(200, payment)
      reply(404, { error: { type: 'invalid_request_error', code: 'resource_missing', message: 'No such payment' } })
    })
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    sessions,
    payments,
    async close() {
      server.closeAllConnections()
      server.close()
      await once(server, 'close')
    },
  }
}

export interface WebhookAnswer {
  status: number
  outcome: string | undefined
}

/** What Stripe says of the session that was opened last, once it is paid. */
export function paidSession({ sessions }: ScriptedStripe, cents: number) {
  const metadata = Object.fromEntries(
    Object.entries(sessions.at(-1) ?? {}).flatMap(([name, value]) => {
      const inner = /^metadata\[(\w+)\]$/.exec(name)?.[1]
      return inner === undefined ? [] : [[inner, value]]
    }),
  )
  const payment_intent = `pi_${randomBytes(6).toString('hex')}`
  const session = {
    id: `cs_${randomBytes(8).toString('hex')}`,
    object: 'checkout.session',
    payment_status: 'paid',
    currency: 'usd',
    amount_total: cents,
    payment_intent,
    metadata,
  }
  return { session, metadata, payment_intent }
}

/** Sends an event to the product. @param secret what it is signed with. */
export async function sendEvent(
  url: string,
  type: string,
  object: Record<string, unknown>,
  secret = WEBHOOK_SECRET,
): Promise<WebhookAnswer> {
  const payload = JSON.stringify({
    id: `evt_${randomBytes(8).toString('hex')}`,
    object: 'event',
    type,
    data: { object },
  })
  const header = new Stripe('sk_test_scripted').webhooks.generateTestHeaderString({ payload, secret })
  const response = await fetch(`${url}/api/v1/webhooks/stripe`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', 'stripe-signature': header },
    body: payload,
  })
  const body = (await response.json()) as { outcome?: string }
  return { status: response.status, outcome: body.outcome }
}
