/** Reports of usage over HTTP: every sum is the books', nobody sees more than may be seen, and files and pages can be trusted. */
import { describe, expect, test } from 'vitest'
import { useProduct } from '../../support/product.ts'
import { MASTER_KEY } from '../../support/tollgate.ts'

const product = useProduct(() => ({
  models: [{ model_name: 'canned', litellm_params: { model: 'openai/gpt-4o-mini', mock_response: 'Hello to you' } }],
}))

async function get(path: string, key: string | null) {
  const headers = key === null ? {} : { authorization: `Bearer ${key}` }
  const response = await fetch(`${product.tollgate.url}${path}`, { headers })
  const text = await response.text()
  const isJson = response.headers.get('content-type')?.startsWith('application/json') === true
  return { status: response.status, headers: response.headers, text, json: isJson ? JSON.parse(text) : null }
}

async function call(key: string): Promise<string> {
  const response = await fetch(`${product.tollgate.url}/v1/chat/completions`, {
    method: 'POST',
    headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json' },
    body: JSON.stringify({ model: 'canned', messages: [{ role: 'user', content: 'Hello' }] }),
  })
  expect(response.status).toBe(200)
  return response.headers.get('x-litellm-call-id') ?? ''
}

/** An organization whose owner is olga. */
const seed = (name?: string) =>
  product.db.seedOrganization({ credits: 10_000, users: { olga: 1_000, mark: 500 }, ...(name ? { name } : {}) })
const deduct = (orgId: string, user: string, credits: string, service: string) =>
  product.db.pool.query('select deduct_credits($1, $2, $3, $4, $5)', [orgId, user, credits, 'search', service])

async function rowOf(callId: string) {
  const { rows } = await product.db.pool.query(
    `select trim_scale(credits_used)::text as credits, trim_scale(credits_used / 1000)::text as dollars, trim_scale(api_cost)::text as cost, details ->> 'key_id' as key_id,
      (details -> 'usage' ->> 'prompt_tokens')::int as input, (details -> 'usage' ->> 'completion_tokens')::int as output,
      to_char(created_at at time zone 'UTC', 'YYYY-MM-DD') as day
    from credit_usage_attribution where call_id = $1`,
    [callId],
  )
  return rows[0]
}

describe('Usage in groups', () => {
  test('A caller sees a call by model, provider and key, with the credits, dollars and tokens of its row.', async () => {
    const org = await seed()
    const row = await rowOf(await call(org.keys.mark))
    await call(org.keys.olga)
    const { status, json } = await get('/api/v1/usage/history?group_by=model,provider,key', org.keys.mark)
    const sums = {
      calls: 1,
      failed_calls: 0,
      credits: Number(row.credits),
      cost: Number(row.dollars),
      provider_cost: Number(row.cost),
      input_tokens: row.input,
      cached_tokens: 0,
      output_tokens: row.output,
    }
    expect(status).toBe(200)
    expect(json).toMatchObject({
      object: 'usage',
      total: sums,
      data: [{ group: { model: 'canned', provider: 'openai', key: row.key_id }, ...sums }],
      next_cursor: null,
    })
    expect(row.key_id).toBe(org.keyIds.mark)
    const current = await get('/api/v1/usage/current', org.keys.mark)
    expect(current.json).toMatchObject({ user_id: 'mark', ...sums, models: [{ model: 'canned', ...sums }] })
    expect(current.text).toContain(`"credits":${row.credits},`)
  })

  test('An admin sees every member, a member only their own usage, and the operator every organization.', async () => {
    const org = await seed()
    await deduct(org.id, 'olga', '1.5', 'pages')
    await deduct(org.id, 'mark', '2.000001', 'pages')
    const all = await get('/api/v1/usage/history?scope=organization&group_by=user', org.keys.olga)
    expect(
      all.json.data.map(({ group, credits }: { group: object; credits: number }) => ({ ...group, credits })),
    ).toEqual([
      { user: 'mark', credits: 2.000001 },
      { user: 'olga', credits: 1.5 },
    ])
    expect((await get('/api/v1/usage/history', org.keys.mark)).json.total.credits).toBe(2.000001)
    const system = await get('/api/v1/usage/history?scope=system&group_by=organization&limit=1000', MASTER_KEY)
    expect(system.json.data).toContainEqual(
      expect.objectContaining({ group: { organization: org.id }, credits: 3.500001 }),
    )
    const { rows } = await product.db.pool.query(
      'select sum(credits_used)::float8 as used from credit_usage_attribution',
    )
    expect(system.json.total.credits).toBe(rows[0].used)
  })

  test.each([
    ['scope=organization', 403],
    ['user_id=olga', 403],
    ['scope=system', 403],
    ['org_id=00000000-0000-4000-8000-000000000001', 403],
    ['org_id=nothing', 404],
    ['group_by=model,model', 422],
    ['group_by=day,week', 422],
    ['group_by=price', 422],
    ['from=yesterday', 422],
    ['from=2030-01-02&to=2030-01-01', 422],
    ['to=9999-12-31', 422],
    ['limit=0', 422],
    ['cursor=x', 422],
    [`group_by=model&cursor=${Buffer.from('["x","y"]').toString('base64url')}`, 422],
    [`cursor=${Buffer.from('["\\u0000"]').toString('base64url')}`, 422],
  ])('A member who asks for %s gets %i.', async (query, status) => {
    const org = await seed()
    for (const route of ['history', 'export'])
      expect((await get(`/api/v1/usage/${route}?${query}`, org.keys.mark)).status, route).toBe(status)
  })

  test('A stranger gets 401 from every route, before anything else is looked at.', async () => {
    for (const path of [
      'current',
      'history?limit=0',
      'limits',
      'features',
      'export',
      'statements/x/y',
      'statements/x/y/page',
    ])
      expect((await get(`/api/v1/usage/${path}`, null)).status, path).toBe(401)
  })

  test('Limits say what is left of credits, features what the plan adds to the price.', async () => {
    const org = await seed()
    await deduct(org.id, 'mark', '20', 'pages')
    expect((await get('/api/v1/usage/limits', org.keys.mark)).json).toMatchObject({
      org_id: org.id,
      user_id: 'mark',
      credits: { allocated: 500, remaining: 480 },
    })
    expect((await get('/api/v1/usage/features', org.keys.mark)).json).toMatchObject({
      plan: 'platform',
      features: { platform_keys: true, own_keys: false },
      markup_percent: 50,
      power_levels: { eco: 0.5, balanced: 1, precision: 2 },
    })
  })
})

