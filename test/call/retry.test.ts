/** What is tried again and what is not, who is asked instead, and that all attempts together are one call: one hold, one charge. */
import { describe, expect, test } from 'vitest'
import { balanceOf, rowOfCall, rowsOf } from '../support/call-books.ts'
import { rowOfRequest } from '../support/call-row.ts'
import { expectRefusal } from '../support/error-shape.ts'
import { openCall } from '../support/open-call.ts'
import { useProduct } from '../support/product.ts'
import { type ModelEntry, modelOn, postChat } from '../support/tollgate.ts'
import { chatAnswer, chatStream, errorAnswer, rawStream, type Script } from '../support/upstream-answers.ts'

const NOWHERE = 'http://127.0.0.1:9/v1'
/** First and second are told apart by weight: the first goes first all but once in millions of calls. */
function deployment(url: string, group: string, which: 'first' | 'second', params: object = {}): ModelEntry {
  const weight = which === 'first' ? 100_000_000 : 1
  const entry = modelOn(url, 'exact', {
    input_cost_per_token: 0,
    output_cost_per_token: 0.00002,
    weight,
    ...params,
  })
  return { ...entry, model_name: group, model_info: { id: `${group}-${which}` } }
}

/** Four of one group. */
function alike(url: string, n: number): ModelEntry {
  const entry = modelOn(url, 'exact', { input_cost_per_token: 0, output_cost_per_token: 0.00002 })
  return { ...entry, model_name: 'four', model_info: { id: `four-${n}` } }
}

const product = useProduct((url) => ({
  models: [
    deployment(NOWHERE, 'half-up', 'first'),
    deployment(url, 'half-up', 'second'),
    deployment(NOWHERE, 'down', 'first'),
    deployment(NOWHERE, 'down', 'second'),
    deployment(url, 'two-accounts', 'first', { api_key: 'sk-first-account' }),
    deployment(url, 'two-accounts', 'second', { api_key: 'sk-second-account' }),
    deployment(NOWHERE, 'dearer', 'first'),
    deployment(url, 'dearer', 'second', { output_cost_per_token: 0.0002 }),
    deployment(NOWHERE, 'capped-first', 'first', { model: 'openai/o4-mini' }),
    deployment(url, 'capped-first', 'second'),
    ...[1, 2, 3, 4].map((n) => alike(url, n)),
    deployment(NOWHERE, 'alone', 'first'),
  ],
  router_settings: { disable_cooldowns: true },
}))

/** 100 tokens of 0.03 credits at most; the answer has 5. */
const EXACT = { model: 'exact', max_tokens: 100, messages: [{ role: 'user', content: 'Go on' }] }
const failing = errorAnswer(500, { message: 'boom' })

/** One script for each request from now on; the last one for all that follow. */
function respondInTurn(...scripts: Script[]): () => number {
  const { upstream } = product
  const before = upstream.requests.length
  const asked = () => upstream.requests.length - before
  upstream.respond((request) => {
    const script = scripts[Math.min(asked(), scripts.length) - 1] ?? 'hangUp'
    if (typeof script === 'string' || script.status !== undefined) return script
    return request.json?.stream === true ? chatStream({ model: 'exact' }) : script
  })
  return asked
}

const answering = chatAnswer({ model: 'exact' })

async function alice(credits = 50): Promise<{ id: string; key: string }> {
  const { id, keys } = await product.db.seedOrganization({ credits: 100, users: { alice: credits } })
  return { id, key: keys.alice }
}

