/** Applications that call for an organization, with keys of the configuration. */
import { describe, expect, test } from 'vitest'
import { rowOfCall } from '../support/call-books.ts'
import { useProduct } from '../support/product.ts'
import { get, MASTER_KEY, postChat } from '../support/tollgate.ts'
import { chatAnswer } from '../support/upstream-answers.ts'

const LOOPNET = 'sk-loopnet-8d41f0a2c97be6531f70'
const CENTERDEEP = 'centerdeep/3f9ae1c77d2046b58e01+Zx'

const product = useProduct(() => ({
  tollgate: {
    service_keys: [
      {
        name: 'loopnet',
        key: LOOPNET,
        organization: 'loopnet',
        user: 'loopnet-service',
        act_as: 'members',
        models: ['exact', 'gpt-4o*'],
      },
      { name: 'centerdeep', key: CENTERDEEP, routes: ['llm', 'billing'] },
    ],
  },
}))

/** Charged at 3 credits: 100 tokens of output. */
const BODY = { model: 'exact', max_tokens: 100, messages: [{ role: 'user', content: 'Hello!' }] }

function call(key: string | null, headers: Record<string, string> = {}, body: object = BODY) {
  product.upstream.respond(
    chatAnswer({ model: 'exact', usage: { prompt_tokens: 10, completion_tokens: 100, total_tokens: 110 } }),
  )
  return postChat(product.tollgate, key, body, { headers })
}

async function poolOf(organization: string) {
  const { rows } = await product.db.pool.query(
    `select trim_scale(p.total_credits)::text as total, trim_scale(p.available_credits)::text as available,
      trim_scale(p.used_credits)::text as used from organization_credit_pools p join organizations o on o.id = p.org_id where o.name = $1`,
    [organization],
  )
  return rows[0]
}

async function organizationId(name: string): Promise<string> {
  const { rows } = await product.db.pool.query<{ id: string }>('select id from organizations where name = $1', [name])
  return rows[0]?.id ?? ''
}

async function member(organization: string, user: string, credits: number, role = 'member'): Promise<void> {
  const id = await organizationId(organization)
  await product.db.pool.query('insert into organization_members (org_id, user_id, role) values ($1, $2, $3)', [
    id,
    user,
    role,
  ])
  await product.db.pool.query('select allocate_credits_to_user($1, $2, $3)', [id, user, credits])
}

describe('a configured service', () => {
  test('A configured service has an organization with the plan platform from the first start on, and no credits in it.', async () => {
    const { rows } = await product.db.pool.query(
      `select o.name, s.subscription_plan as plan, a.user_id, a.follows_pool, a.reset_period
        from organizations o join organization_subscriptions s on s.org_id = o.id
        join user_credit_allocations a on a.org_id = o.id where o.name in ('loopnet', 'centerdeep') order by 1`,
    )
    expect(rows).toEqual([
      {
        name: 'centerdeep',
        plan: 'platform',
        user_id: 'centerdeep-service',
        follows_pool: true,
        reset_period: 'never',
      },
      { name: 'loopnet', plan: 'platform', user_id: 'loopnet-service', follows_pool: true, reset_period: 'never' },
    ])
    const refused = await call(CENTERDEEP)
    expect([refused.status, refused.json()]).toMatchObject([402, { error: { code: 'insufficient_credits' } }])
  })

  test('A configured service pays from what its organization has not handed to users, and leaves the rest to be handed out.', async () => {
    const id = await organizationId('loopnet')
    await product.db.pool.query('select add_credits_to_pool($1, 640)', [id])
    const answer = await call(LOOPNET)
    expect([answer.status, answer.headers.get('x-credits-used')]).toEqual([200, '3.000000'])
    expect(await rowOfCall(product.db.pool, answer.headers.get('x-litellm-call-id') ?? '')).toMatchObject({
      org_id: id,
      user_id: 'loopnet-service',
      credits_used: '3.000000',
      details: { key_id: 'service/loopnet' },
    })
    // A 64th of the pool was taken at once.
    expect(await poolOf('loopnet')).toEqual({ total: '640', available: '630', used: '3' })
    await member('loopnet', 'carol', 500)
    expect(await poolOf('loopnet')).toEqual({ total: '640', available: '130', used: '3' })
  })

  test('A configured service never takes what is allocated to others.', async () => {
    const id = await organizationId('centerdeep')
    await product.db.pool.query('select add_credits_to_pool($1, 8)', [id])
    await member('centerdeep', 'dora', 4)
    expect((await call(CENTERDEEP)).status).toBe(200)
    const refused = await call(CENTERDEEP)
    expect([refused.status, refused.json()]).toMatchObject([
      402,
      { error: { code: 'insufficient_credits', required: '3', available: '1' } },
    ])
    expect(await poolOf('centerdeep')).toEqual({ total: '8', available: '0', used: '3' })
  })

  test('A configured service sends its key as a bearer token, in X-Service-Key, or where another SDK puts it.', async () => {
    for (const headers of [
      { 'X-Service-Key': LOOPNET },
      { 'x-api-key': LOOPNET },
      { 'api-key': LOOPNET },
      { 'x-goog-api-key': LOOPNET },
      { 'x-litellm-api-key': `Bearer ${LOOPNET}` },
    ])
      expect([Object.keys(headers), (await call(null, headers)).status]).toEqual([Object.keys(headers), 200])
  })

  test('A configured service calls the models it is restricted to, and is shown no others.', async () => {
    const refused = await call(LOOPNET, {}, { ...BODY, model: 'o4-mini' })
    expect([refused.status, refused.json()]).toMatchObject([
      403,
      { error: { code: 'model_not_allowed', param: 'model' }, detail: expect.stringContaining('"o4-mini"') },
    ])
    const standIn = await call(LOOPNET, {}, { ...BODY, fallbacks: ['exact', 'o4-mini'] })
    expect([standIn.status, standIn.json()]).toMatchObject([403, { error: { code: 'model_not_allowed' } }])
    const { data } = (await get(product.tollgate, LOOPNET, '/v1/models')).json() as { data: { id: string }[] }
    expect(new Set(data.map(({ id }) => id))).toEqual(new Set(['exact', 'gpt-4o', 'gpt-4o-mini']))
    const hidden = await get(product.tollgate, LOOPNET, '/v1/models/o4-mini')
    expect([hidden.status, hidden.json()]).toMatchObject([403, { error: { code: 'model_not_allowed' } }])
  })

  test('A configured service calls the routes it is restricted to, which is decided before anything else.', async () => {
    const refused = await get(product.tollgate, LOOPNET, '/api/v1/admin/audit-log?limit=nonsense')
    expect([refused.status, refused.json()]).toMatchObject([
      403,
      { error: { code: 'route_not_allowed' }, detail: 'This key may not call this route. It may call: llm.' },
    ])
    // No spelling of the path is another one.
    expect((await get(product.tollgate, LOOPNET, '/v1/../api/v1//%61dmin/audit-log')).status).toBe(403)
  })
})