describe('Files', () => {
  test('A CSV file has a row for each group; a name that a spreadsheet would run is written as text.', async () => {
    const org = await seed()
    await deduct(org.id, 'mark', '0.25', '=1+1, "x"')
    const { headers, text } = await get('/api/v1/usage/export?group_by=model,user', org.keys.mark)
    expect(headers.get('content-type')).toBe('text/csv; charset=utf-8')
    expect(headers.get('content-disposition')).toMatch(/^attachment; filename="usage-[\d-]+-csv\.csv"$/)
    expect(text).toBe(
      'user,model,calls,failed_calls,credits,cost,provider_cost,input_tokens,cached_tokens,output_tokens\r\n' +
        `mark,"'=1+1, ""x""",1,0,0.25,0.00025,0,0,0,0\r\n`,
    )
  })

  test('A FOCUS file has its columns, the charged dollars as billed cost, and a cursor where there is more.', async () => {
    const org = await seed()
    const row = await rowOf(await call(org.keys.mark))
    await deduct(org.id, 'mark', '1', 'pages')
    const pages: string[][] = []
    for (let cursor: string | null = ''; cursor !== null; ) {
      const { text, headers } = await get(`/api/v1/usage/export?format=focus&limit=1${cursor}`, org.keys.mark)
      pages.push(text.trimEnd().split('\r\n'))
      const next = headers.get('x-next-cursor')
      cursor = next === null ? null : `&cursor=${next}`
    }
    expect(pages.map((lines) => lines.length)).toEqual([2, 2])
    const columns = pages[0]![0]!.split(',')
    const found = pages.map(([, line]) => Object.fromEntries(line!.split(',').map((value, at) => [columns[at], value])))
    const called = found.find(({ ResourceId }) => ResourceId === 'canned')
    expect(called).toMatchObject({
      BilledCost: row.dollars,
      BillingAccountId: org.id,
      BillingCurrency: 'USD',
      ChargePeriodStart: `${row.day}T00:00:00Z`,
      ConsumedQuantity: String(row.input + row.output),
      SubAccountId: 'mark',
      ProviderName: 'openai',
      x_ApiKeyId: org.keyIds.mark,
      x_Credits: row.credits,
    })
  })
})

describe('The monthly statement', () => {
  const month = new Date().toISOString().slice(0, 7)

  test('The statement of the present month closes with what the pool has, in JSON, CSV and on a page without a script.', async () => {
    const org = await seed('Smith & <b>Sons</b>')
    const { credits } = await rowOf(await call(org.keys.mark))
    await deduct(org.id, 'olga', '4.25', 'pages')
    const path = `/api/v1/usage/statements/${org.id}/${month}`
    const { json } = await get(path, org.keys.olga)
    const closing = Number((10_000 - 4.25 - Number(credits)).toFixed(6))
    expect(json).toMatchObject({
      organization: 'Smith & <b>Sons</b>',
      opening_balance: 0,
      purchases: 10_000,
      closing_balance: closing,
      charges_by_user: [
        { name: 'olga', calls: 1, credits: 4.25 },
        { name: 'mark', calls: 1, credits: Number(credits) },
      ],
    })
    const { rows } = await product.db.pool.query(
      'select (total_credits - used_credits)::float8 as has from organization_credit_pools where org_id = $1',
      [org.id],
    )
    expect(rows[0].has).toBe(closing)
    const file = await get(`${path}/csv`, org.keys.olga)
    expect(file.text).toContain(`balance,Closing balance,,${closing}\r\n`)
    const page = await get(`${path}/page`, org.keys.olga)
    expect(page.headers.get('content-security-policy')).toMatch(/^default-src 'none'; style-src 'sha256-[\w+/=]+'; /)
    expect(page.text).not.toMatch(/<script|<b>Sons|\son\w+=/)
    expect(page.text).toContain('Smith &amp; &lt;b&gt;Sons&lt;/b&gt;')
    expect(page.text).toContain(`<td class="n">${closing}</td>`)
  })

  test('A member may not read the statement; a month that has not begun, and a text that is not a month, are refused.', async () => {
    const org = await seed()
    const path = (text: string) => `/api/v1/usage/statements/${org.id}/${text}`
    expect((await get(path(month), org.keys.mark)).status).toBe(403)
    expect((await get(path('8000-01'), org.keys.olga)).status).toBe(404)
    expect((await get(path('2026-13'), org.keys.olga)).status).toBe(422)
  })
})
