/** Refunds of one call, made by a system administrator with a reason. The call, the user's history and the reports show them. */
import { z } from '@hono/zod-openapi'
import { refundCall } from '../../billing/refund-call.ts'
import { changeRoute } from '../change-route.ts'
import { exactNumberSchema } from '../exact-number-schema.ts'
import type { Route } from '../route.ts'
import { creditNumber, decimalCredits } from './amounts.ts'
import type { OrgBillingDependencies } from './dependencies.ts'

export function refundRoute({ reports }: OrgBillingDependencies): Route {
  return changeRoute(reports, {
    method: 'post',
    path: '/api/v1/admin/calls/{call_id}/refunds',
    may: 'calls:refund',
    summary: 'Give back credits of one call',
    description:
      'Refunds the whole call where no amount is named. All refunds of a call together are at most its cost.',
    params: z.object({ call_id: z.string() }),
    body: z.object({
      credits: decimalCredits('credits').optional(),
      reason: z.string().trim().min(1).max(1_000),
    }),
    returns: z.object({
      success: z.literal(true),
      call_id: z.string(),
      org_id: z.uuid(),
      user_id: z.string(),
      refunded_credits: exactNumberSchema,
      refundable_credits: exactNumberSchema.openapi({ description: 'How much of the call can still be refunded.' }),
    }),
    status: 201,
    errors: { 404: 'There is no such call that was charged.', 409: 'The charge is disputed.' },
    prepare: () => null,
    async make(transaction, _, { params: { call_id }, body, change }) {
      const { refunded, refundable, org_id, user_id } = await refundCall(transaction, {
        callId: call_id,
        credits: body.credits ?? null,
        reason: body.reason,
        actor: change.actor,
      })
      return {
        success: true as const,
        call_id,
        org_id,
        user_id,
        refunded_credits: creditNumber(refunded),
        refundable_credits: creditNumber(refundable),
      }
    },
  })
}
