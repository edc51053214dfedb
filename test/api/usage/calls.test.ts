/** Lists of calls, one call in full, and what one sees first: every figure is that of the books, and nobody sees another organization's. */
import { describe, expect, test, vi } from 'vitest'
import { newApiKey } from '../../../src/identity/api-key.ts'
import { openCall } from '../../support/open-call.ts'
import { useProduct } from '../../support/product.ts'
import { MASTER_KEY, modelOn, postChat } from '../../support/tollgate.ts'
import { chatAnswer, chatStream, errorAnswer } from '../../support/upstream-answers.ts'

const product = useProduct((url) => ({
  models: [modelOn(url, 'gpt-4o-mini'), modelOn(url, 'gpt-4o', { model: 'openai/gpt-4o' })],
  litellm_settings: { num_retries: 0 },
}))
const ASKED = { model: 'gpt-4o-mini', messages: [{ role: 'user', content: 'Hi' }] }

// biome-ignore lint/suspicious/noExplicitAny: answers are asserted member by member.
async function get(path: string, key: string): Promise<{ status: number; body: any }> {
  const answer = await fetch(`${product.tollgate.url}${path}`, { headers: { authorization: `Bearer ${key}` } })
  return { status: answer.status, body: await answer.json() }
}

const seed = () => product.db.seedOrganization({ credits: 100, users: { alice: 50, bob: 40 } })

async function call(key: string, body: object = ASKED, headers: Record<string, string> = {}): Promise<string> {
  const answer = await postChat(product.tollgate, key, body, { headers })
  return String(answer.headers.get('x-litellm-call-id'))
}

const rows = async (path: string, key: string) => (await get(path, key)).body.data as Record<string, unknown>[]
const idsOf = async (path: string, key: string) => (await rows(path, key)).map(({ call_id: id }) => id)

describe('the list of calls', () => {
  test('The list of calls has one’s own, the newest first, page by page, each with what the books say.', async () => {
    const org = await seed()
    const other = await seed()
    product.upstream.respond(chatAnswer())
    const made = [await call(org.keys.alice), await call(org.keys.alice), await call(org.keys.alice)].reverse()
    const bobs = await call(org.keys.bob)
    await call(other.keys.alice)

    const first = await get('/api/v1/calls?limit=2', org.keys.alice)
    const second = await get(`/api/v1/calls?limit=2&cursor=${first.body.next_cursor}`, org.keys.alice)
    expect([...first.body.data, ...second.body.data].map(({ call_id: id }) => id)).toEqual(made)
    expect(second.body.next_cursor).toBeNull()
    expect(first.body.data[0]).toMatchObject({
      status: 'settled',
      outcome: 'answered',
      model: 'gpt-4o-mini',
      provider: 'openai',
      user: { id: 'alice', name: null },
      organization: { id: org.id },
      key: { id: org.keyIds.alice },
      credits: '0.006975',
      held_credits: '14.7474',
      provenance: 'provider_usage',
      input_tokens: 11,
      output_tokens: 5,
    })
    expect(await idsOf('/api/v1/calls', org.keys.bob)).toEqual([bobs])
  })

  test('The list of calls of an organization is its admins’, that of everybody the operator’s.', async () => {
    const org = await seed()
    await product.db.pool.query(
      `update organization_members set role = 'admin' where org_id = $1 and user_id = 'alice'`,
      [org.id],
    )
    product.upstream.respond(chatAnswer())
    const ids = [await call(org.keys.bob), await call(org.keys.alice)].reverse()
    expect(await idsOf('/api/v1/calls?scope=organization', org.keys.alice)).toEqual(ids)
    expect(await idsOf('/api/v1/calls?scope=organization&user=bob', org.keys.alice)).toEqual([ids[1]])
    for (const [path, key] of [
      ['/api/v1/calls?scope=organization', org.keys.bob],
      ['/api/v1/calls?scope=system', org.keys.alice],
    ] as const)
      expect((await get(path, key)).status).toBe(403)
    expect((await idsOf('/api/v1/calls?scope=system&limit=2', MASTER_KEY)).slice(0, 2)).toEqual(ids)
  })

  test('A call is found by its id, by the beginning of it, and by the X-Request-ID; never somebody else’s.', async () => {
    const org = await seed()
    product.upstream.respond(chatAnswer())
    const id = await call(org.keys.alice, ASKED, { 'x-request-id': 'order-7' })
    for (const q of [id, id.slice(0, 20), id.slice(0, 8).toUpperCase(), 'order-7'])
      expect(await idsOf(`/api/v1/calls?q=${encodeURIComponent(q)}`, org.keys.alice)).toContain(id)
    for (const q of [id.slice(0, 7), 'order', "'; --", '%']) {
      expect(await idsOf(`/api/v1/calls?q=${encodeURIComponent(q)}`, org.keys.alice)).toEqual([])
    }
    expect(await idsOf(`/api/v1/calls?q=${id}`, org.keys.bob)).toEqual([])
    expect(await idsOf(`/api/v1/calls?scope=system&q=${encodeURIComponent('order-7')}`, MASTER_KEY)).toEqual([id])
  })

  test('The list of calls is filtered by model, by key and by how a call ended.', async () => {
    const org = await seed()
    product.upstream.respond(chatAnswer({ model: 'gpt-4o' }))
    const large = await call(org.keys.alice, { ...ASKED, model: 'gpt-4o' })
    product.upstream.respond(errorAnswer(400, { message: 'No.' }))
    const failed = await call(org.keys.alice)
    const found = (filter: string) => idsOf(`/api/v1/calls?${filter}`, org.keys.alice)
    expect(await found('model=gpt-4o')).toEqual([large])
    expect(await found('state=failed')).toEqual([failed])
    expect(await found(`key=${org.keyIds.alice}`)).toEqual([failed, large])
    expect(await found('key=another')).toEqual([])
    const forged = Buffer.from(`99999999999999999 ${failed}`).toString('base64url')
    for (const cursor of ['nonsense', forged])
      expect((await get(`/api/v1/calls?cursor=${cursor}`, org.keys.alice)).status).toBe(422)
    for (const name of ['q', 'state', 'model', 'key'])
      expect((await get(`/api/v1/calls?${name}=%00`, org.keys.alice)).status).toBe(422)
  })

  test('A call that runs is on top, with what it holds; when it has ended it has its charge.', async () => {
    const org = await seed()
    const later = Promise.withResolvers<void>()
    product.upstream.respond(chatStream({ text: ['a', 'b'], gate: (i) => (i === 2 ? later.promise : undefined) }))
    const open = openCall(product.tollgate, org.keys.alice, { ...ASKED, stream: true, max_tokens: 50 })
    const id = String((await open.head).headers['x-litellm-call-id'])
    const [running] = await rows('/api/v1/calls?state=running', org.keys.alice)
    expect(running).toMatchObject({ call_id: id, status: 'running', credits: null, settled_at: null })
    expect(Number(running?.held_credits)).toBeGreaterThan(0)
    const { body: before } = await get('/api/v1/home', org.keys.alice)
    expect(before).toMatchObject({ running_calls: 1, held: running?.held_credits, spent_today: '0' })
    expect((await get(`/api/v1/calls/${id}`, org.keys.alice)).body).toMatchObject({ status: 'running', lines: [] })
    later.resolve()
    await open.closed
    await vi.waitFor(async () => expect(await idsOf('/api/v1/calls?state=answered', org.keys.alice)).toEqual([id]))
    expect(await rows('/api/v1/calls?state=running', org.keys.alice)).toEqual([])
  })
})

