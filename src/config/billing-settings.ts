/** What organizations pay and who may give them credits: `tollgate.plans.*.monthly_price`, `tollgate.credits` and `tollgate.stripe`. */
import type { CreditsAdder, Plan, StripeSettings } from './config.ts'
import type { Field, Section } from './field.ts'

export const PLANS: readonly Plan[] = ['platform', 'byok', 'hybrid']
export const DEFAULT_PRICES: Readonly<Record<Plan, bigint>> = { platform: 5_000n, byok: 3_000n, hybrid: 9_900n }

const ADDERS: readonly CreditsAdder[] = ['system_admin', 'payment', 'org_admin']
const MOST_PRICE = 10_000_000n
const NOTHING: ReadonlySet<string> = new Set()

/** `monthly_price: 50` of a plan, in cents. */
export function readMonthlyPrice(field: Field): bigint | null {
  const what = 'dollars a month, at most 100000'
  const price = field.decimal(2, what, '50')
  return price !== null && price > MOST_PRICE ? field.mismatch(what, `write ${field.label}: 50`) : price
}

export function readCreditsAdder(field: Field | null): CreditsAdder {
  const section = field?.section() ?? null
  const add = section?.take('add')
  section?.finish(NOTHING, 'add')
  const written = add?.text()?.trim()
  const known = ADDERS.find((adder) => adder === written)
  if (add !== undefined && written !== undefined && known === undefined)
    add.error(`expected one of ${ADDERS.join(', ')}, found ${add.found}`, 'write add: system_admin')
  return known ?? 'system_admin'
}

/** `tollgate.stripe`, else the variables that Stripe's own documents name. */
export function readStripe(place: Field, field: Field | null): StripeSettings | null {
  const section: Section | null = field?.section() ?? null
  const setting = (name: string, variable: string): string | null => {
    const written = section?.take(name).text()?.trim() ?? ''
    return written === '' ? (place.source.variable(variable)?.trim() ?? null) : written
  }
  const secretKey = setting('secret_key', 'STRIPE_SECRET_KEY')
  const webhookSecret = setting('webhook_secret', 'STRIPE_WEBHOOK_SECRET')
  const apiBase = section?.take('api_base').text()?.trim() ?? null
  section?.finish(NOTHING, 'secret_key, webhook_secret, api_base')
  if (apiBase !== null && !URL.canParse(apiBase))
    return place.error('api_base is not a URL', 'write api_base: http://127.0.0.1:12111, or leave it out')
  if (secretKey === null || secretKey === '') return null
  return { secretKey, webhookSecret: webhookSecret === '' ? null : webhookSecret, apiBase }
}
