/**
 * Logging in with an identity provider: OpenID Connect's code flow with PKCE, state and nonce. The provider's response is believed only
 * with the three secrets that the browser was given when it left, and only with a signature of the provider's.
 */
import * as oidc from 'openid-client'
import { createAtOnce } from '../../admission/at-once.ts'
import type { OidcIssuer } from '../../config/config.ts'
import { TollgateError } from '../../http/errors.ts'
import { claimAt, personOf } from '../oidc/claims.ts'
import type { Person } from '../person.ts'

export interface LoginIssuer extends OidcIssuer {
  login: NonNullable<OidcIssuer['login']>
}

/** What the browser keeps while its user is with the provider. */
export interface LoginSecrets {
  state: string
  nonce: string
  verifier: string
}

export interface Login {
  readonly issuer: string
  /** @throws {TollgateError} 503 where the provider is away. */
  begin(redirectUri: string): Promise<{ url: string; secrets: LoginSecrets }>
  /** @param url the whole one that the provider sent the browser to. @throws {TollgateError} 400, 403, 503. */
  finish(url: URL, secrets: LoginSecrets): Promise<Person>
  /** Where the provider's own session ends; null where it does not say. @throws {TollgateError} 503 where the provider is away. */
  endUrl(): Promise<string | null>
}

/** The provider's that has a client for us; null where nobody can log in. */
export function loginIssuer(issuers: readonly OidcIssuer[]): LoginIssuer | null {
  const found = issuers.find(({ login }) => login !== null)
  return found?.login ? { ...found, login: found.login } : null
}

/** Each login asks the provider over a connection of its own, and anybody can claim to come back from the provider. */
const LOGINS_AT_ONCE = 16

export function createLogin(issuer: LoginIssuer): Login {
  const finishing = createAtOnce(LOGINS_AT_ONCE, 'people logging in', 'logins')
  let discovered: Promise<oidc.Configuration> | null = null

  async function provider(): Promise<oidc.Configuration> {
    discovered ??= discover(issuer)
    try {
      return await discovered
    } catch (error) {
      discovered = null
      throw unavailable(error)
    }
  }

  return {
    issuer: issuer.issuer,
    async begin(redirectUri) {
      const configuration = await provider()
      const verifier = oidc.randomPKCECodeVerifier()
      const secrets = { state: oidc.randomState(), nonce: oidc.randomNonce(), verifier }
      const url = oidc.buildAuthorizationUrl(configuration, {
        redirect_uri: redirectUri,
        scope: issuer.login.scopes,
        state: secrets.state,
        nonce: secrets.nonce,
        code_challenge: await oidc.calculatePKCECodeChallenge(verifier),
        code_challenge_method: 'S256',
      })
      return { url: url.href, secrets }
    },
    async finish(url, secrets) {
      const configuration = await provider()
      return finishing(() => finish(configuration, url, secrets))
    },
    async endUrl() {
      const configuration = await provider()
      if (configuration.serverMetadata().end_session_endpoint === undefined) return null
      return oidc.buildEndSessionUrl(configuration, { client_id: issuer.login.clientId }).href
    },
  }

  async function finish(
    configuration: oidc.Configuration,
    url: URL,
    { state, nonce, verifier }: LoginSecrets,
  ): Promise<Person> {
    try {
      const tokens = await oidc.authorizationCodeGrant(configuration, url, {
        expectedState: state,
        expectedNonce: nonce,
        pkceCodeVerifier: verifier,
        idTokenExpected: true,
      })
      const claims = await completeClaims(configuration, issuer, tokens)
      return personOf(issuer, claims) ?? failed(`the provider states no "${issuer.userClaim}"`)
    } catch (error) {
      throw refusalOf(error)
    }
  }
}

function discover({ issuer, login: { clientId, clientSecret } }: LoginIssuer): Promise<oidc.Configuration> {
  const url = new URL(issuer)
  // The operator wrote http: read-config warns of it.
  const insecure = url.protocol === 'http:' ? [oidc.allowInsecureRequests] : []
  return oidc.discovery(url, clientId, {}, clientAuth(clientSecret), {
    execute: [oidc.enableNonRepudiationChecks, ...insecure],
    timeout: 5,
  })
}

/** A client without a secret proves itself by PKCE alone. */
function clientAuth(secret: string | null): oidc.ClientAuth {
  if (secret === null) return oidc.None()
  const [basic, post] = [oidc.ClientSecretBasic(secret), oidc.ClientSecretPost(secret)]
  return (server, ...rest) => {
    const methods = server.token_endpoint_auth_methods_supported ?? ['client_secret_basic']
    return methods.includes('client_secret_basic') ? basic(server, ...rest) : post(server, ...rest)
  }
}

/** Of the ID token; and of the user info endpoint where what we were told to look at is not in it. */
async function completeClaims(
  configuration: oidc.Configuration,
  { userClaim, rolesClaim, organizationClaim }: OidcIssuer,
  tokens: oidc.TokenEndpointResponse & oidc.TokenEndpointResponseHelpers,
): Promise<oidc.IDToken> {
  const claims = tokens.claims()
  if (claims === undefined) return failed('the provider sent no ID token')
  const wanted = [userClaim, rolesClaim, organizationClaim].filter((name) => name !== null)
  const isComplete = wanted.every((name) => claimAt(claims, name) !== undefined)
  if (isComplete || configuration.serverMetadata().userinfo_endpoint === undefined) return claims
  return { ...(await oidc.fetchUserInfo(configuration, tokens.access_token, claims.sub)), ...claims }
}

function refusalOf(error: unknown): TollgateError {
  if (error instanceof TollgateError) return error
  if (error instanceof oidc.AuthorizationResponseError) {
    const message = 'The identity provider did not let you in. Start again at /auth/login, or ask the operator.'
    return new TollgateError(403, 'login_refused', message, { cause: error })
  }
  if (error instanceof oidc.ResponseBodyError || (error instanceof oidc.ClientError && error.code !== 'OAUTH_TIMEOUT'))
    return loginFailed('what came back does not belong to the login that was begun in this browser', error)
  return unavailable(error)
}

function failed(why: string): never {
  throw loginFailed(why)
}

export function loginFailed(why: string, cause?: unknown): TollgateError {
  return new TollgateError(
    400,
    'login_failed',
    `The login could not be finished: ${why}. Start again at /auth/login.`,
    {
      cause,
    },
  )
}

function unavailable(cause: unknown): TollgateError {
  const message = 'Nobody can log in because the identity provider does not respond. Try again shortly.'
  return new TollgateError(503, 'identity_provider_unavailable', message, { headers: { 'Retry-After': '5' }, cause })
}
