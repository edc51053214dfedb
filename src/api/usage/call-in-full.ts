/** One call with everything a person asks about it. */
import { z } from '@hono/zod-openapi'
import { callInFull } from '../../reports/call-in-full.ts'
import { type Route, route } from '../route.ts'
import { callInFull as schema } from './call-schemas.ts'
import type { UsageDependencies } from './dependencies.ts'

export function callInFullRoute({ reports }: Pick<UsageDependencies, 'reports'>): Route {
  return route({
    method: 'get',
    path: '/api/v1/calls/{call_id}',
    may: 'calls:read_own',
    summary: 'A call in full: its price line by line, what happened when',
    description: 'Your own calls. An admin of an organization sees all calls of the organization, the operator all.',
    params: z.object({ call_id: z.string().openapi({ format: 'uuid' }) }),
    returns: schema,
    errors: { 404: 'There is no such call among those you may see.' },
    handle: ({ caller, params }) => callInFull(reports, caller, params.call_id),
  })
}
