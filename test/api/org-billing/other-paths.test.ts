/** What documents of Ops-Center promised beside its twelve routes: deductions, organizations, members, and the paths of an older client. */
import { randomUUID } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import { useProduct } from '../../support/product.ts'
import { MASTER_KEY } from '../../support/tollgate.ts'

const product = useProduct((): { tollgate: Record<string, unknown> } => ({
  tollgate: { credits: { add: 'org_admin' }, plans: { byok: { monthly_price: 31.5 } } },
}))
const base = '/api/v1/org-billing'

async function send(
  method: string,
  path: string,
  key: string,
  body?: unknown,
): Promise<{ status: number; json: ReturnType<typeof JSON.parse> }> {
  const response = await fetch(`${product.tollgate.url}${base}${path}`, {
    method,
    headers: {
      authorization: `Bearer ${key}`,
      ...(body === undefined ? {} : { 'content-type': 'application/json' }),
    },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  })
  return { status: response.status, json: await response.json() }
}

const seed = () => product.db.seedOrganization({ credits: 10_000, users: { olga: 1_000, mark: 500 } })

describe('A deduction', () => {
  const deduct = (orgId: string, more = {}) => ({
    org_id: orgId,
    user_id: 'mark',
    credits_used: 50,
    service_type: 'company_enrichment',
    request_id: `req_${randomUUID()}`,
    request_metadata: { company_id: 'acme' },
    ...more,
  })

  test('A deduction charges a member, once for one request id.', async () => {
    const org = await seed()
    const body = deduct(org.id)
    for (let time = 0; time < 2; time++) {
      const { status, json } = await send('POST', '/credits/deduct', org.keys.olga, body)
      expect({ status, json }).toEqual({
        status: 200,
        json: { success: true, org_id: org.id, user_id: 'mark', credits_used: 50, remaining_credits: 450 },
      })
    }
    expect((await send('GET', `/usage/${org.id}/mark?limit=10`, org.keys.mark)).json.usage).toMatchObject([
      {
        service_type: 'company_enrichment',
        credits_used: 50,
        credits_refunded: 0,
        request_metadata: { company_id: 'acme' },
      },
    ])
  })

  test('A deduction that does not fit is refused and changes nothing.', async () => {
    const org = await seed()
    const tooMuch = await send('POST', '/credits/deduct', org.keys.olga, deduct(org.id, { credits_used: 501 }))
    expect(tooMuch).toMatchObject({
      status: 402,
      json: {
        detail: 'Insufficient credits: 500 available, 501 needed',
        error: { code: 'insufficient_credits', available: '500', required: '501' },
      },
    })
    const stranger = await send('POST', '/credits/deduct', org.keys.olga, deduct(org.id, { user_id: 'eve' }))
    expect(stranger).toMatchObject({ status: 403, json: { error: { code: 'no_allocation' } } })
    expect((await send('POST', '/credits/deduct', org.keys.mark, deduct(org.id))).status).toBe(403)
    expect((await send('POST', '/credits/deduct', org.keys.olga, deduct(org.id, { credits_used: -5 }))).status).toBe(
      422,
    )
    expect((await send('POST', '/credits/deduct', MASTER_KEY, deduct(randomUUID()))).status).toBe(404)
    expect((await send('GET', `/allocations/${org.id}/mark`, org.keys.mark)).json.remaining_credits).toBe(500)
  })
})

describe('The paths of an older client', () => {
  test('The paths of an older client read and change the same books.', async () => {
    const org = await seed()
    const sale = { amount: 5000, transaction_type: 'purchase', payment_method: 'stripe', description: 'test' }
    expect(await send('POST', `/credits/${org.id}/transaction`, org.keys.olga, sale)).toMatchObject({
      status: 201,
      json: { id: expect.any(String), total_credits: 15_000 },
    })
    const given = await send('POST', `/allocations/${org.id}`, org.keys.olga, {
      user_id: 'mark',
      allocated_credits: 100,
    })
    expect(given).toMatchObject({ status: 201, json: { allocated_credits: 600, remaining_credits: 600 } })
    const used = {
      service_name: 'openai',
      model: 'gpt-4',
      credits_used: 5,
      request_tokens: 9,
      response_tokens: 4,
      metadata: {},
    }
    expect(await send('POST', `/usage/${org.id}/mark`, org.keys.olga, used)).toMatchObject({
      status: 201,
      json: { remaining_credits: 595 },
    })
    const { json: pool } = await send('GET', `/credits/${org.id}`, org.keys.olga)
    const { json: list } = await send('GET', `/allocations/${org.id}`, org.keys.olga)
    const sum = list.allocations.reduce(
      (all: number, one: { allocated_credits: number }) => all + one.allocated_credits,
      0,
    )
    expect(pool.allocated_credits).toBe(sum)
    expect((await send('GET', `/usage/${org.id}/mark?limit=10`, org.keys.mark)).json.usage[0]).toMatchObject({
      service_name: 'gpt-4',
      credits_used: 5,
    })
    expect((await send('GET', `/usage/${org.id}/olga`, org.keys.mark)).status).toBe(403)
  })

  test('B4 as Ops-Center had it: an admin of the organization adds credits where the configuration allows it.', async () => {
    const org = await seed()
    const add = await send('POST', `/credits/${org.id}/add?credits=5000&purchase_amount=50.00`, org.keys.olga)
    expect(add.json).toMatchObject({ success: true, total_credits: 15_000, available_credits: 13_500 })
    expect(await send('POST', `/credits/${org.id}/add?credits=1`, org.keys.mark)).toMatchObject({
      status: 403,
      json: { detail: 'Not authorized to add credits' },
    })
    const own = await send('POST', '/credits/add', org.keys.olga, { credits: 7 })
    expect(own.json.total_credits).toBe(15_007)
  })

  test('A plan costs what the configuration says.', async () => {
    const org = await seed()
    const { json } = await send('PUT', `/subscriptions/${org.id}/upgrade?new_plan=byok`, org.keys.olga)
    expect(json).toMatchObject({ new_plan: 'byok', new_price: 31.5 })
  })
})

