/** Signed webhooks as Standard Webhooks has them (standardwebhooks.com): any library that reads those can verify ours. */
import { createHmac } from 'node:crypto'
import type { Post } from './post.ts'
import type { OutboxEvent } from './read-events.ts'
import type { Sink } from './sink.ts'

export interface WebhookSettings {
  url: string
  /** Keys, the newest first: each signs, so that a receiver can change from one to the next. */
  secrets: readonly Uint8Array[]
  types: readonly string[]
}

export function createWebhookSink({ url, secrets, types }: WebhookSettings, post: Post, now: () => Date): Sink {
  return {
    types,
    mostAtOnce: 1,
    async send(events) {
      for (const event of events) {
        const body = JSON.stringify(payloadOf(event))
        const timestamp = String(Math.floor(now().getTime() / 1000))
        await post.deliver({
          url,
          headers: {
            'content-type': 'application/json',
            'webhook-id': event.id,
            'webhook-timestamp': timestamp,
            'webhook-signature': secrets.map((secret) => signatureOf(secret, event.id, timestamp, body)).join(' '),
          },
          body,
        })
      }
    },
    close: () => post.close(),
  }
}

export interface Payload {
  type: string
  /** When it happened. */
  timestamp: string
  data: Record<string, unknown>
}

/** What is told of an event, whatever the receiver. */
export function payloadOf({ type, at, organizationId, userId, data }: OutboxEvent): Payload {
  return { type, timestamp: at.toISOString(), data: { organization_id: organizationId, user_id: userId, ...data } }
}

function signatureOf(secret: Uint8Array, id: string, timestamp: string, body: string): string {
  return `v1,${createHmac('sha256', secret).update(`${id}.${timestamp}.${body}`).digest('base64')}`
}