describe.for(['JSON', 'stream'])('a %s call', (kind) => {
  const body = { ...EXACT, stream: kind === 'stream' }

  test('A call that fails twice and then succeeds is charged once.', async () => {
    const { db, tollgate } = product
    const { id, key } = await alice()
    const asked = respondInTurn(failing, 'hangUp', answering)

    const answer = await postChat(tollgate, key, { ...body, model: 'four' })

    expect(answer.status).toBe(200)
    expect(answer.headers.get('x-litellm-attempted-retries')).toBe('2')
    expect(answer.headers.get('x-litellm-attempted-fallbacks')).toBe('0')
    expect(asked()).toBe(3)
    expect(await rowsOf(db.pool, id)).toMatchObject([{ credits_used: '0.150000', outcome: 'answered' }])
    expect(await balanceOf(db.pool, id, 'alice')).toMatchObject({ used: '0.150000', held: '0.000000' })
  })

  test('A call that keeps failing is given up after two other deployments, with the first error, at no cost.', async () => {
    const { db, tollgate } = product
    const { id, key } = await alice()
    const asked = respondInTurn(errorAnswer(503, { message: 'busy' }), failing)
    const answer = await postChat(tollgate, key, { ...body, model: 'four' })
    expectRefusal(answer, { status: 503, code: 'provider_overloaded' })
    expect(asked()).toBe(3)
    expect(await rowsOf(db.pool, id)).toMatchObject([{ credits_used: '0.000000', outcome: 'failed' }])
  })

  test.for([
    { name: 'a bad request', script: errorAnswer(400, { message: 'No.' }), status: 400 },
    { name: 'a rejected account', script: errorAnswer(401, { message: 'No.' }), status: 503 },
    { name: 'a limit of calls', script: errorAnswer(429, { message: 'No.' }), status: 429 },
    {
      name: 'a limit of calls that ends soon',
      script: errorAnswer(429, { message: 'No.' }, { headers: { 'retry-after-ms': '1' } }),
      status: 429,
    },
    { name: 'overload', script: errorAnswer(503, { message: 'busy' }), status: 503 },
    { name: 'a failure', script: failing, status: 503 },
    { name: 'a connection that broke', script: 'hangUp' as const, status: 503 },
  ])('A call is not tried again where it failed, after $name.', async ({ script, status }) => {
    const { db, tollgate } = product
    const { id, key } = await alice()
    const asked = respondInTurn(script, answering)
    expect((await postChat(tollgate, key, body)).status).toBe(status)
    expect(asked()).toBe(1)
    expect(await rowsOf(db.pool, id)).toMatchObject([{ credits_used: '0.000000', outcome: 'failed' }])
  })

  test('A call goes to the second deployment when the first is down.', async () => {
    const { db, tollgate } = product
    const { id, key } = await alice()
    const asked = respondInTurn(answering)

    const answer = await postChat(tollgate, key, { ...body, model: 'half-up' })

    expect(answer.status).toBe(200)
    expect(answer.headers.get('x-litellm-attempted-fallbacks')).toBe('0')
    expect(answer.headers.get('x-litellm-attempted-retries')).toBe('1')
    expect(answer.headers.get('x-litellm-model-id')).toBe('half-up-second')
    expect(answer.headers.get('x-litellm-model-group')).toBe('half-up')
    expect(asked()).toBe(1)
    const row = await rowOfCall(db.pool, answer.headers.get('x-litellm-call-id'))
    expect(row).toMatchObject({ credits_used: '0.150000', details: { deployment: 'half-up-second', retries: 1 } })
    expect(await rowsOf(db.pool, id)).toHaveLength(1)
  })

  test('A call goes to the second account when the first is rejected.', async () => {
    const { upstream, tollgate } = product
    const { key } = await alice()
    const asked = respondInTurn(errorAnswer(401, { message: 'No.' }), answering)
    const answer = await postChat(tollgate, key, { ...body, model: 'two-accounts' })
    expect([answer.status, answer.headers.get('x-litellm-model-id')]).toEqual([200, 'two-accounts-second'])
    expect(asked()).toBe(2)
    const sent = upstream.requests.slice(-2).map(({ headers }) => headers.authorization)
    expect(sent).toEqual(['Bearer sk-first-account', 'Bearer sk-second-account'])
  })

  test('A call fails when all deployments are down, and leaves one row.', async () => {
    const { db, tollgate } = product
    const { id, key } = await alice()
    const answer = await postChat(tollgate, key, { ...body, model: 'down' })
    expectRefusal(answer, { status: 503, code: 'provider_unreachable' })
    expect(await rowsOf(db.pool, id)).toMatchObject([{ credits_used: '0.000000', outcome: 'failed' }])
  })

  test('A call goes to a dearer deployment only where its price is covered too.', async () => {
    const { db, tollgate } = product
    const asked = respondInTurn(answering)
    const poor = await alice(29)
    expectRefusal(await postChat(tollgate, poor.key, { ...body, model: 'dearer' }), {
      status: 503,
      code: 'provider_unreachable',
    })
    expect(asked()).toBe(0)
    expect(await balanceOf(db.pool, poor.id, 'alice')).toMatchObject({ used: '0.000000', held: '0.000000' })

    const rich = await alice(30)
    const answer = await postChat(tollgate, rich.key, { ...body, model: 'dearer' })
    expect([answer.status, asked()]).toEqual([200, 1])
    expect(await rowsOf(db.pool, rich.id)).toMatchObject([{ credits_used: '1.500000', outcome: 'answered' }])
  })
})