describe('a service that acts as members', () => {
  test('A service that acts as members has the member pay who is named in X-User-ID.', async () => {
    await member('loopnet', 'alice', 10)
    const answer = await call(LOOPNET, { 'X-User-ID': 'alice' })
    expect(answer.status).toBe(200)
    expect(await rowOfCall(product.db.pool, answer.headers.get('x-litellm-call-id') ?? '')).toMatchObject({
      user_id: 'alice',
      credits_used: '3.000000',
    })
    expect(answer.headers.get('x-credits-remaining')).toBe('7.000')
  })

  test('A service that acts as members gets no right that a member has and a service has not.', async () => {
    await member('loopnet', 'owner', 1, 'owner')
    const answer = await get(product.tollgate, LOOPNET, '/api/v1/llm/byok/keys?scope=organization')
    expect([answer.status, answer.json()]).toMatchObject([403, { error: { code: 'permission_denied' } }])
  })

  test('A service that acts as members does not act as a user who is not a member.', async () => {
    await product.db.seedOrganization({ name: 'elsewhere', credits: 10, users: { mallory: 5 } })
    for (const user of ['mallory', 'nobody', 'x'.repeat(300)]) {
      const answer = await call(LOOPNET, { 'X-User-ID': user })
      expect([answer.status, answer.json()]).toMatchObject([403, { error: { code: 'not_a_member' } }])
    }
  })

  test('A service that acts as members must be allowed to; one that is not is refused rather than charged itself.', async () => {
    const answer = await call(CENTERDEEP, { 'X-User-ID': 'dora' })
    expect([answer.status, answer.json()]).toMatchObject([403, { error: { code: 'act_as_not_allowed' } }])
  })
})

describe('a request that names two keys', () => {
  test('A request that names two keys is refused where they disagree, and served where they are the same.', async () => {
    const refused = await call(LOOPNET, { 'x-api-key': CENTERDEEP })
    expect([refused.status, refused.json()]).toMatchObject([401, { error: { code: 'ambiguous_api_key' } }])
    expect((await call(LOOPNET, { 'x-api-key': LOOPNET })).status).toBe(200)
  })

  test('A request that names two keys is the caller of x-litellm-api-key, whatever a proxy put into Authorization.', async () => {
    expect((await call('eyJhbGciOiJub25lIn0.of.another', { 'x-litellm-api-key': LOOPNET })).status).toBe(200)
    expect((await call(LOOPNET, { 'x-litellm-api-key': 'sk-nobodys-key-00000000' })).status).toBe(401)
  })
})

describe('X-Org-ID', () => {
  test('X-Org-ID is refused where it names another organization, no organization, or no id.', async () => {
    const other = await product.db.seedOrganization({ credits: 10, users: { erin: 5 } })
    const own = await organizationId('loopnet')
    const status = async (key: string, id: string) => {
      const answer = await call(key, { 'X-Org-ID': id })
      return [answer.status, (answer.json().error as { code?: string } | undefined)?.code]
    }
    expect(await status(LOOPNET, own)).toEqual([200, undefined])
    expect(await status(LOOPNET, own.toUpperCase())).toEqual([200, undefined])
    expect(await status(LOOPNET, other.id)).toEqual([403, 'not_a_member'])
    expect(await status(LOOPNET, '7d0e7a0e-0000-4000-8000-000000000000')).toEqual([404, 'organization_not_found'])
    expect(await status(LOOPNET, "' or 1=1 --")).toEqual([404, 'organization_not_found'])
    expect(await status(other.keys.erin, own)).toEqual([403, 'not_a_member'])
    // The operator acts anywhere, and pays from an allocation like everybody.
    expect(await status(MASTER_KEY, other.id)).toEqual([403, 'no_allocation'])
    expect(await status(MASTER_KEY, '7d0e7a0e-0000-4000-8000-000000000000')).toEqual([404, 'organization_not_found'])
  })

  test('X-Org-ID of a suspended organization is refused.', async () => {
    const { id, keys } = await product.db.seedOrganization({ credits: 10, users: { frank: 5 } })
    await product.db.pool.query(`update organizations set status = 'suspended' where id = $1`, [id])
    const answer = await call(keys.frank, { 'X-Org-ID': id })
    expect([answer.status, answer.json()]).toMatchObject([403, { error: { code: 'organization_suspended' } }])
  })
})
