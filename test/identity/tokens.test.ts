/** Tokens of an OpenID Connect provider that really signs them, on the running product. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { useDatabase } from '../support/database.ts'
import { AUDIENCE, type IdentityProvider, startIdentityProvider } from '../support/identity-provider.ts'
import { configFor, get, postChat, startTollgate, type Tollgate } from '../support/tollgate.ts'
import { type ScriptedUpstream, startUpstream } from '../support/upstream.ts'

const BODY = { model: 'exact', max_tokens: 100, messages: [{ role: 'user', content: 'Hi' }] }

const db = useDatabase()
let provider: IdentityProvider
let stranger: IdentityProvider
let upstream: ScriptedUpstream
let tollgate: Tollgate
let acme: Awaited<ReturnType<typeof db.seedOrganization<'alice' | 'bob'>>>
let beta: Awaited<ReturnType<typeof db.seedOrganization<'alice'>>>

beforeAll(async () => {
  ;[provider, stranger, upstream] = await Promise.all([
    startIdentityProvider(),
    startIdentityProvider(),
    startUpstream(),
  ])
  acme = await db.seedOrganization({ name: 'acme', credits: 1000, users: { alice: 500, bob: 100 } })
  beta = await db.seedOrganization({ name: 'beta', credits: 1000, users: { alice: 500 } })
  const oidc = {
    issuer: provider.issuer,
    audience: AUDIENCE,
    organization_claim: 'organization',
    roles_claim: 'realm_access.roles',
    admin_roles: ['tollgate-admin'],
  }
  tollgate = await startTollgate({
    databaseUrl: db.url,
    config: configFor(upstream.url, { tollgate: { oidc: [oidc], limits: { unknown_keys_per_minute: 1000 } } }),
  })
})
afterAll(async () => {
  await tollgate.stop()
  await Promise.all([provider.close(), stranger.close(), upstream.close()])
})

describe('a token that the provider issued', () => {
  test('A token of the identity provider pays for a call as its user.', async () => {
    const answer = await postChat(tollgate, await provider.token('alice'), BODY, { headers: { 'x-org-id': acme.id } })
    expect([answer.status, answer.body]).toEqual([200, expect.any(String)])
    const { rows } = await db.pool.query('select org_id, user_id from credit_usage_attribution where call_id = $1', [
      answer.headers.get('x-litellm-call-id'),
    ])
    expect(rows).toEqual([{ org_id: acme.id, user_id: 'alice' }])
  })

  test('A token of the identity provider acts in the organization that its claim names.', async () => {
    provider.claims.set('alice', { organization: ['beta'] })
    const answer = await postChat(tollgate, await provider.token('alice'), BODY)
    expect(answer.status).toBe(200)
    const { rows } = await db.pool.query('select org_id from credit_usage_attribution where call_id = $1', [
      answer.headers.get('x-litellm-call-id'),
    ])
    expect(rows).toEqual([{ org_id: beta.id }])
    const elsewhere = await postChat(tollgate, await provider.token('alice'), BODY, {
      headers: { 'x-org-id': acme.id },
    })
    expect(elsewhere.status).toBe(403)
    provider.claims.delete('alice')
  })

  test('A token of a user without an organization gets 403.', async () => {
    const answer = await postChat(tollgate, await provider.token('carol'), BODY)
    expect([answer.status, answer.json().detail]).toEqual([403, expect.any(String)])
  })

  test('A token that names an organization of which its user is not a member gets 403.', async () => {
    provider.claims.set('bob', { organization: 'beta' })
    expect((await postChat(tollgate, await provider.token('bob'), BODY)).status).toBe(403)
    provider.claims.delete('bob')
  })

  test('A token with a role of administrators makes its user a system administrator; another role does not.', async () => {
    provider.claims.set('root', { realm_access: { roles: ['viewer', 'tollgate-admin'] } })
    expect((await get(tollgate, await provider.token('root'), '/api/v1/admin/platform-keys')).status).toBe(200)
    provider.claims.set('bob', { realm_access: { roles: ['not-tollgate-admin', 'tollgate-admins'] } })
    expect((await get(tollgate, await provider.token('bob'), '/api/v1/admin/platform-keys')).status).toBe(403)
    provider.claims.delete('bob')
  })

  test('The token of a member who was removed is refused a second later, however long it is valid.', async () => {
    await db.pool.query("insert into organization_members (org_id, user_id) values ($1, 'dave')", [beta.id])
    await db.pool.query("select allocate_credits_to_user($1, 'dave', 10)", [beta.id])
    const token = await provider.token('dave')
    expect((await postChat(tollgate, token, BODY)).status).toBe(200)
    await db.pool.query("delete from organization_members where user_id = 'dave'")
    const removedAt = Date.now()
    let status = 200
    // Until it is asked again whose member he is, the ledger finds that nothing is allocated to him any more: 402.
    while (status !== 403) {
      status = (await postChat(tollgate, token, BODY)).status
      expect([200, 402, 403]).toContain(status)
      expect(Date.now() - removedAt).toBeLessThan(10_000)
    }
  })
})

test.each<[string, () => Promise<string>, string]>([
  ['has expired', () => provider.forge({ exp: Math.floor(Date.now() / 1000) - 60 }), 'expired_token'],
  ['is for another audience', () => provider.forge({ aud: 'somebody-else' }), 'invalid_token'],
  ['names no user', () => provider.forge({ sub: undefined }), 'invalid_token'],
  ['names a user that can be no id', () => provider.forge({ sub: 'a\0b' }), 'invalid_token'],
  ['is of another issuer', () => stranger.token('alice'), 'invalid_token'],
])('A token that %s gets 401, before the body is looked at.', async (_, make, code) => {
  const answer = await postChat(tollgate, await make(), '{')
  const { error } = answer.json() as { error: { code: string } }
  expect([answer.status, error.code, answer.headers.get('www-authenticate')]).toEqual([401, code, 'Bearer'])
})
