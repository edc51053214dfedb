/**
 * A stream of server-sent events that says what of the caller's changed, in a word each: pages ask again for what they show of it. It
 * carries no figures, so it needs no rights of its own beyond whose changes are told. It ends where the credential is refused, when the
 * server drains, and when the reader leaves; browsers open it again by themselves.
 */
import type { ServerResponse } from 'node:http'
import { RESPONSE_ALREADY_SENT } from '@hono/node-server/utils/response'
import type { OpenAPIHono } from '@hono/zod-openapi'
import type { AppEnv } from '../../http/app-env.ts'
import { TollgateError } from '../../http/errors.ts'
import { actorOf, type Caller } from '../../identity/caller.ts'
import type { Identify } from '../../identity/identify.ts'
import { can, requirePermission } from '../../identity/permissions.ts'
import type { Changes, Owner } from '../../reports/changes.ts'
import { CREDENTIAL } from '../describe-route.ts'

const PATH = '/api/v1/events'
const TYPE = 'text/event-stream; charset=utf-8'
/** What a call changes. */
const TOPICS = ['calls', 'credits', 'keys', 'limits']
/** A comment as often keeps proxies from closing the stream; the credential is looked at again then. */
const ALIVE_MS = 15_000
/** Windows of one user. */
const STREAMS_MAX = 20

export interface EventsDependencies {
  identify: Identify
  changes: Changes
  draining: () => boolean
}

export function mountEvents(app: OpenAPIHono<AppEnv>, group: string, deps: EventsDependencies): void {
  const open = new Map<string, number>()
  app.openAPIRegistry.registerPath({
    method: 'get',
    path: PATH,
    operationId: 'getApiV1Events',
    tags: [group],
    summary: 'What of yours changes, as it changes',
    description: `Server-sent events named ${TOPICS.join(', ')}, once a second at most: ask again for what you show of it.`,
    security: CREDENTIAL,
    responses: {
      200: { description: 'The stream.', content: { 'text/event-stream': {} } },
      401: { description: 'No credential, or one that is not valid.' },
      429: { description: `More than ${STREAMS_MAX} streams at once.` },
    },
  })
  app.get(PATH, async (c) => {
    const { incoming, outgoing } = c.env
    const caller = await deps.identify(incoming)
    requirePermission(caller, 'organizations:read_own')
    if (incoming.method === 'HEAD') return c.body(null, 200, { 'Content-Type': TYPE })
    const actor = actorOf(caller)
    const streams = open.get(actor) ?? 0
    if (streams >= STREAMS_MAX) throw tooMany()
    open.set(actor, streams + 1)
    outgoing.writeHead(200, {
      'Content-Type': TYPE,
      'Cache-Control': 'no-store',
      'X-Accel-Buffering': 'no',
    })
    outgoing.write('retry: 2000\n\n')
    await untilOver(outgoing, caller, deps, () => deps.identify(incoming))
    const left = (open.get(actor) ?? 1) - 1
    if (left === 0) open.delete(actor)
    else open.set(actor, left)
    return RESPONSE_ALREADY_SENT
  })
}

/** Resolves when the stream is closed, by whoever. */
function untilOver(
  outgoing: ServerResponse,
  caller: Caller,
  { changes, draining }: EventsDependencies,
  identify: () => Promise<Caller>,
): Promise<void> {
  return new Promise((resolve) => {
    if (outgoing.destroyed) return resolve()
    let current = caller
    const end = () => void outgoing.end()
    const stop = changes.watch((owners) => {
      if (owners === null || owners.some((owner) => isOf(owner, current)))
        outgoing.write(TOPICS.map((topic) => `event: ${topic}\ndata: {}\n\n`).join(''))
    })
    const drains = setInterval(() => draining() && end(), 1_000)
    const alive = setInterval(() => {
      outgoing.write(': here\n\n')
      // A member who was removed, or has another role, hears what that allows.
      identify().then((found) => {
        current = found
      }, end)
    }, ALIVE_MS)
    outgoing.once('close', () => {
      stop()
      clearInterval(alive)
      clearInterval(drains)
      resolve()
    })
  })
}

function isOf({ organizationId, userId }: Owner, caller: Caller): boolean {
  return (
    can(caller, 'calls:read_organization', organizationId) ||
    (userId === caller.userId && caller.memberships.has(organizationId))
  )
}

function tooMany(): TollgateError {
  return new TollgateError(429, 'too_many_streams', `You have ${STREAMS_MAX} windows that listen. Close one.`, {
    headers: { 'Retry-After': '10' },
  })
}
