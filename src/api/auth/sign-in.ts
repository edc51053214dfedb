/** Ways in besides an identity provider: the operator's key, exchanged for a session, and the link that the start prints. */
import { z } from '@hono/zod-openapi'
import { TollgateError } from '../../http/errors.ts'
import { findMaster } from '../../identity/master.ts'
import type { Person } from '../../identity/person.ts'
import { sessionOf } from '../../identity/session/session-data.ts'
import { takeSignInLink } from '../../identity/session/sign-in-links.ts'
import { DEFAULT_ORGANIZATION } from '../../identity/standing.ts'
import { Reply } from '../reply.ts'
import { openRoute, type Route, route } from '../route.ts'
import { type AuthDependencies, redirect, sessionCookie } from './session-cookie.ts'

/** Where sessions that no identity provider vouches for say they are from. */
const OURSELVES = 'tollgate'

export function optionsRoute({ config }: AuthDependencies, hasLogin: boolean): Route {
  return openRoute({
    method: 'get',
    path: '/auth/options',
    summary: 'How people sign in here',
    returns: z.object({
      oidc: z.boolean().openapi({ description: 'With an identity provider: /auth/login.' }),
      master_key: z.boolean().openapi({ description: "With the operator's key: /auth/master-key." }),
      one_time_link: z.boolean().openapi({ description: 'With the link that the start of this server prints.' }),
    }),
    handle: () => ({
      oidc: hasLogin,
      master_key: config.masterKey !== null,
      one_time_link: config.databaseUrl === null,
    }),
  })
}

export function masterKeyRoute(deps: AuthDependencies): Route {
  return route({
    method: 'post',
    path: '/auth/master-key',
    may: 'system:read',
    summary: 'Exchange the master key for a session of the operator',
    description:
      'The key is the credential of this request; the cookie of the answer is good instead of it, and no page has to keep it.',
    returns: z.object({ user_id: z.string() }),
    async handle({ caller, client }) {
      if (caller.credential.kind !== 'master_key') {
        throw new TollgateError(403, 'not_the_master_key', 'Send the master key: Authorization: Bearer <master key>.')
      }
      const { userId } = await findMaster(deps.reports)
      const cookie = await begin(deps, client, { userId, organizations: [DEFAULT_ORGANIZATION] })
      return new Reply({ user_id: userId }, { headers: { 'Set-Cookie': cookie, 'Cache-Control': 'no-store' } })
    },
  })
}

export function linkRoute(deps: AuthDependencies): Route {
  return openRoute({
    method: 'get',
    path: '/auth/link',
    summary: 'Sign in with the link that the start of the server printed, once',
    description: 'It leads to the app; to the page for signing in where it was used already, or is older than a day.',
    query: z.object({ token: z.string().min(1).max(200) }),
    returns: z.null(),
    status: 302,
    async handle({ query, client }) {
      const userId = await takeSignInLink(deps.reports, query.token)
      // A person reads the answer, so it is a page: it says how to get in now.
      if (userId === null) return redirect('/app/sign-in?link=over', [])
      return redirect('/', [await begin(deps, client, { userId, organizations: null })])
    },
  })
}

type Named = Pick<Person, 'userId' | 'organizations'>

/** @returns the cookie of a session of the operator. */
async function begin(deps: AuthDependencies, client: Parameters<typeof sessionCookie>[1], who: Named): Promise<string> {
  const person = { ...who, email: null, isSystemAdmin: true }
  const token = await deps.people.sessions.begin(sessionOf(person, OURSELVES, deps.now()))
  return sessionCookie(deps, client, token)
}
