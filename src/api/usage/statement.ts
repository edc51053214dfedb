/** The monthly statement of an organization: as JSON, as CSV, and as a page to print. */
import { z } from '@hono/zod-openapi'
import { TollgateError } from '../../http/errors.ts'
import { monthlyStatement, type Statement } from '../../reports/statement.ts'
import { pageHeaders } from '../docs/page.ts'
import { exactNumberSchema } from '../exact-number-schema.ts'
import { creditNumber, dollarNumber } from '../org-billing/amounts.ts'
import { requireOrganization } from '../org-billing/organization-of.ts'
import { Reply } from '../reply.ts'
import { type Route, route } from '../route.ts'
import { csv } from './csv.ts'
import type { UsageDependencies } from './dependencies.ts'
import { STYLE_POLICY, statementPage, statementRows } from './statement-page.ts'

const line = z.object({ name: z.string(), calls: z.number(), credits: exactNumberSchema })

const statement = z
  .object({
    org_id: z.uuid(),
    organization: z.string(),
    month: z.string().openapi({ example: '2026-11' }),
    opening_balance: exactNumberSchema.openapi({
      description: 'Credits bought and not yet charged when the month began.',
    }),
    purchases: exactNumberSchema,
    refreshes: exactNumberSchema.openapi({ description: 'Credits of the plan, added each period.' }),
    refunds: exactNumberSchema,
    corrections: exactNumberSchema.openapi({
      description: 'Credits given back where a call had been booked at too high a price.',
    }),
    charges: exactNumberSchema,
    closing_balance: exactNumberSchema.openapi({
      description: 'opening_balance + purchases + refreshes + refunds + corrections - charges.',
    }),
    paid: exactNumberSchema.openapi({ description: 'Dollars paid in the month.' }),
    resets: exactNumberSchema.openapi({ description: 'Credits that resets gave to members again; the balance stays.' }),
    charges_by_user: z.array(line),
    charges_by_model: z.array(line),
  })
  .openapi('Statement')

export function statementRoutes(deps: UsageDependencies): Route[] {
  return [jsonRoute(deps), csvRoute(deps), pageRoute(deps)]
}

const common = {
  method: 'get',
  may: 'billing:read',
  organization: 'org_id',
  params: z.object({
    org_id: z.string(),
    month: z
      .string()
      .regex(/^[1-8]\d{3}-(?:0[1-9]|1[0-2])$/, '"month" must be a month such as 2026-11.')
      .openapi({ description: 'The month, in UTC.', example: '2026-11' }),
  }),
  errors: { 404: 'Organization not found, or the month has not begun.' },
} as const

function jsonRoute(deps: UsageDependencies): Route {
  return route({
    ...common,
    path: '/api/v1/usage/statements/{org_id}/{month}',
    summary: 'The statement of an organization for a month',
    description: 'It adds up exactly. For the present month it is as of this moment.',
    returns: statement,
    async handle({ params }) {
      const { organization, found } = await read(deps, params)
      const { opening_balance, purchases, refreshes, refunds, corrections, charges, closing_balance } = found
      return {
        org_id: organization.id,
        organization: organization.name,
        month: params.month,
        opening_balance: creditNumber(opening_balance),
        purchases: creditNumber(purchases),
        refreshes: creditNumber(refreshes),
        refunds: creditNumber(refunds),
        corrections: creditNumber(corrections),
        charges: creditNumber(charges),
        closing_balance: creditNumber(closing_balance),
        paid: dollarNumber(found.paid),
        resets: creditNumber(found.resets),
        charges_by_user: found.charges_by_user.map(shownLine),
        charges_by_model: found.charges_by_model.map(shownLine),
      }
    },
  })
}

function csvRoute(deps: UsageDependencies): Route {
  return route({
    ...common,
    path: '/api/v1/usage/statements/{org_id}/{month}/csv',
    summary: 'The same as CSV',
    produces: 'text/csv',
    returns: z.string(),
    async handle({ params }) {
      const { found } = await read(deps, params)
      return new Reply(csv(['section', 'name', 'calls', 'credits'], statementRows(found)), {
        headers: {
          'Content-Type': 'text/csv; charset=utf-8',
          'Content-Disposition': `attachment; filename="statement-${params.month}.csv"`,
        },
      })
    },
  })
}

function pageRoute(deps: UsageDependencies): Route {
  return route({
    ...common,
    path: '/api/v1/usage/statements/{org_id}/{month}/page',
    summary: 'The same as a page to print',
    produces: 'text/html',
    returns: z.string(),
    async handle({ params }) {
      const { organization, found } = await read(deps, params)
      return new Reply(statementPage(organization.name, params.month, found), {
        headers: { ...pageHeaders(`default-src 'none'; style-src ${STYLE_POLICY}`), 'Cache-Control': 'no-store' },
      })
    },
  })
}

/** @throws {TollgateError} 404. */
async function read({ reports, now }: UsageDependencies, { org_id, month }: { org_id: string; month: string }) {
  const organization = await requireOrganization(reports, org_id)
  if (month > now().toISOString().slice(0, 7))
    throw new TollgateError(404, 'NOT_FOUND', `The month ${month} has not begun.`)
  return { organization, found: await monthlyStatement(reports, organization.id, `${month}-01`) }
}

function shownLine({ name, calls, credits }: Statement['charges_by_user'][number]) {
  return { name, calls: Number(calls), credits: creditNumber(credits) }
}