test("The second deployment is asked with a cap of its own, not with the first one's.", async () => {
  const { db, upstream, tollgate } = product
  const { keys } = await db.seedOrganization({ credits: 1_000, users: { alice: 900 } })
  respondInTurn(answering)
  // The first reasons unseen, and takes the cap in another member; nobody knows the limit of the second.
  const answer = await postChat(tollgate, keys.alice, { model: 'capped-first', stream: true, messages: EXACT.messages })
  expect(answer.status).toBe(200)
  // Which of the two a server of the operator's reads, nobody knows either.
  expect(upstream.requests.at(-1)?.json).toMatchObject({ max_tokens: 16_384, max_completion_tokens: 16_384 })
})

test('A call that was granted less than it wanted is tried again under the hold it has.', async () => {
  const { upstream, tollgate } = product
  const { key } = await alice(9)
  const asked = respondInTurn(failing, answering)
  // 9 credits are 300 tokens.
  const answer = await postChat(tollgate, key, { ...EXACT, model: 'four', max_tokens: 1_000 })
  expect([answer.status, asked()]).toEqual([200, 2])
  expect(answer.headers.get('x-max-tokens-applied')).toBe('300')
  expect(upstream.requests.at(-1)?.json).toMatchObject({ max_tokens: 300 })
})

test('Nothing is tried again once something was passed on.', async () => {
  const { tollgate } = product
  const { id, key } = await alice()
  const { frames } = chatStream({ model: 'exact', text: ['Hello', ' world'] })
  const cutShort = rawStream(frames, { status: 200, cutAfter: Buffer.byteLength(frames.slice(0, 3).join('')) })
  const asked = respondInTurn(cutShort, answering)
  const call = openCall(tollgate, key, { ...EXACT, model: 'two-accounts', stream: true })
  expect((await call.closed).body).toContain('provider_failed')
  expect(asked()).toBe(1)
  const row = await rowOfRequest(product, call.requestId)
  expect(row).toMatchObject({ org_id: id, credits_used: '0.060000', provenance: 'estimated', outcome: 'cut_off' })
})

test('After its caller left, a call is not tried again.', async () => {
  const { upstream, tollgate } = product
  const { key } = await alice()
  const now = Promise.withResolvers<void>()
  const asked = respondInTurn({ ...failing, beforeHead: now.promise }, answering)
  const before = upstream.requests.length
  const call = openCall(tollgate, key, { ...EXACT, model: 'four', stream: true })
  const request = await upstream.received(before + 1)
  call.leave()
  await request.aborted
  now.resolve()
  const row = await rowOfRequest(product, call.requestId)
  expect(asked()).toBe(1)
  expect(row).toMatchObject({ credits_used: '0.000000', provenance: 'estimated', outcome: 'client_disconnected' })
})

test('A call that got no connection is tried twice more at the same deployment.', async () => {
  const { db, tollgate } = product
  const { id, key } = await alice()
  const answer = await postChat(tollgate, key, { ...EXACT, model: 'alone' })
  expectRefusal(answer, { status: 503, code: 'provider_unreachable' })
  expect(await rowsOf(db.pool, id)).toMatchObject([{ credits_used: '0.000000', outcome: 'failed' }])
  expect(await rowOfCall(db.pool, answer.headers.get('x-litellm-call-id'))).toMatchObject({ details: { retries: 2 } })
})
