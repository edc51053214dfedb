/** What asks for a response that was made earlier: shown, with its input, and forgotten where the operator keeps them, else each route says what to do. */
import { z } from '@hono/zod-openapi'
import { numberInQuery } from '../../api/number-in-query.ts'
import { type Route, route } from '../../api/route.ts'
import type { Surface } from '../../api/surface.ts'
import { TollgateError } from '../../http/errors.ts'
import type { Caller } from '../../identity/caller.ts'
import { bad } from '../read-members.ts'
import { inputItems } from './input-items.ts'
import type { KeptResponses } from './kept-responses.ts'
import { idsOfKept } from './request-memory.ts'

const ONE = '/v1/responses/{response_id}'
const params = z.object({ response_id: z.string().max(200) })
const shown = z.looseObject({ id: z.string(), object: z.literal('response') }).openapi('KeptResponse')
const items = z
  .object({
    object: z.literal('list'),
    data: z.array(z.looseObject({ id: z.string(), type: z.string() })),
    first_id: z.string().nullable(),
    last_id: z.string().nullable(),
    has_more: z.boolean(),
  })
  .openapi('KeptResponseInput')
const deleted = z
  .object({ id: z.string(), object: z.literal('response'), deleted: z.literal(true) })
  .openapi('DeletedResponse')

const NOT_KEPT =
  'Responses are not kept here unless the operator sets tollgate.kept_responses_hours. Keep what POST /v1/responses returned, and send the whole conversation in "input"; what a call cost says GET /v1/calls/{call_id}.'

export function createKeptResponsesSurface(kept: KeptResponses): Surface {
  return {
    name: 'Kept responses',
    description: `Served where the operator keeps responses (\`tollgate.kept_responses_hours\`), to the user they were made for.`,
    invalidStatus: 400,
    routes: [showRoute(kept), forgetRoute(kept), itemsRoute(kept), cancelRoute(kept)],
  }
}

const errors = { 404: 'No such response is kept for this user.', 501: 'Responses are not kept here.' }

function showRoute(kept: KeptResponses): Route {
  return route({
    method: 'get',
    path: ONE,
    may: 'llm:inference',
    summary: 'A response that was kept',
    description: 'The response as its caller got it. This costs nothing.',
    params,
    returns: shown,
    errors,
    handle: async ({ caller, params: { response_id: id } }) =>
      (await find(kept, caller, id)).response as z.output<typeof shown>,
  })
}

function forgetRoute(kept: KeptResponses): Route {
  return route({
    method: 'delete',
    path: ONE,
    may: 'llm:inference',
    summary: 'Forget a response',
    description: 'Later requests can no longer refer to it or to its items. The row of its call stays.',
    params,
    returns: deleted,
    errors,
    async handle({ caller, params: { response_id: id } }) {
      const { ids } = await find(kept, caller, id)
      if (!(await kept.forget(caller, ids))) throw unknown(id)
      return { id, object: 'response' as const, deleted: true as const }
    },
  })
}

function itemsRoute(kept: KeptResponses): Route {
  return route({
    method: 'get',
    path: `${ONE}/input_items`,
    may: 'llm:inference',
    summary: 'What a response was asked',
    description: 'All that the model read except instructions, item by item, the last one first. This costs nothing.',
    params,
    query: z.object({
      limit: numberInQuery('limit', { min: 1, max: 100, default: 20 }),
      order: z.enum(['asc', 'desc']).default('desc'),
      after: z.string().max(200).optional().openapi({ description: 'The id of the item that the page comes after.' }),
    }),
    returns: items,
    errors: { 400: 'No such item to go on from.', ...errors },
    async handle({ caller, params: { response_id: id }, query }) {
      const { text } = await find(kept, caller, id)
      const page = inputItems(text, id, query)
      if (page !== null) return page
      throw bad('after', '"after" names no item of this response. Start without it.')
    },
  })
}

function cancelRoute(kept: KeptResponses): Route {
  return route({
    method: 'post',
    path: `${ONE}/cancel`,
    may: 'llm:inference',
    summary: 'Cancel a response',
    description:
      'Only what runs in the background can be cancelled, and nothing does here: a 400 that says so. A running call ends when its caller closes the connection.',
    params,
    returns: shown,
    errors: { 400: 'It did not run in the background.', ...errors },
    async handle({ caller, params: { response_id: id } }) {
      await find(kept, caller, id)
      const message =
        'This response is complete: nothing runs in the background here. Close the connection of a running call to end it.'
      throw new TollgateError(400, 'not_cancellable', message, {
        param: 'response_id',
        headers: { 'x-should-retry': 'false' },
      })
    },
  })
}

async function find(
  kept: KeptResponses,
  caller: Caller,
  id: string,
): Promise<ReturnType<typeof idsOfKept> & { text: string }> {
  if (!kept.isOn) throw notKept()
  const found = (await kept.recall(caller, [id])).get(id)
  const read = found === undefined ? null : { ...idsOfKept(found), text: found }
  // An item has an id too.
  if (read === null || read.response.id !== id) throw unknown(id)
  return read
}

function unknown(id: string): TollgateError {
  const message = `No response ${JSON.stringify(id)} is kept for this user: it was never made, was made with "store": false, or is too old.`
  return new TollgateError(404, 'not_found', message, { param: 'response_id', headers: { 'x-should-retry': 'false' } })
}

function notKept(): TollgateError {
  return new TollgateError(501, 'not_kept', NOT_KEPT, { headers: { 'x-should-retry': 'false' } })
}
