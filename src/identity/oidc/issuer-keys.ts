/**
 * The public keys of an identity provider, as it publishes them. A token that names a key we do not know makes us ask again, so that a
 * rotation is followed, but at most every five seconds: strangers can make up names of keys. So it is with a provider that does not
 * respond. Fails closed: what it signed and we can't check is refused with 503.
 */
import { createRemoteJWKSet, customFetch, type RemoteJWKSet } from 'jose'
import type { OidcIssuer } from '../../config/config.ts'

const ASK_AGAIN_MS = 5_000
const TIMEOUT_MS = 5_000
/** After so long a key is no longer believed that the provider may have withdrawn. */
const BELIEVED_MS = 600_000

export class IssuerUnavailable extends Error {
  constructor(issuer: string, cause: unknown) {
    super(`the identity provider ${issuer} does not give its keys`, { cause })
    this.name = 'IssuerUnavailable'
  }
}

/** @throws {IssuerUnavailable} where the provider is away or talks nonsense. */
export type IssuerKeys = () => Promise<RemoteJWKSet>

export function createIssuerKeys({ issuer, jwksUri }: OidcIssuer, now: () => number): IssuerKeys {
  let keys: Promise<RemoteJWKSet> | null = null
  let failed: { at: number; cause: unknown } | null = null

  /** JSON of a 200; what failed is not tried again at once. */
  async function getJson(url: string, init: RequestInit): Promise<Record<string, unknown>> {
    if (failed !== null && now() - failed.at < ASK_AGAIN_MS) throw new IssuerUnavailable(issuer, failed.cause)
    try {
      const response = await fetch(url, init)
      if (response.status !== 200) throw new Error(`${url} responds with ${response.status}`)
      return (await response.json()) as Record<string, unknown>
    } catch (cause) {
      failed = { at: now(), cause }
      throw new IssuerUnavailable(issuer, cause)
    }
  }

  async function discover(): Promise<URL> {
    if (jwksUri !== null) return new URL(jwksUri)
    const url = `${issuer.replace(/\/$/, '')}/.well-known/openid-configuration`
    const found = await getJson(url, { signal: AbortSignal.timeout(TIMEOUT_MS), redirect: 'error' })
    // The document must state the issuer's own name, or tokens of one issuer could be signed with keys of another.
    if (found.issuer === issuer && typeof found.jwks_uri === 'string' && URL.canParse(found.jwks_uri))
      return new URL(found.jwks_uri)
    const cause = new Error(`${url} is not the configuration of ${issuer}`)
    failed = { at: now(), cause }
    throw new IssuerUnavailable(issuer, cause)
  }

  async function open(): Promise<RemoteJWKSet> {
    return createRemoteJWKSet(await discover(), {
      cooldownDuration: ASK_AGAIN_MS,
      cacheMaxAge: BELIEVED_MS,
      timeoutDuration: TIMEOUT_MS,
      [customFetch]: async (url, options) => {
        const json = await getJson(url, options)
        return new Response(JSON.stringify(json), { status: 200 })
      },
    })
  }

  return () => {
    keys ??= open().catch((error: unknown) => {
      keys = null
      throw error
    })
    return keys
  }
}
