/** Reads the credit pool of an organization, and adds credits to it (`tollgate.credits.add` says who may). */
import { z } from '@hono/zod-openapi'
import { addCreditsToPool, type CreditPool, type CreditPurchase, findPool } from '../../billing/credit-pools.ts'
import { claimPayment, type Payment } from '../../billing/payments.ts'
import { TollgateError } from '../../http/errors.ts'
import type { Caller } from '../../identity/caller.ts'
import { requirePermission } from '../../identity/permissions.ts'
import { formatDecimal } from '../../metering/money.ts'
import { changeRoute } from '../change-route.ts'
import { exactNumberOrNull, exactNumberSchema } from '../exact-number-schema.ts'
import { type CallerRequest, type Route, route } from '../route.ts'
import { creditNumber, dollars, wholeCredits } from './amounts.ts'
import { confirmPayment } from './confirm-payment.ts'
import type { OrgBillingDependencies } from './dependencies.ts'
import { requireOrganization } from './organization-of.ts'

const credits = '/api/v1/org-billing/credits'
const orgId = z.object({ org_id: z.string() })

const pool = z
  .object({
    id: z.uuid(),
    org_id: z.uuid(),
    org_name: z.string(),
    total_credits: exactNumberSchema,
    allocated_credits: exactNumberSchema,
    used_credits: exactNumberSchema,
    available_credits: exactNumberSchema.openapi({ description: 'total_credits less allocated_credits.' }),
    monthly_refresh_amount: exactNumberSchema,
    last_refresh_date: z.iso.datetime(),
    next_refresh_date: z.iso.datetime().nullable(),
    allow_overage: z.boolean(),
    overage_limit: exactNumberOrNull,
    lifetime_purchased_credits: exactNumberSchema,
    lifetime_spent_amount: z.string().openapi({ example: '50.00' }),
  })
  .openapi('CreditPool')

const added = z
  .object({
    success: z.literal(true),
    message: z.string(),
    total_credits: exactNumberSchema,
    available_credits: exactNumberSchema,
  })
  .openapi('CreditsAdded')

const amounts = {
  credits: wholeCredits('credits', 1).optional(),
  purchase_amount: dollars('purchase_amount').optional(),
  stripe_payment_id: z.string().max(255).optional(),
}

interface Amounts {
  credits?: string | undefined
  purchase_amount?: string | undefined
}

export function creditRoutes(deps: OrgBillingDependencies): Route[] {
  return [...addRoutes(deps), transactionRoute(deps), poolRoute(deps)]
}

function poolRoute({ reports }: OrgBillingDependencies): Route {
  return route({
    method: 'get',
    path: `${credits}/{org_id}`,
    may: 'pool:read',
    organization: 'org_id',
    summary: 'The credit pool of an organization',
    params: orgId,
    returns: pool,
    errors: { 404: 'Credit pool not found' },
    async handle({ params: { org_id } }) {
      const { id } = await requireOrganization(reports, org_id, 'Credit pool not found')
      return showPool(await findPool(reports.query, id))
    },
  })
}

/** The path names the organization; without it, the body or the query does, else it is the caller's own. */
function addRoutes(deps: OrgBillingDependencies): Route[] {
  const add = (path: string, named: boolean): Route =>
    changeRoute(deps.reports, {
      method: 'post',
      path,
      may: 'organizations:read_own',
      summary: 'Add credits to the pool of an organization',
      description: 'The values are in the query or in the body. The setting tollgate.credits.add says who may do this.',
      params: z.object({ org_id: named ? z.string() : z.string().optional() }),
      query: z.object({ ...amounts, org_id: z.string().optional() }),
      body: z.object({ ...amounts, org_id: z.string().optional() }),
      returns: added,
      errors: {
        402: 'No payment was named that covers these credits.',
        404: 'Organization not found',
        409: 'The payment was used before.',
        501: 'Payments are not set up here.',
      },
      async prepare(request) {
        const { params, query, body, caller } = request
        const organizationId = params.org_id ?? query.org_id ?? body.org_id ?? caller.organizationId
        const asked = { ...body, ...query }
        const isPaid = requireAdder(deps, caller, organizationId)
        const { id } = await requireOrganization(deps.reports, organizationId)
        const wanted = { id, ...amountsOf(asked) }
        return { ...wanted, payment: isPaid ? await confirmPayment(deps, wanted, asked.stripe_payment_id) : null }
      },
      async make(transaction, ready, request) {
        if (
          ready.payment !== null &&
          !(await claimPayment(transaction, { ...ready.payment, userId: request.caller.userId }))
        )
          throw new TollgateError(409, 'payment_used', 'This payment was used before.', { param: 'stripe_payment_id' })
        const found = await addCreditsToPool(transaction, purchaseOf(ready, request))
        return {
          success: true as const,
          message: `Added ${ready.credits} credits to pool`,
          total_credits: creditNumber(found.total_credits),
          available_credits: creditNumber(found.available_credits),
        }
      },
    })
  return [add(`${credits}/add`, false), add(`${credits}/{org_id}/add`, true)]
}

