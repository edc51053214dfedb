/** Buys credits on a checkout page of Stripe. They are added once Stripe has confirmed the payment to the webhook. */
import { createHash } from 'node:crypto'
import { z } from '@hono/zod-openapi'
import { CREDIT_PACKAGES } from '../../billing/credit-packages.ts'
import { findLedgerId } from '../../billing/stripe-event.ts'
import { TollgateError } from '../../http/errors.ts'
import type { Caller } from '../../identity/caller.ts'
import { findRemaining } from '../../reports/caller-credits.ts'
import { exactNumberSchema } from '../exact-number-schema.ts'
import { creditNumber } from '../org-billing/amounts.ts'
import { type Route, route } from '../route.ts'
import { noStripe } from '../webhooks/stripe.ts'
import type { LlmDependencies } from './dependencies.ts'

const VALID = '[10.0, 50.0, 100.0]'

const purchase = z
  .object({
    success: z.literal(true),
    status: z.literal('requires_payment'),
    checkout_url: z.string().openapi({ description: "Stripe's page where the buyer pays." }),
    transaction_id: z.string(),
    credits: z.number().openapi({ description: 'How many credits will be added after the payment.' }),
    credits_added: z.literal(0).openapi({ description: 'Always 0: nothing is added before the payment.' }),
    new_balance: exactNumberSchema.openapi({ description: 'The balance now.' }),
  })
  .openapi('CreditPurchase')

const page = z
  .url({ protocol: /^https?$/ })
  .max(2_000)
  .optional()

export function purchaseRoute({ reports, stripe, config }: LlmDependencies): Route {
  return route({
    method: 'post',
    path: '/api/v1/llm/credits/purchase',
    may: 'credits:purchase',
    summary: 'Buy credits for your organization',
    description: '$10 buys 10,000 credits, $50 buys 55,000, $100 buys 120,000. The response names the page to pay on.',
    body: z.object({
      amount: z.union([z.number(), z.string()], { error: `Invalid amount. Valid amounts: ${VALID}` }),
      stripe_token: z
        .string()
        .max(500)
        .optional()
        .openapi({ description: 'Not used: the buyer pays on a page of Stripe.' }),
      success_url: page.openapi({
        description:
          'Where the buyer goes after paying. `/docs` of tollgate.public_url by default; required where the operator set none.',
      }),
      cancel_url: page.openapi({ description: 'Where a buyer who does not pay is sent.' }),
    }),
    returns: purchase,
    errors: {
      400: 'The amount is not sold, or no page is named to go to after paying.',
      501: 'Credits are not sold here.',
    },
    async handle({ caller, body, headers }) {
      const cents = centsOf(String(body.amount))
      const credits = cents === null ? undefined : CREDIT_PACKAGES.get(cents)
      if (cents === null || credits === undefined)
        throw new TollgateError(400, 'invalid_amount', `Invalid amount. Valid amounts: ${VALID}`, { param: 'amount' })
      if (stripe === null) throw noStripe()
      // Never the host of the request: its sender chooses that.
      const own = config.publicUrl === null ? null : `${config.publicUrl}/docs`
      const successUrl = body.success_url ?? own
      if (successUrl === null) throw noWayBack()
      const checkout = await stripe.openCheckout({
        organizationId: caller.organizationId,
        userId: caller.userId,
        ledgerId: await findLedgerId(reports),
        cents,
        credits,
        successUrl,
        cancelUrl: body.cancel_url ?? own,
        idempotencyKey: keyOf(caller, headers['idempotency-key']),
      })
      return {
        success: true as const,
        status: 'requires_payment' as const,
        checkout_url: checkout.url,
        transaction_id: checkout.id,
        credits,
        credits_added: 0 as const,
        new_balance: creditNumber((await findRemaining(reports, caller)) ?? '0'),
      }
    },
  })
}

/** Reads `10` or `10.00` exactly, without rounding. Null where the amount is not a whole number of cents. */
function centsOf(amount: string): number | null {
  const [, whole = '', cents = ''] = /^(\d{1,9})(?:\.(\d{1,2})0*)?$/.exec(amount) ?? []
  return whole === '' ? null : Number(whole + cents.padEnd(2, '0'))
}

/** All callers' idempotency keys are in one account at Stripe, so each is bound to its caller. */
function keyOf({ organizationId, userId }: Caller, key: unknown): string | null {
  if (typeof key !== 'string') return null
  return createHash('sha256')
    .update(JSON.stringify([organizationId, userId, key]))
    .digest('hex')
}

function noWayBack(): TollgateError {
  return new TollgateError(
    400,
    'success_url_missing',
    'Send "success_url", the page where the buyer goes after paying. The operator can set tollgate.public_url instead.',
    { param: 'success_url' },
  )
}
