/** What asks for a response that was kept: nothing is, and each route says what to do instead. */
import { z } from '@hono/zod-openapi'
import { type Route, route } from '../../api/route.ts'
import type { Surface } from '../../api/surface.ts'
import { TollgateError } from '../../http/errors.ts'

export function createKeptResponsesSurface(): Surface {
  const one = '/v1/responses/{response_id}'
  return {
    name: 'Kept responses',
    description: 'Not served: no response is kept between calls.',
    invalidStatus: 400,
    routes: [
      unserved('get', one, 'A response that was kept'),
      unserved('delete', one, 'Forget a response'),
      unserved('post', `${one}/cancel`, 'Cancel a response in the background'),
      unserved('get', `${one}/input_items`, 'What a response was asked'),
    ],
  }
}

function unserved(method: 'get' | 'post' | 'delete', path: string, summary: string): Route {
  return route({
    method,
    path,
    may: 'llm:inference',
    summary,
    description: 'Answers 501.',
    params: z.object({ response_id: z.string() }),
    returns: z.object({}),
    errors: { 501: 'Responses are not kept here.' },
    handle() {
      const message =
        'Responses are not kept here. Keep what POST /v1/responses returned, and send the whole conversation in "input"; what a call cost says GET /v1/calls/{call_id}.'
      throw new TollgateError(501, 'not_kept', message, { headers: { 'x-should-retry': 'false' } })
    },
  })
}
