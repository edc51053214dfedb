/** /api/v1/account: a user's own keys, which may do no more than what made them, and the organization the user acts in. */
import { expect, test } from 'vitest'
import { storedSessions } from '../../src/identity/session/session-store.ts'
import { useProduct } from '../support/product.ts'
import { type CallAnswer, get, MASTER_KEY, postChat } from '../support/tollgate.ts'
import { chatAnswer } from '../support/upstream-answers.ts'

const product = useProduct()
const PATH = '/api/v1/account/uc-api-keys'

const make = (key: string | null, body: object) => postChat(product.tollgate, key, body, { path: PATH })

async function remove(key: string, id: string): Promise<CallAnswer> {
  const answer = await fetch(`${product.tollgate.url}${PATH}/${id}`, {
    method: 'DELETE',
    headers: { authorization: `Bearer ${key}` },
  })
  const body = await answer.text()
  return { status: answer.status, headers: answer.headers, body, json: () => JSON.parse(body) }
}

function call(key: unknown): Promise<CallAnswer> {
  product.upstream.respond(chatAnswer({ model: 'exact' }))
  const body = { model: 'exact', max_tokens: 10, messages: [{ role: 'user', content: 'Hi' }] }
  return postChat(product.tollgate, String(key), body)
}

const seed = () => product.db.seedOrganization({ credits: 100, users: { owner: 50, alice: 50 } })

test('A key with limits of a minute makes no keys: each would have them again.', async () => {
  const { keys, keyIds } = await seed()
  await product.db.pool.query('update tollgate.api_keys set requests_per_minute = 1000 where id = $1', [keyIds.alice])
  await expect.poll(async () => (await make(keys.alice, { name: 'more' })).status).toBe(403)
})

test('A key is made in the documented shape, calls models, is listed without its secret, and revoked.', async () => {
  const { keys } = await seed()
  const made = await make(keys.alice, { name: 'laptop' })
  expect([made.status, made.json()]).toEqual([
    201,
    {
      key_id: expect.any(String),
      api_key: expect.stringMatching(/^uc_[0-9a-f]{64}$/),
      key_name: 'laptop',
      key_preview: expect.stringMatching(/^uc_[0-9a-f]{5}\.\.\.[0-9a-f]{4}$/),
      permissions: ['llm:inference', 'llm:models'],
      is_active: true,
      state: 'active',
      created_at: expect.any(String),
      expires_at: expect.any(String),
      warning: expect.any(String),
    },
  ])
  const {
    api_key: key,
    key_id: id,
    created_at: from,
    expires_at: until,
  } = made.json() as Record<'api_key' | 'key_id' | 'created_at' | 'expires_at', string>
  expect(Date.parse(until) - Date.parse(from)).toBe(90 * 86_400_000)
  expect([(await call(key)).status, (await get(product.tollgate, key ?? '', '/v1/models')).status]).toEqual([200, 200])
  const listed = await get(product.tollgate, keys.alice, PATH)
  expect(listed.body).not.toContain(key)
  expect((await get(product.tollgate, keys.alice, `${PATH}/${id}`)).json()).toMatchObject({
    key_id: id,
    state: 'active',
  })
  expect((await remove(keys.alice, id)).json()).toEqual({
    success: true,
    message: 'API key revoked successfully',
  })
  await expect.poll(async () => (await call(key)).status, { timeout: 20_000 }).toBe(401)
  expect((await remove(keys.alice, id)).status).toBe(404)
})

test('A key does what it was given and nothing else, and makes no key that may do more.', async () => {
  const { keys } = await seed()
  const { api_key: key } = (await make(keys.owner, { name: 'narrow', permissions: ['llm:models', 'keys:own'] })).json()
  const refused = await call(key)
  expect([refused.status, refused.json()]).toMatchObject([403, { error: { code: 'insufficient_scope' } }])
  const wider = await make(String(key), { name: 'wider', permissions: ['llm:inference'] })
  expect([wider.status, wider.json()]).toMatchObject([
    403,
    {
      error: { code: 'permission_denied', param: 'permissions' },
      detail: 'You may not grant "llm:inference": you do not have it yourself.',
    },
  ])
  expect((await make(keys.alice, { name: 'admin', permissions: ['allocations:change'] })).status).toBe(403)
  expect((await make(keys.owner, { name: 'admin', permissions: ['allocations:change'] })).status).toBe(201)
})

test('Nobody sees or revokes the keys of others.', async () => {
  const { keys } = await seed()
  const other = await seed()
  const { key_id: id } = (await make(keys.alice, { name: 'mine' })).json() as { key_id: string }
  for (const stranger of [keys.owner, other.keys.alice]) {
    expect((await get(product.tollgate, stranger, `${PATH}/${id}`)).status).toBe(404)
    expect((await remove(stranger, id)).status).toBe(404)
    expect((await get(product.tollgate, stranger, PATH)).body).not.toContain(id)
  }
})

test.each([
  { body: {}, status: 422, param: 'name' },
  { body: { name: 'x', expires_in_days: 0 }, status: 422, param: 'expires_in_days' },
  { body: { name: 'x', permissions: ['everything'] }, status: 422, param: 'permissions' },
])('$body is refused with $status', async ({ body, status, param }) => {
  const { keys } = await seed()
  const answer = await make(keys.alice, body)
  expect([answer.status, answer.json()]).toMatchObject([status, { error: { param } }])
})

test('The master key belongs to no user, so it makes no key of its own.', async () => {
  expect((await make(MASTER_KEY, { name: 'x' })).status).toBe(403)
  expect((await make(null, { name: 'x' })).status).toBe(401)
})

test('Whoever is signed in chooses the organization they act in; a key, which does not prove who they are, does not.', async () => {
  const [first, second, other] = [await seed(), await seed(), await seed()]
  await product.db.pool.query(
    `update organization_members set user_id = 'carla', joined_at = now() - interval '1 day' * array_position($1, org_id)
      where org_id = any($1) and user_id = 'alice'`,
    [[second.id, first.id]],
  )
  await storedSessions(product.db.database).save('carla-1', { user: { user_id: 'carla' } }, 600)
  const cookie = { cookie: 'session_token=carla-1' }
  const session = async () => {
    const answer = await fetch(`${product.tollgate.url}/auth/session`, { headers: cookie })
    return ((await answer.json()) as { organization_id: string }).organization_id
  }
  const choose = async (body: unknown, headers: Record<string, string> = cookie) => {
    const answer = await fetch(`${product.tollgate.url}/api/v1/account/default-organization`, {
      method: 'PUT',
      headers: { 'content-type': 'application/json', ...headers },
      body: JSON.stringify(body),
    })
    return [answer.status, await answer.json()]
  }
  // Joined last.
  expect(await session()).toBe(second.id)
  for (const { id } of [first, second, first]) {
    expect(await choose({ organization_id: id })).toEqual([200, { organization_id: id }])
    await expect.poll(session, { timeout: 20_000 }).toBe(id)
  }
  expect(await choose({ organization_id: other.id })).toMatchObject([403, { error: { code: 'not_a_member' } }])
  expect(await choose({ organization_id: 'acme' })).toMatchObject([422, { error: { param: 'organization_id' } }])
  const byKey = await choose({ organization_id: other.id }, { authorization: `Bearer ${other.keys.alice}` })
  expect(byKey).toMatchObject([403, { error: { code: 'PERMISSION_DENIED' } }])
  const { rows } = await product.db.pool.query('select org_id from organization_members where is_default')
  expect(rows).toEqual([{ org_id: first.id }])
})
