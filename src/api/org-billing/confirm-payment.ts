/** Asks Stripe whether the payment that an organization admin names has paid for the credits. */
import { creditsFor } from '../../billing/credit-packages.ts'
import type { Payment } from '../../billing/payments.ts'
import { TollgateError } from '../../http/errors.ts'
import { parseDecimal } from '../../metering/money.ts'
import { noStripe } from '../webhooks/stripe.ts'
import type { OrgBillingDependencies } from './dependencies.ts'

interface Wanted {
  id: string
  credits: string
  /** Dollars. */
  amount: string
}

/**
 * Checks that the payment succeeded, was made for this organization, is at least the stated amount, and buys as many credits.
 * @throws {TollgateError} 402, 422; 501 without Stripe; 503.
 */
export async function confirmPayment(
  { stripe }: OrgBillingDependencies,
  { id: organizationId, credits, amount }: Wanted,
  paymentId: string | undefined,
): Promise<Omit<Payment, 'userId'>> {
  if (stripe === null) throw noStripe()
  if (paymentId === undefined) throw unpaid('Pay first, and send the id of the payment as "stripe_payment_id".')
  const payment = await stripe.findPayment(paymentId)
  if (payment === null || payment.organizationId !== organizationId)
    throw unpaid('There is no such payment of this organization that has succeeded.')
  if (BigInt(payment.cents) < parseDecimal(amount, 2) || Number(credits) > creditsFor(payment.cents))
    throw unpaid('The payment is less than these credits cost.')
  return { id: payment.id, organizationId, paymentIntent: payment.id, cents: payment.cents, credits: Number(credits) }
}

function unpaid(message: string): TollgateError {
  return new TollgateError(402, 'PAYMENT_REQUIRED', message, { param: 'stripe_payment_id' })
}