describe('Organizations and members', () => {
  test('Organizations and members are made, listed, renamed, suspended and transferred by those who may.', async () => {
    const name = `org-${randomUUID()}`
    const made = await send('POST', '/organizations', MASTER_KEY, { name, owner_id: 'olga' })
    expect(made).toMatchObject({ status: 201, json: { name, status: 'active' } })
    const { id } = made.json
    expect((await send('POST', '/organizations', MASTER_KEY, { name, owner_id: 'olga' })).status).toBe(409)
    const renamed = await send('PATCH', `/organizations/${id}`, MASTER_KEY, { display_name: 'Olga & Co' })
    expect(renamed.json).toMatchObject({ name, display_name: 'Olga & Co' })
    expect((await send('POST', `/organizations/${id}/suspend`, MASTER_KEY)).json.status).toBe('suspended')
    expect((await send('POST', `/organizations/${id}/resume`, MASTER_KEY)).json.status).toBe('active')
    const members = `/organizations/${id}/members`
    expect((await send('POST', members, MASTER_KEY, { user_id: 'mark' })).json).toMatchObject({ role: 'member' })
    expect((await send('POST', `/organizations/${id}/transfer`, MASTER_KEY, { user_id: 'mark' })).json).toMatchObject({
      user_id: 'mark',
      role: 'owner',
    })
    expect((await send('GET', members, MASTER_KEY)).json).toMatchObject([
      { user_id: 'olga', role: 'admin', joined_at: expect.any(String) },
      { user_id: 'mark', role: 'owner' },
    ])
    const all = (await send('GET', '/organizations', MASTER_KEY)).json
    expect(all.find((one: { id: string }) => one.id === id)).toMatchObject({ role: null, member_count: 2 })
  })

  test('An owner sees the organization, and adds, changes and removes its members.', async () => {
    const org = await seed()
    expect((await send('GET', '/organizations', org.keys.olga)).json).toMatchObject([
      { id: org.id, role: 'owner', member_count: 2 },
    ])
    const members = `/organizations/${org.id}/members`
    expect(await send('POST', members, org.keys.olga, { user_id: 'nina', role: 'admin' })).toMatchObject({
      status: 201,
      json: { user_id: 'nina', role: 'admin' },
    })
    expect((await send('POST', members, org.keys.olga, { user_id: 'nina' })).status).toBe(409)
    expect((await send('PATCH', `${members}/nina`, org.keys.olga, { role: 'billing_admin' })).json.role).toBe(
      'billing_admin',
    )
    expect((await send('POST', members, org.keys.mark, { user_id: 'x' })).json.detail).toBe(
      'Not authorized to manage members',
    )
    const gone = await send('DELETE', `${members}/mark`, org.keys.olga)
    expect(gone.json).toEqual({ success: true, user_id: 'mark', returned_credits: 500 })
    expect((await send('GET', `/credits/${org.id}`, org.keys.olga)).json.available_credits).toBe(9_000)
    expect(await send('DELETE', `${members}/olga`, org.keys.olga)).toMatchObject({
      status: 409,
      json: { error: { code: 'last_owner' } },
    })
    for (const [method, path] of [
      ['GET', members],
      ['DELETE', `${members}/x`],
      ['PATCH', `/organizations/${org.id}`],
    ] as const)
      expect(
        (await send(method, path.replace(org.id, randomUUID()), org.keys.olga, method === 'PATCH' ? {} : undefined))
          .status,
      ).toBe(403)
  })

  test('An admin who is not an owner can neither make nor remove owners.', async () => {
    const org = await seed()
    await send('PATCH', `/organizations/${org.id}/members/mark`, org.keys.olga, { role: 'admin' })
    const members = `/organizations/${org.id}/members`
    await expect
      .poll(async () => (await send('POST', members, org.keys.mark, { user_id: 'z1', role: 'member' })).status)
      .not.toBe(403)
    for (const answer of [
      await send('POST', members, org.keys.mark, { user_id: 'z2', role: 'owner' }),
      await send('PATCH', `${members}/olga`, org.keys.mark, { role: 'member' }),
      await send('DELETE', `${members}/olga`, org.keys.mark),
      await send('POST', `/organizations/${org.id}/transfer`, org.keys.mark, { user_id: 'mark' }),
    ])
      expect(answer.status).toBe(403)
  })

  test('A member is invited by a token; a key does not prove who accepts it.', async () => {
    const org = await seed()
    const invitations = `/organizations/${org.id}/invitations`
    const sent = await send('POST', invitations, org.keys.olga, { email: 'p@example.com', role: 'admin' })
    expect(sent).toMatchObject({ status: 201, json: { role: 'admin', status: 'pending' } })
    expect(await send('POST', '/invitations/accept', org.keys.mark, { token: sent.json.token })).toMatchObject({
      status: 403,
    })
    expect((await send('DELETE', `${invitations}/${sent.json.id}`, org.keys.olga)).json.status).toBe('revoked')
    expect((await send('GET', invitations, org.keys.olga)).json).toMatchObject([
      { id: sent.json.id, status: 'revoked' },
    ])
    expect((await send('DELETE', `${invitations}/nothing`, org.keys.olga)).status).toBe(404)
  })
})
