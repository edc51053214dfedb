/** Buying credits: a checkout page at Stripe. The credits are there once Stripe has confirmed the payment to the webhook. */
import { z } from '@hono/zod-openapi'
import { CREDIT_PACKAGES } from '../../billing/credit-packages.ts'
import { findLedgerId } from '../../billing/stripe-event.ts'
import { TollgateError } from '../../http/errors.ts'
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
    credits: z.number().openapi({ description: 'What will be added once it is paid.' }),
    credits_added: z.literal(0).openapi({ description: 'Nothing is added before it is paid.' }),
    new_balance: exactNumberSchema.openapi({ description: 'The balance now.' }),
  })
  .openapi('CreditPurchase')

export function purchaseRoute({ reports, stripe }: LlmDependencies): Route {
  return route({
    method: 'post',
    path: '/api/v1/llm/credits/purchase',
    may: 'credits:purchase',
    summary: 'Buy credits for your organization',
    description: '$10 is 10,000 credits, $50 is 55,000, $100 is 120,000. The answer has the page to pay on.',
    body: z.object({
      amount: z.union([z.number(), z.string()], { error: `Invalid amount. Valid amounts: ${VALID}` }),
      stripe_token: z
        .string()
        .max(500)
        .optional()
        .openapi({ description: 'Not used: the buyer pays on a page of Stripe.' }),
      success_url: z.url().max(2_000).optional(),
      cancel_url: z.url().max(2_000).optional(),
    }),
    returns: purchase,
    errors: { 400: 'Not a sum that is sold.', 501: 'Credits are not sold here.' },
    async handle({ caller, body, headers }) {
      const cents = Math.round(Number(body.amount) * 100)
      const credits = CREDIT_PACKAGES.get(cents)
      if (credits === undefined)
        throw new TollgateError(400, 'invalid_amount', `Invalid amount. Valid amounts: ${VALID}`, { param: 'amount' })
      if (stripe === null) throw noStripe()
      const key = headers['idempotency-key']
      const origin = `http://${headers.host ?? 'localhost'}`
      const page = await stripe.openCheckout({
        organizationId: caller.organizationId,
        userId: caller.userId,
        ledgerId: await findLedgerId(reports),
        cents,
        credits,
        successUrl: body.success_url ?? `${origin}/docs`,
        cancelUrl: body.cancel_url ?? `${origin}/docs`,
        idempotencyKey:
          typeof key === 'string' ? `${caller.organizationId}/${caller.userId}/${key}`.slice(0, 255) : null,
      })
      return {
        success: true as const,
        status: 'requires_payment' as const,
        checkout_url: page.url,
        transaction_id: page.id,
        credits,
        credits_added: 0 as const,
        new_balance: creditNumber((await findRemaining(reports, caller)) ?? '0'),
      }
    },
  })
}
