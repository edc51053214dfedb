/** /api/v1/account/uc-api-keys: a user's own keys, which may do no more than what made them. */
import { expect, test } from 'vitest'
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
  await expect.poll(async () => (await call(key)).status, { timeout: 5_000 }).toBe(401)
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
