/** POST /api/v1/webhooks/stripe: events of Stripe about payments. An event is accepted only with Stripe's signature over its exact bytes. */
import { z } from '@hono/zod-openapi'
import { createSharedBytes, type SharedBytes } from '../../admission/shared-bytes.ts'
import type { StripePayments } from '../../billing/stripe.ts'
import { bookStripeEvent } from '../../billing/stripe-event.ts'
import type { Config } from '../../config/config.ts'
import type { Database } from '../../db/connect.ts'
import { TollgateError } from '../../http/errors.ts'
import { readBody } from '../../http/read-body.ts'
import { Reply } from '../reply.ts'
import type { Route } from '../route.ts'
import type { Surface } from '../surface.ts'
import { type LagoRouteDependencies, lagoRoute } from './lago.ts'

const BYTES_MAX = 1024 * 1024
const SILENT_MS = 10_000
/** How many bytes all of them may hold at once, beyond the first 64 kB of each: anybody can send one. */
const BYTES_AT_ONCE = 8 * 1024 * 1024

export interface WebhookDependencies {
  reports: Database
  /** Null without STRIPE_SECRET_KEY. */
  stripe: StripePayments | null
  config: Pick<Config, 'billing' | 'outbox'>
}

export function createWebhookSurface(deps: WebhookDependencies): Surface {
  const memory = createSharedBytes(BYTES_AT_ONCE, 'webhook_memory')
  return {
    name: 'Webhooks',
    description: 'For payment and billing providers.',
    invalidStatus: 422,
    routes: [stripeRoute(deps, memory), lagoRoute(lagoOf(deps), memory)],
  }
}

/** The consumer whose webhooks are signed: the first one. */
function lagoOf({ reports, config }: WebhookDependencies): LagoRouteDependencies | null {
  for (const { receiver } of config.outbox) {
    if (receiver.kind !== 'lago' || receiver.webhookKey === null) continue
    const { plans, webhookKey } = receiver
    return { database: reports, prices: config.billing.planPrices, plans, webhookKey }
  }
  return null
}

function stripeRoute({ reports, stripe }: WebhookDependencies, memory: SharedBytes): Route {
  return {
    method: 'post',
    path: '/api/v1/webhooks/stripe',
    may: null,
    summary: 'Events of Stripe about payments',
    description:
      'The header Stripe-Signature holds the signature. Each payment is booked once, even if events come twice or out of order.',
    returns: z.object({ status: z.literal('received'), outcome: z.enum(['booked', 'known', 'ignored']) }),
    errors: {
      400: 'The signature is missing or wrong.',
      409: 'The event is about a payment that is not booked yet: send it again later.',
      501: 'Stripe is not set up.',
    },
    async respond({ incoming }) {
      if (stripe === null) throw noStripe()
      const signature = incoming.headers['stripe-signature']
      const { reserve, release } = memory.open()
      try {
        const body = await readBody(incoming, { limit: BYTES_MAX, silentMs: SILENT_MS, reserve })
        const event = stripe.readEvent(body, typeof signature === 'string' ? signature : '')
        const outcome = await bookStripeEvent({ database: reports, metadataOf: stripe.metadataOf }, event)
        return new Reply({ status: 'received', outcome })
      } finally {
        release()
      }
    },
  }
}

export function noStripe(): TollgateError {
  return new TollgateError(
    501,
    'payments_not_configured',
    'Credits are not sold here: the operator has not set STRIPE_SECRET_KEY. Ask the operator to add credits.',
    { headers: { 'x-should-retry': 'false' } },
  )
}