describe('a call in full', () => {
  test('The lines of a price add up to the charge, and say what was used at which rate.', async () => {
    const org = await seed()
    const usage = { prompt_tokens: 100, completion_tokens: 20, prompt_tokens_details: { cached_tokens: 40 } }
    product.upstream.respond(chatAnswer({ usage }))
    const id = await call(org.keys.alice)
    const { body } = await get(`/api/v1/calls/${id}`, org.keys.alice)
    expect(body).toMatchObject({
      credits: '0.036',
      cost: '0.000036',
      price_source: 'genai-prices@0.1.8 openai/gpt-4o-mini',
      markup_percent: 50,
      lines: [
        { what: 'Input', quantity: 60, rate: '0.15', cost: '0.000009' },
        { what: 'Input from the cache', quantity: 40, rate: '0.075', cost: '0.000003' },
        { what: 'Output, thoughts included', quantity: 20, rate: '0.6', cost: '0.000012' },
        { what: 'Markup 50 %, power level', quantity: null, rate: null, cost: '0.000012' },
      ],
      attempts: [
        {
          provider: 'openai',
          deployment: expect.stringMatching(/^gpt-4o-mini-scripted/),
          status: 'answered',
          error: null,
        },
      ],
    })
    expect(body.timeline.map(({ what }: { what: string }) => what)).toEqual(['Request', 'Hold', 'Settled'])
  })

  test('A call of somebody else is no call, whatever the route.', async () => {
    const org = await seed()
    const other = await seed()
    product.upstream.respond(chatAnswer())
    const id = await call(org.keys.alice)
    for (const key of [org.keys.bob, other.keys.alice]) {
      const { status, body } = await get(`/api/v1/calls/${id}`, key)
      expect([status, body.error.code]).toEqual([404, 'call_not_found'])
    }
    expect((await get(`/api/v1/calls/${id}`, MASTER_KEY)).body.call_id).toBe(id)
  })
})

test('What one sees first is what the books say: what there is, what was spent, and how long it lasts.', async () => {
  const org = await seed()
  product.upstream.respond(chatAnswer({ usage: { prompt_tokens: 10, completion_tokens: 10_000 } }))
  await call(org.keys.alice)
  // By another key of the same user: what is shown is the user's.
  const { key: another, hash, preview } = newApiKey()
  await product.db.pool.query(
    'insert into tollgate.api_keys (key_hash, preview, org_id, user_id) values ($1, $2, $3, $4)',
    [hash, preview, org.id, 'alice'],
  )
  const { body } = await get('/api/v1/home', another)
  // 10 x 0.15 and 10 000 x 0.6 dollars a million, and half as much again: 9.00225 credits of 50, so 31 days of the same week.
  expect(body).toMatchObject({
    available: '40.99775',
    allocated: '50',
    held: '0',
    running_calls: 0,
    spent_today: '9.00225',
    spent_month: '9.00225',
  })
  const { rows: found } = await product.db.pool.query(`select ((now() at time zone 'UTC')::date + 31)::text as day`)
  expect(body.lasts_until).toBe(found[0].day)
})
