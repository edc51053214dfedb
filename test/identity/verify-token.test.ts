/** Which tokens are believed, against a provider that really signs them. Only the clock is ours. */
import { createPublicKey } from 'node:crypto'
import { type JWK, SignJWT } from 'jose'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest'
import type { OidcIssuer } from '../../src/config/config.ts'
import { TollgateError } from '../../src/http/errors.ts'
import { createVerifyToken, isToken } from '../../src/identity/oidc/verify-token.ts'
import { AUDIENCE, type IdentityProvider, newKey, startIdentityProvider } from '../support/identity-provider.ts'

let provider: IdentityProvider
let stranger: IdentityProvider

beforeAll(async () => {
  ;[provider, stranger] = await Promise.all([startIdentityProvider(), startIdentityProvider()])
})
afterAll(async () => {
  await Promise.all([provider.close(), stranger.close()])
})
beforeEach(() => {
  vi.useFakeTimers({ toFake: ['Date'], now: Date.now() })
})
afterEach(() => {
  vi.useRealTimers()
})

/** A process that has just started. */
function fresh(issuer = provider.issuer): (token: string) => Promise<string> {
  const settings: OidcIssuer = {
    issuer,
    audience: [AUDIENCE],
    jwksUri: null,
    userClaim: 'sub',
    organizationClaim: null,
    rolesClaim: null,
    adminRoles: [],
    login: null,
  }
  const verify = createVerifyToken([settings], Date.now)
  return async (token) => {
    expect(isToken(token)).toBe(true)
    try {
      return String((await verify(token)).claims.sub)
    } catch (error) {
      return error instanceof TollgateError ? `${error.status} ${error.code}` : String(error)
    }
  }
}

test('A rotation of keys is followed, whatever the algorithm, and a key that was withdrawn is believed for ten minutes at most.', async () => {
  const verify = fresh()
  let last = ''
  for (const algorithm of ['RS256', 'ES256', 'EdDSA'] as const) {
    await provider.rotate(algorithm)
    vi.advanceTimersByTime(5_001)
    last = await provider.token('alice')
    expect(await verify(last)).toBe('alice')
  }
  const long = await provider.forge({ exp: Math.floor(Date.now() / 1000) + 3_600 })
  await provider.rotate('RS256')
  expect(await verify(long)).toBe('alice')
  vi.advanceTimersByTime(600_001)
  expect(await verify(long)).toBe('401 invalid_token')
})

test('Strangers who make up names of keys do not make us ask for keys more often than every five seconds.', async () => {
  const verify = fresh()
  expect(await verify(await provider.token('alice'))).toBe('alice')
  const before = provider.keysAsked
  const keys = await Promise.all(Array.from({ length: 20 }, () => newKey('EdDSA')))
  const tokens = await Promise.all(keys.map((key) => provider.forge({}, { key })))
  expect(new Set(await Promise.all(tokens.map(verify)))).toEqual(new Set(['401 invalid_token']))
  expect(provider.keysAsked).toBe(before)
  vi.advanceTimersByTime(5_001)
  expect(new Set(await Promise.all(tokens.map(verify)))).toEqual(new Set(['401 invalid_token']))
  expect(provider.keysAsked).toBe(before + 1)
})

test('While the identity provider is away, a token that needs its keys gets 503; the provider is not asked again for five seconds.', async () => {
  const own = await startIdentityProvider()
  const verify = fresh(own.issuer)
  const token = await own.token('alice')
  own.setAway(true)
  expect(await verify(token)).toBe('503 identity_provider_unavailable')
  own.setAway(false)
  expect(await verify(token)).toBe('503 identity_provider_unavailable')
  vi.advanceTimersByTime(5_001)
  expect(await verify(token)).toBe('alice')
  // With keys that we have, a token can be checked without it.
  own.setAway(true)
  expect(await verify(await own.forge({ sub: 'bob' }))).toBe('bob')
  await own.rotate()
  vi.advanceTimersByTime(5_001)
  expect(await verify(await own.forge({ sub: 'bob' }))).toBe('503 identity_provider_unavailable')
  await own.close()
})

test('An identity provider that gives itself another name is not believed.', async () => {
  const verify = fresh(`${provider.issuer}/`)
  expect(await verify(await provider.forge({ iss: `${provider.issuer}/` }))).toBe('503 identity_provider_unavailable')
})

