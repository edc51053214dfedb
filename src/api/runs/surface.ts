/** Budgets that callers open for several calls. */
import { z } from '@hono/zod-openapi'
import { closeRun, findRun, openRun } from '../../billing/runs.ts'
import type { Database } from '../../db/connect.ts'
import type { Runs } from '../../ledger/runs.ts'
import { changeRoute } from '../change-route.ts'
import { type Route, route } from '../route.ts'
import type { Surface } from '../surface.ts'

const DAY = 86_400
const MOST_SECONDS = 30 * DAY

export interface RunsDependencies {
  reports: Database
  runs: Runs
  newId: () => string
}

export function createRunsSurface(deps: RunsDependencies): Surface {
  return {
    name: 'Runs',
    description: 'Budgets for several calls: an agent, a task, a batch.',
    invalidStatus: 400,
    routes: [openRoute(deps), findRoute(deps), closeRoute(deps)],
  }
}

const amount = z.string().nullable()
const run = z
  .object({
    object: z.literal('run'),
    id: z.string().openapi({ description: 'Send it with each call, in X-Tollgate-Run.' }),
    name: z.string().nullable(),
    state: z.enum(['open', 'closed', 'expired']),
    credits: amount.openapi({ description: 'What its calls may cost together; null where that is not bounded.' }),
    used_credits: amount,
    held_credits: amount.openapi({ description: 'What its running calls hold.' }),
    calls: z
      .number()
      .nullable()
      .openapi({ description: 'How many calls it may make; null where that is not bounded.' }),
    used_calls: z.number(),
    running_calls: z.number(),
    created_at: z.iso.datetime(),
    expires_at: z.iso.datetime(),
    closed_at: z.iso.datetime().nullable(),
  })
  .openapi('Run')

const credits = z
  .union([z.number(), z.string()])
  .transform(String)
  .pipe(z.string().regex(/^(?!0+(\.0*)?$)\d{1,12}(\.\d{1,6})?$/, 'must be credits above 0, with six decimals at most'))
  .openapi({ type: 'number' })
const runId = z.object({ run_id: z.string().max(200) })

function openRoute({ reports, runs, newId }: RunsDependencies): Route {
  return changeRoute(reports, {
    method: 'post',
    path: '/v1/runs',
    may: 'llm:inference',
    summary: 'Open a run: a budget for several calls',
    description:
      'Calls that send its id in X-Tollgate-Run count on it, besides all that bounds them anyway; nothing is set aside for it. One that is opened within another counts on that too.',
    body: z
      .object({
        name: z.string().max(200).nullish(),
        credits: credits.nullish(),
        calls: z.number().int().min(1).max(999_999_999).nullish(),
        expires_in: z.number().int().min(1).max(MOST_SECONDS).default(DAY).openapi({ description: 'Seconds.' }),
        parent: z.string().max(200).nullish().openapi({ description: 'The id of the run within which it is opened.' }),
      })
      .refine((body) => body.credits != null || body.calls != null, { error: 'State credits, calls, or both.' }),
    returns: run,
    status: 201,
    errors: { 403: 'The parent is a run of another user.', 409: 'The parent has ended.' },
    prepare: () => null,
    make: (transaction, _, { caller, body }) =>
      openRun(
        transaction,
        runs,
        caller,
        {
          name: body.name ?? null,
          credits: body.credits ?? null,
          calls: body.calls ?? null,
          expiresAfterSeconds: body.expires_in,
          parent: body.parent ?? null,
        },
        newId(),
      ),
  })
}

function findRoute({ reports, runs }: RunsDependencies): Route {
  return route({
    method: 'get',
    path: '/v1/runs/{run_id}',
    may: 'llm:inference',
    summary: 'What a run has used, and what runs in it',
    description: 'Your own runs.',
    params: runId,
    returns: run,
    errors: { 403: 'It is a run of another user.' },
    handle: ({ caller, params }) => findRun(reports, runs, caller, params.run_id),
  })
}

function closeRoute({ reports, runs }: RunsDependencies): Route {
  return changeRoute(reports, {
    method: 'delete',
    path: '/v1/runs/{run_id}',
    may: 'llm:inference',
    summary: 'Close a run',
    description:
      'No call of it starts any more, nor of the runs within it; those that run are finished. What it did not use was never taken from you.',
    params: runId,
    returns: run,
    errors: { 403: 'It is a run of another user.' },
    prepare: () => null,
    make: (transaction, _, { caller, params }) => closeRun(transaction, runs, caller, params.run_id),
  })
}
