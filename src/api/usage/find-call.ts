/** Shows one call: what it cost and why. */
import { z } from '@hono/zod-openapi'
import type { Database } from '../../db/connect.ts'
import { findCall } from '../../reports/find-call.ts'
import { type Route, route } from '../route.ts'

const settled = z.object({
  object: z.literal('call'),
  call_id: z.uuid(),
  request_id: z.string().nullable().openapi({ description: 'The X-Request-ID of the request.' }),
  session_id: z
    .string()
    .nullable()
    .openapi({ description: 'The session that the client named: a conversation, a task.' }),
  status: z.literal('settled'),
  outcome: z
    .string()
    .nullable()
    .openapi({ description: '`answered`, `stopped`, `failed`, `client_disconnected` or `cut_off`.' }),
  organization_id: z.uuid(),
  user_id: z.string(),
  model: z.string().nullable(),
  credits: z.string().openapi({ description: 'What was charged, in credits.' }),
  cost: z.string().openapi({ description: 'The same in dollars.' }),
  api_cost: z.string().openapi({ description: 'What the provider charges, in dollars.' }),
  markup: z.string().openapi({ description: "What was added to the provider's cost, in dollars." }),
  refunded_credits: z
    .string()
    .optional()
    .openapi({ description: 'Credits that were refunded. Left out where there were none.' }),
  provenance: z.string().nullable().openapi({
    description: 'How the charge is known: `provider_cost`, `provider_usage`, `estimated`, `recovered` or `disputed`.',
  }),
  usage: z.unknown().openapi({ description: "Tokens, in OpenAI's form; null where nothing was used." }),
  details: z.record(z.string(), z.unknown()).openapi({ description: 'Provider, deployment, price, timing.' }),
  settled_at: z.iso.datetime(),
})

const unsettled = z.object({
  object: z.literal('call'),
  call_id: z.uuid(),
  status: z
    .string()
    .openapi({ description: '`running`, `released`, `recovered`, or `settled` where nothing was charged.' }),
  organization_id: z.uuid(),
  user_id: z.string(),
  held_credits: z.string(),
  started_at: z.iso.datetime(),
})

const call = z.union([settled, unsettled]).openapi('Call')

export function findCallRoute(reports: Database): Route {
  return route({
    method: 'get',
    path: '/v1/calls/{call_id}',
    may: 'calls:read_own',
    summary: 'What a call cost, and why',
    description:
      'Your own calls. An admin of an organization sees all calls of the organization. The id is in the x-litellm-call-id header of every response.',
    params: z.object({ call_id: z.string().openapi({ format: 'uuid' }) }),
    returns: call,
    errors: { 404: 'There is no such call among those you may see.' },
    handle: ({ caller, params }) => findCall(reports, caller, params.call_id),
  })
}
