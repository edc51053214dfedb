/** The cookie of a session, and answers that lead a browser elsewhere. */
import { serialize } from 'hono/utils/cookie'
import type { Config } from '../../config/config.ts'
import type { Database } from '../../db/connect.ts'
import type { Client } from '../../http/trusted-proxies.ts'
import type { People } from '../../identity/people.ts'
import { Reply } from '../reply.ts'

export interface AuthDependencies {
  people: Pick<People, 'sessions'>
  config: Pick<Config, 'oidc' | 'sessions' | 'publicUrl' | 'masterKey' | 'databaseUrl'>
  reports: Database
  now: () => Date
}

/** @param token empty: the cookie is taken away. */
export function sessionCookie(deps: AuthDependencies, client: Client, token: string): string {
  const { cookie, seconds } = deps.config.sessions
  const maxAge = token === '' ? 0 : seconds
  return serialize(cookie, token, { ...cookieOptions(originOf(deps, client)), maxAge })
}

/** Our own address, and the address the provider sends browsers back to: it compares that with the one registered there. */
export function originOf({ config }: Pick<AuthDependencies, 'config'>, { isHttps, host }: Client): string {
  const stated = `${isHttps ? 'https' : 'http'}://${host ?? ''}`
  return config.publicUrl ?? (URL.canParse(stated) ? new URL(stated).origin : 'http://localhost')
}

export function cookieOptions(origin: string) {
  return { path: '/', httpOnly: true, sameSite: 'Lax' as const, secure: origin.startsWith('https:') }
}

export function redirect(location: string, cookies: readonly string[]): Reply<null> {
  return new Reply(null, {
    status: 302,
    headers: { Location: location, 'Set-Cookie': cookies, 'Cache-Control': 'no-store' },
  })
}