describe('a token that must not pass', () => {
  const past = () => Math.floor(Date.now() / 1000) - 60
  const future = () => Math.floor(Date.now() / 1000) + 60

  test.each<[string, () => Promise<string>, string]>([
    ['has expired', () => provider.forge({ exp: past() }), 'expired_token'],
    ['has no expiry', () => provider.forge({ exp: undefined }), 'invalid_token'],
    ['is not good yet', () => provider.forge({ nbf: future() }), 'invalid_token'],
    ['is for another audience', () => provider.forge({ aud: 'somebody-else' }), 'invalid_token'],
    ['has no audience', () => provider.forge({ aud: undefined }), 'invalid_token'],
    ['is of another issuer', () => stranger.token('alice'), 'invalid_token'],
    [
      "names our issuer and is signed with another issuer's key",
      async () => provider.forge({}, { key: stranger.key }),
      'invalid_token',
    ],
    [
      'is signed with another key under the name of ours',
      async () => provider.forge({}, { key: { ...(await newKey('RS256')), kid: provider.key.kid ?? '' } }),
      'invalid_token',
    ],
    ['says that it is not signed at all', async () => unsigned(), 'invalid_token'],
    ['is signed with the public key as a secret', async () => confused(provider.key, 'pem'), 'invalid_token'],
    ['is signed with the public key as JSON as a secret', async () => confused(provider.key, 'json'), 'invalid_token'],
    ['was changed after it was signed', async () => changed(await provider.token('bob')), 'invalid_token'],
    [
      'demands an extension that nobody knows',
      () => provider.forge({}, { header: { crit: ['made-up'], 'made-up': 1 } }),
      'invalid_token',
    ],
    ['names its own key', async () => ownKey(), 'invalid_token'],
    ['names its key by a path', async () => underName('../../../../dev/null'), 'invalid_token'],
    ['names its key by nothing', async () => underName(''), 'invalid_token'],
    [
      'says where its keys are',
      () => provider.forge({}, { key: stranger.key, header: { jku: `${stranger.issuer}/jwks`, x5u: stranger.issuer } }),
      'invalid_token',
    ],
    ['is unsigned in other letters', async () => unsigned('nOnE'), 'invalid_token'],
    ['states two issuers', () => provider.forge({ iss: [provider.issuer, stranger.issuer] }), 'invalid_token'],
    ['is for an audience that begins as ours', () => provider.forge({ aud: `${AUDIENCE}-2` }), 'invalid_token'],
  ])('A token that %s does not pass.', async (_, make, code) => {
    expect(await fresh()(await make())).toBe(`401 ${code}`)
  })

  function part(value: unknown): string {
    return Buffer.from(JSON.stringify(value)).toString('base64url')
  }

  function claims(): Record<string, unknown> {
    return { iss: provider.issuer, aud: AUDIENCE, sub: 'alice', exp: future() }
  }

  /** `none` has an empty signature; a few letters make it look like a token. */
  function unsigned(alg = 'none'): string {
    return `${part({ alg, typ: 'JWT' })}.${part(claims())}.AAAA`
  }

  async function confused(key: JWK, form: 'pem' | 'json'): Promise<string> {
    const { kty, n, e, kid } = key
    const pem = createPublicKey({ key: { kty, n, e } as never, format: 'jwk' }).export({ type: 'spki', format: 'pem' })
    const secret = new TextEncoder().encode(form === 'pem' ? String(pem) : JSON.stringify({ kty, n, e }))
    return new SignJWT(claims())
      .setProtectedHeader({ alg: 'HS256', ...(kid === undefined ? {} : { kid }) })
      .sign(secret)
  }

  function changed(token: string): string {
    const [header = '', payload = '', signature = ''] = token.split('.')
    const stated = JSON.parse(Buffer.from(payload, 'base64url').toString()) as Record<string, unknown>
    return `${header}.${part({ ...stated, sub: 'alice' })}.${signature}`
  }

  async function underName(kid: string): Promise<string> {
    return provider.forge({}, { key: { ...(await newKey('RS256')), kid } })
  }

  async function ownKey(): Promise<string> {
    const key = await newKey('RS256')
    const { kty, n, e } = key
    return provider.forge({}, { key, header: { jwk: { kty, n, e } as never } })
  }
})
