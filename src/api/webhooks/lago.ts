/** POST /api/v1/webhooks/lago: what Lago says of subscriptions. A webhook is accepted only with its signature over its exact bytes. */
import { z } from '@hono/zod-openapi'
import type { SharedBytes } from '../../admission/shared-bytes.ts'
import { bookLagoWebhook, type LagoDependencies } from '../../billing/lago-event.ts'
import { isFromLago } from '../../billing/lago-signature.ts'
import { TollgateError } from '../../http/errors.ts'
import { readBody } from '../../http/read-body.ts'
import { Reply } from '../reply.ts'
import type { Route } from '../route.ts'

const BYTES_MAX = 1024 * 1024
const SILENT_MS = 10_000

export interface LagoRouteDependencies extends LagoDependencies {
  webhookKey: string
}

const time = z.iso.datetime({ offset: true })
const webhook = z.object({
  webhook_type: z.string(),
  subscription: z
    .object({
      lago_id: z.string(),
      external_customer_id: z.string(),
      plan_code: z.string().max(255),
      created_at: time,
      terminated_at: time.nullish(),
      next_plan_code: z.string().nullish(),
      current_billing_period_started_at: time.nullish(),
      current_billing_period_ending_at: time.nullish(),
    })
    .optional(),
})

/** @param lago null where no consumer of Lago has a key for its webhooks. */
export function lagoRoute(lago: LagoRouteDependencies | null, memory: SharedBytes): Route {
  return {
    method: 'post',
    path: '/api/v1/webhooks/lago',
    may: null,
    summary: 'What Lago says of subscriptions',
    description:
      'The header X-Lago-Signature holds the HMAC of the body. A subscription that starts, changes or ends changes the plan of the organization it is of; webhooks may come twice and in any order.',
    returns: z.object({
      status: z.literal('received'),
      event_type: z.string(),
      outcome: z.enum(['changed', 'unchanged', 'ignored']),
    }),
    errors: {
      400: 'The body is no webhook of Lago.',
      401: 'The signature is missing or wrong.',
      501: 'Webhooks of Lago are not set up.',
    },
    async respond({ incoming }) {
      if (lago === null) throw notSetUp()
      const { reserve, release } = memory.open()
      try {
        const body = await readBody(incoming, { limit: BYTES_MAX, silentMs: SILENT_MS, reserve })
        const signature = incoming.headers['x-lago-signature']
        if (typeof signature !== 'string' || !isFromLago(body, signature, lago.webhookKey)) throw unsigned()
        const parsed = webhook.safeParse(jsonOf(body))
        if (!parsed.success) throw new TollgateError(400, 'invalid_webhook', 'The body is no webhook of Lago.')
        const outcome = await bookLagoWebhook(lago, parsed.data)
        return new Reply({ status: 'received', event_type: parsed.data.webhook_type, outcome })
      } finally {
        release()
      }
    },
  }
}

function jsonOf(body: Buffer): unknown {
  try {
    return JSON.parse(body.toString('utf8'))
  } catch {
    throw new TollgateError(400, 'invalid_webhook', 'Invalid JSON payload')
  }
}

function unsigned(): TollgateError {
  const message = 'Invalid signature. Let Lago sign its webhooks by HMAC, and set the key that it shows for them.'
  return new TollgateError(401, 'invalid_signature', message)
}

function notSetUp(): TollgateError {
  const message =
    'Webhooks of Lago are not taken: the operator has set no webhook_key for its consumer in tollgate.outbox.'
  return new TollgateError(501, 'lago_not_configured', message, { headers: { 'x-should-retry': 'false' } })
}
