/** What a caller can look up: the models there are, and what a call has cost. */
import { randomUUID } from 'node:crypto'
import { expect, test } from 'vitest'
import { useProduct } from '../support/product.ts'
import { get, MASTER_KEY, modelOn, postChat } from '../support/tollgate.ts'
import { chatStream } from '../support/upstream-answers.ts'

const product = useProduct((url) => ({
  models: [modelOn(url, 'gpt-4.1'), modelOn(url, 'gpt-4.1', { weight: 2 })],
  router_settings: { model_group_alias: { fast: 'gpt-4o-mini' } },
}))
const HELLO = { model: 'gpt-4o-mini', messages: [{ role: 'user', content: 'Say hello' }] }

test('GET /v1/models lists every name once, aliases included.', async () => {
  const { db, tollgate } = product
  const acme = await db.seedOrganization({ credits: 1_000, users: { alice: 500 } })
  const answer = await get(tollgate, acme.keys.alice, '/v1/models')
  const names = ['gpt-4o-mini', 'gpt-4o', 'o4-mini', 'exact', 'gpt-4.1', 'fast']
  expect(answer.status).toBe(200)
  expect(answer.json()).toEqual({
    object: 'list',
    data: names.map((id) => ({ id, object: 'model', created: 0, owned_by: 'tollgate' })),
  })
  expect((await get(tollgate, null, '/v1/models')).status).toBe(401)
})

test('An alias is called by its name and booked under its group.', async () => {
  const { db, upstream, tollgate } = product
  const acme = await db.seedOrganization({ credits: 1_000, users: { alice: 500 } })
  const answer = await postChat(tollgate, acme.keys.alice, { ...HELLO, model: 'fast' })
  expect(answer.headers.get('x-litellm-model-group')).toBe('gpt-4o-mini')
  expect(upstream.requests.at(-1)?.json?.model).toBe('gpt-4o-mini')
})

test('GET /v1/calls/{id} shows what a call cost, to those it concerns.', async () => {
  const { db, tollgate } = product
  const acme = await db.seedOrganization({ credits: 1_000, users: { olivia: 100, alice: 100, bob: 100 } })
  const other = await db.seedOrganization({ credits: 1_000, users: { eve: 100 } })
  const answer = await postChat(tollgate, acme.keys.alice, HELLO, { headers: { 'X-Request-ID': 'trace-9' } })
  const callId = answer.headers.get('x-litellm-call-id')
  const path = `/v1/calls/${callId}`

  const shown = await get(tollgate, acme.keys.alice, path)
  expect(shown.status).toBe(200)
  expect(shown.json()).toMatchObject({
    object: 'call',
    call_id: callId,
    request_id: 'trace-9',
    status: 'settled',
    outcome: 'answered',
    organization_id: acme.id,
    user_id: 'alice',
    model: 'gpt-4o-mini',
    credits: '0.006975',
    cost: '0.000006975',
    api_cost: '0.00000465',
    markup: '0.000002325',
    provenance: 'provider_usage',
    usage: { prompt_tokens: 11, completion_tokens: 5, total_tokens: 16 },
  })
  const statusFor = async (key: string | null) => (await get(tollgate, key, path)).status
  expect(await statusFor(acme.keys.olivia), 'the organization’s owner').toBe(200)
  expect(await statusFor(MASTER_KEY), 'the operator').toBe(200)
  expect(await statusFor(acme.keys.bob), 'another member').toBe(404)
  expect(await statusFor(other.keys.eve), 'the owner of another organization').toBe(404)
  expect(await statusFor(null), 'nobody').toBe(401)
})

test.each([randomUUID(), 'nonsense', '%00', "'; drop table organizations; --", 'x'.repeat(3_000)])(
  'An unknown call gets 404: %.40s.',
  async (id) => {
    const { db, tollgate } = product
    const acme = await db.seedOrganization({ credits: 1_000, users: { alice: 500 } })
    const answer = await get(tollgate, acme.keys.alice, `/v1/calls/${id.startsWith('%') ? id : encodeURIComponent(id)}`)
    expect(answer.status).toBe(404)
    expect(answer.json()).toMatchObject({
      error: { code: expect.stringMatching(/^(call_)?not_found$/), type: 'not_found_error' },
    })
  },
)

test('A running call shows as running, with what it holds.', async () => {
  const { db, upstream, tollgate } = product
  const acme = await db.seedOrganization({ credits: 1_000, users: { alice: 500 } })
  const gate = Promise.withResolvers<void>()
  upstream.respond(chatStream({ model: 'exact', gate: (i) => (i === 2 ? gate.promise : undefined) }))
  const answer = await fetch(`${tollgate.url}/v1/chat/completions`, {
    method: 'POST',
    headers: { authorization: `Bearer ${acme.keys.alice}`, 'content-type': 'application/json' },
    body: JSON.stringify({ ...HELLO, model: 'exact', max_tokens: 100, stream: true }),
  })
  expect(answer.status).toBe(200)
  const callId = answer.headers.get('x-litellm-call-id')
  const running = await get(tollgate, acme.keys.alice, `/v1/calls/${callId}`)
  gate.resolve()
  await answer.text()
  expect(running.json()).toEqual({
    object: 'call',
    call_id: callId,
    status: 'running',
    organization_id: acme.id,
    user_id: 'alice',
    held_credits: '3',
    started_at: expect.stringMatching(/^\d{4}-\d\d-\d\dT/),
  })
  const settled = await get(tollgate, acme.keys.alice, `/v1/calls/${callId}`)
  // 5 output tokens at $0.00002 and 50 % on top
  expect(settled.json()).toMatchObject({ status: 'settled', credits: '0.15', cost: '0.00015' })
})