/** The same for an older client of Ops-Center. */
function transactionRoute(deps: OrgBillingDependencies): Route {
  return changeRoute(deps.reports, {
    method: 'post',
    path: `${credits}/{org_id}/transaction`,
    may: 'pool:add_credits',
    organization: 'org_id',
    summary: 'Add credits to the pool of an organization, as a transaction',
    params: orgId,
    body: z.object({
      amount: wholeCredits('amount', 1),
      transaction_type: z.literal('purchase').default('purchase'),
      payment_method: z.string().max(100).optional(),
      description: z.string().max(1_000).optional(),
    }),
    returns: z.object({ id: z.uuid(), amount: exactNumberSchema, total_credits: exactNumberSchema }),
    status: 201,
    errors: { 404: 'Organization not found' },
    async prepare({ caller, params }) {
      if (requireAdder(deps, caller, params.org_id)) throw notAuthorized()
      return requireOrganization(deps.reports, params.org_id)
    },
    async make(transaction, { id }, request) {
      const { body } = request
      const found = await addCreditsToPool(transaction, purchaseOf({ id, credits: body.amount, amount: '0' }, request))
      return { id: found.id, amount: creditNumber(body.amount), total_credits: creditNumber(found.total_credits) }
    },
  })
}

/** @returns true if the caller must name a payment. @throws {TollgateError} 403. */
function requireAdder({ config }: OrgBillingDependencies, caller: Caller, organizationId: string): boolean {
  requirePermission(caller, 'pool:add_credits', organizationId)
  if (caller.role === 'system_admin' || config.billing.addCredits === 'org_admin') return false
  if (config.billing.addCredits === 'payment') return true
  throw notAuthorized()
}

function notAuthorized(): TollgateError {
  return new TollgateError(403, 'PERMISSION_DENIED', 'Not authorized to add credits')
}

/** @throws {TollgateError} 422. */
function amountsOf(asked: Amounts): { credits: string; amount: string } {
  if (asked.credits === undefined)
    throw new TollgateError(422, 'invalid_request', '"credits" is missing. It must be a whole number, 1 or more.', {
      param: 'credits',
    })
  return { credits: asked.credits, amount: asked.purchase_amount ?? '0' }
}

interface ReadyPurchase {
  id: string
  credits: string
  amount: string
  payment?: Pick<Payment, 'id' | 'cents'> | null
}

function purchaseOf(
  { id, credits: wanted, amount, payment = null }: ReadyPurchase,
  { change }: CallerRequest,
): CreditPurchase {
  const purchase = { organizationId: id, credits: wanted, actor: change.actor }
  if (payment === null) return { ...purchase, amount, method: null }
  const paid = formatDecimal(BigInt(payment.cents), 2)
  return { ...purchase, amount: paid, method: 'stripe', details: { payment_id: payment.id } }
}

function showPool(found: CreditPool): z.output<typeof pool> {
  return {
    ...found,
    total_credits: creditNumber(found.total_credits),
    allocated_credits: creditNumber(found.allocated_credits),
    used_credits: creditNumber(found.used_credits),
    available_credits: creditNumber(found.available_credits),
    monthly_refresh_amount: creditNumber(found.monthly_refresh_amount),
    overage_limit: found.overage_limit === null ? null : creditNumber(found.overage_limit),
    lifetime_purchased_credits: creditNumber(found.lifetime_purchased_credits),
    lifetime_spent_amount: found.lifetime_spent_amount,
  }
}
