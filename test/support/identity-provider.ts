/**
 * A real OpenID Connect provider on loopback: npm's oidc-provider, with its own login page. Its applications get tokens by client
 * credentials, so the `sub` of a token is the application's name.
 */
import { generateKeyPairSync, randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { exportJWK, type JWK, SignJWT } from 'jose'
import { type Configuration, Provider } from 'oidc-provider'

export const AUDIENCE = 'tollgate'
export const LOGIN_CLIENT = 'tollgate-login'
export const CLIENT_SECRET = 'a-secret-of-the-identity-provider-0123456789'

export type Algorithm = 'RS256' | 'ES256' | 'EdDSA'

export interface IdentityProvider {
  issuer: string
  /** How often somebody asked for its public keys. */
  readonly keysAsked: number
  /** The private key it signs with now, for tokens that it would not issue. */
  readonly key: JWK
  /** What it states of somebody besides their name, from now on. */
  claims: Map<string, Record<string, unknown>>
  /** An access token as it issues them, to an application. */
  token(application: string): Promise<string>
  /** A token of its own key with these claims on top of good ones; undefined leaves one out. */
  forge(claims: Record<string, unknown>, options?: { header?: Record<string, unknown>; key?: JWK }): Promise<string>
  /** New keys; the old ones are withdrawn. */
  rotate(algorithm?: Algorithm): Promise<void>
  /** Whether it hangs up on everybody. */
  setAway(isAway: boolean): void
  close(): Promise<void>
}

/** @param redirectUris of the login's client. */
export async function startIdentityProvider(redirectUris: readonly string[] = []): Promise<IdentityProvider> {
  let handle: (incoming: IncomingMessage, outgoing: ServerResponse) => void
  let key: JWK
  let isAway = false
  let keysAsked = 0
  const claims: IdentityProvider['claims'] = new Map()
  const server = createServer((incoming, outgoing) => {
    if (isAway) return void incoming.socket.destroy()
    if (incoming.url === '/jwks') keysAsked += 1
    handle(incoming, outgoing)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const issuer = `http://127.0.0.1:${(server.address() as AddressInfo).port}`

  async function rotate(algorithm: Algorithm = 'RS256'): Promise<void> {
    key = await newKey(algorithm)
    const provider = new Provider(issuer, configuration(key, algorithm, claims, redirectUris))
    handle = provider.callback()
  }
  await rotate()

  async function token(application: string): Promise<string> {
    const response = await fetch(`${issuer}/token`, {
      method: 'POST',
      headers: {
        authorization: `Basic ${Buffer.from(`${application}:${CLIENT_SECRET}`).toString('base64')}`,
        'content-type': 'application/x-www-form-urlencoded',
      },
      body: 'grant_type=client_credentials',
    })
    const answer = (await response.json()) as { access_token?: string }
    if (answer.access_token === undefined) throw new Error(JSON.stringify(answer))
    return answer.access_token
  }

  async function forge(stated: Record<string, unknown>, options: { header?: Record<string, unknown>; key?: JWK } = {}) {
    const now = Math.floor(Date.now() / 1000)
    const good = { iss: issuer, aud: AUDIENCE, sub: 'alice', iat: now, exp: now + 300 }
    const signed = options.key ?? key
    return new SignJWT({ ...good, ...stated })
      .setProtectedHeader({ alg: signed.alg ?? '', kid: signed.kid ?? '', typ: 'at+jwt', ...options.header })
      .sign(signed, { crit: { 'made-up': true } })
  }

  return {
    issuer,
    get keysAsked() {
      return keysAsked
    },
    get key() {
      return key
    },
    claims,
    token,
    forge,
    rotate,
    setAway(next) {
      isAway = next
      if (next) server.closeAllConnections()
    },
    async close() {
      server.closeAllConnections()
      server.close()
      await once(server, 'close')
    },
  }
}

export async function newKey(algorithm: Algorithm): Promise<JWK> {
  const { privateKey } =
    algorithm === 'RS256'
      ? generateKeyPairSync('rsa', { modulusLength: 2048 })
      : algorithm === 'ES256'
        ? generateKeyPairSync('ec', { namedCurve: 'P-256' })
        : generateKeyPairSync('ed25519')
  return { ...(await exportJWK(privateKey)), kid: randomUUID(), alg: algorithm, use: 'sig' }
}

function configuration(
  key: JWK,
  algorithm: Algorithm,
  claims: IdentityProvider['claims'],
  redirectUris: readonly string[],
): Configuration {
  const application = (name: string) => ({
    client_id: name,
    client_secret: CLIENT_SECRET,
    grant_types: ['client_credentials'],
    redirect_uris: [],
    response_types: [],
    id_token_signed_response_alg: algorithm,
  })
  const login = {
    client_id: LOGIN_CLIENT,
    client_secret: CLIENT_SECRET,
    grant_types: ['authorization_code'],
    redirect_uris: [...redirectUris],
    response_types: ['code' as const],
    id_token_signed_response_alg: algorithm,
  }
  return {
    jwks: { keys: [key as never] },
    clients: [
      ...['alice', 'bob', 'carol', 'dave', 'root'].map(application),
      ...(redirectUris.length > 0 ? [login] : []),
    ],
    enabledJWA: { idTokenSigningAlgValues: [algorithm] },
    claims: { openid: ['sub'], email: ['email'], profile: ['realm_access', 'organization'] },
    // Roles are in the ID token, as Keycloak's mappers put them there.
    conformIdTokenClaims: false,
    cookies: { keys: ['of-this-test'] },
    features: {
      clientCredentials: { enabled: true },
      resourceIndicators: {
        enabled: true,
        // A token for the login itself is opaque; an application's is ours to read.
        defaultResource: (_, client) => (client?.clientId === LOGIN_CLIENT ? [] : 'urn:tollgate'),
        getResourceServerInfo: () => ({
          scope: '',
          audience: AUDIENCE,
          accessTokenFormat: 'jwt',
          accessTokenTTL: 300,
          jwt: { sign: { alg: algorithm } },
        }),
      },
    },
    extraTokenClaims: (_, token) => claims.get(token.clientId ?? '') ?? {},
    findAccount: (_, id) => ({
      accountId: id,
      claims: () => ({ sub: id, email: `${id}@example.com`, ...claims.get(id) }),
    }),
  }
}
