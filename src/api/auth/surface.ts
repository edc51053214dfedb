/** Login and logout, for people with a browser. */
import { z } from '@hono/zod-openapi'
import { parse, serialize } from 'hono/utils/cookie'
import { createLogin, type Login, loginFailed, loginIssuer } from '../../identity/session/login.ts'
import { sessionOf } from '../../identity/session/session-data.ts'
import { Reply } from '../reply.ts'
import { openRoute, type Route, route } from '../route.ts'
import type { Surface } from '../surface.ts'
import { meRoute } from './me.ts'
import { returnTo } from './return-to.ts'
import { type AuthDependencies, cookieOptions, originOf, redirect, sessionCookie } from './session-cookie.ts'
import { linkRoute, masterKeyRoute, optionsRoute } from './sign-in.ts'

/** How long a login may take: a person may have to look for a password. */
const LOGIN_SECONDS = 600
const CALLBACK = '/auth/callback'

const leaving = z.object({
  state: z.string(),
  nonce: z.string(),
  verifier: z.string(),
  returnTo: z.string(),
})

export function createAuthSurface(deps: AuthDependencies): Surface {
  const issuer = loginIssuer(deps.config.oidc)
  // Null where the operator configured no client at an identity provider.
  const login = issuer === null ? null : createLogin(issuer)
  return {
    name: 'Login',
    description: 'Sessions of people with a browser: a cookie, after a login with an identity provider.',
    invalidStatus: 400,
    routes: [
      ...(login === null ? [] : loginRoutes(deps, login)),
      optionsRoute(deps, login !== null),
      masterKeyRoute(deps),
      linkRoute(deps),
      showSession(),
      meRoute(deps.reports),
      logout(deps, login),
    ],
  }
}

function loginRoutes(deps: AuthDependencies, login: Login): Route[] {
  const begin = openRoute({
    method: 'get',
    path: '/auth/login',
    summary: 'Log in with the identity provider',
    query: z.object({
      return_to: z
        .string()
        .max(2_000)
        .optional()
        .openapi({ description: 'A path of this server to go to afterwards.' }),
    }),
    returns: z.null(),
    status: 302,
    errors: { 503: 'The identity provider does not respond.' },
    async handle({ query, client }) {
      const origin = originOf(deps, client)
      const { url, secrets } = await login.begin(`${origin}${CALLBACK}`)
      const kept = JSON.stringify({ ...secrets, returnTo: returnTo(query.return_to) })
      const cookie = serialize(loginCookie(origin), Buffer.from(kept).toString('base64url'), {
        ...cookieOptions(origin),
        maxAge: LOGIN_SECONDS,
      })
      return redirect(url, [cookie])
    },
  })
  const finish = openRoute({
    method: 'get',
    path: CALLBACK,
    summary: 'Where the identity provider sends the browser after a login',
    query: z.object({
      code: z.string().optional(),
      state: z.string().optional(),
      iss: z.string().optional(),
      session_state: z.string().optional(),
      error: z.string().optional(),
      error_description: z.string().optional(),
    }),
    returns: z.null(),
    status: 302,
    errors: {
      400: 'No login was begun in this browser, or this is not the end of it.',
      403: 'The identity provider did not let the user in.',
      503: 'The identity provider does not respond.',
    },
    async handle({ query, headers, client }) {
      const origin = originOf(deps, client)
      const name = loginCookie(origin)
      const left = readLeft(parse(headers.cookie ?? '', name)[name])
      if (left === null) throw loginFailed('it was not begun in this browser, or too long ago')
      const url = new URL(CALLBACK, origin)
      for (const [key, value] of Object.entries(query)) if (value !== undefined) url.searchParams.set(key, value)
      const person = await login.finish(url, left)
      const token = await deps.people.sessions.begin(sessionOf(person, login.issuer, deps.now()))
      return redirect(left.returnTo, [
        sessionCookie(deps, client, token),
        serialize(name, '', { ...cookieOptions(origin), maxAge: 0 }),
      ])
    },
  })
  return [begin, finish]
}

function showSession(): Route {
  return route({
    method: 'get',
    path: '/auth/session',
    may: 'organizations:read_own',
    summary: 'Show who is logged in',
    returns: z.object({
      user_id: z.string(),
      email: z.string().nullable(),
      credential: z.string().openapi({ description: 'The kind of credential: session, token, api_key, ...' }),
      role: z.string(),
      organization_id: z.string(),
      organizations: z.array(z.object({ id: z.string(), role: z.string() })),
    }),
    handle: ({ caller }) =>
      new Reply(
        {
          user_id: caller.userId,
          email: caller.email,
          credential: caller.credential.kind,
          role: caller.role,
          organization_id: caller.organizationId,
          organizations: [...caller.memberships].map(([id, role]) => ({ id, role })),
        },
        { headers: { 'Cache-Control': 'no-store' } },
      ),
  })
}

function logout(deps: AuthDependencies, login: Login | null): Route {
  return route({
    method: 'post',
    path: '/auth/logout',
    may: 'organizations:read_own',
    summary: 'End the session of this browser',
    returns: z.object({
      logged_out: z.boolean().openapi({ description: 'True if there was a session to end.' }),
      provider_logout_url: z
        .string()
        .nullable()
        .openapi({ description: "Where to send the browser to end the identity provider's session as well." }),
    }),
    async handle({ headers: { cookie }, client }) {
      const { sessions } = deps.people
      const token = sessions.tokenIn(cookie)
      if (token !== null) await sessions.end(token)
      // A logout succeeds even when the provider does not respond.
      const url = (await login?.endUrl().catch(() => null)) ?? null
      const headers = { 'Set-Cookie': sessionCookie(deps, client, '') }
      return new Reply({ logged_out: token !== null, provider_logout_url: url }, { headers })
    },
  })
}

/** Over TLS the name has a prefix, so that pages of other hosts of the domain can't set the cookie. */
function loginCookie(origin: string): string {
  return origin.startsWith('https:') ? '__Host-tollgate_login' : 'tollgate_login'
}

function readLeft(cookie: string | undefined): z.infer<typeof leaving> | null {
  try {
    const left = leaving.parse(JSON.parse(Buffer.from(cookie ?? '', 'base64url').toString()))
    // The browser may have changed the cookie.
    return { ...left, returnTo: returnTo(left.returnTo) }
  } catch {
    return null
  }
}
