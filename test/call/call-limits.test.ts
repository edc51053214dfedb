/** Calls that run at once, and connections to providers, in the product: refused with a code, counted, and nothing is charged. */
import { expect, test } from 'vitest'
import { growth, scrape } from '../observe/samples.ts'
import { rowsOf } from '../support/call-books.ts'
import { useProduct } from '../support/product.ts'
import { type CallAnswer, modelOn, postChat } from '../support/tollgate.ts'
import { chat, chatAnswer } from '../support/upstream-answers.ts'

const HELLO = { model: 'gpt-4o-mini', messages: [{ role: 'user', content: 'Say hello' }] }
const product = useProduct((url) => ({
  models: [
    modelOn(url, 'pair', { model: 'openai/gpt-4o-mini', weight: 100_000_000 }),
    {
      ...modelOn(url.replace('127.0.0.1', 'localhost'), 'pair', { model: 'openai/gpt-4o-mini', weight: 1 }),
      model_info: { id: 'pair-second' },
    },
  ],
  tollgate: { limits: { calls_per_key: 3, provider_connections: 3, connection_wait_seconds: 0.05 } },
  router_settings: { num_retries: 1, disable_cooldowns: true },
}))

/** Calls that run until the gate opens, and have reached the provider. */
async function running(keys: readonly string[], body: object = HELLO): Promise<{ end(): Promise<CallAnswer[]> }> {
  const { upstream, tollgate } = product
  const gate = Promise.withResolvers<void>()
  upstream.respond(chatAnswer({ beforeHead: gate.promise }))
  const calls: Promise<CallAnswer>[] = []
  for (const key of keys) {
    const before = upstream.requests.length
    calls.push(postChat(tollgate, key, body))
    await upstream.received(before + 1)
  }
  return {
    end() {
      gate.resolve()
      return Promise.all(calls)
    },
  }
}

async function seeded() {
  const { db, tollgate, upstream } = product
  const acme = await db.seedOrganization({ credits: 1_000, users: { alice: 400, bob: 400 } })
  const zeta = await db.seedOrganization({ credits: 1_000, users: { carol: 400 } })
  return { db, tollgate, upstream, acme, zeta }
}

test('A key that runs as many calls as it may gets 429 before its request is read.', async () => {
  const { db, tollgate, upstream, acme } = await seeded()
  const before = await scrape(tollgate)
  const gate = Promise.withResolvers<void>()
  // Those that wait for a connection run too.
  upstream.respond(chatAnswer({ beforeHead: gate.promise }))
  const first = upstream.requests.length
  const stalled = Array.from({ length: 2 }, () => postChat(tollgate, acme.keys.alice, HELLO))
  await upstream.received(first + 2)
  const third = postChat(tollgate, acme.keys.alice, { ...HELLO, model: 'pair' })
  await upstream.received(first + 3)
  const refused = await postChat(tollgate, acme.keys.alice, '{"not": "json')
  expect(refused.status).toBe(429)
  expect(refused.headers.get('retry-after')).toBe('1')
  expect(refused.json()).toMatchObject({ error: { code: 'too_many_calls', limit: 'key_calls' } })
  expect(growth(before, await scrape(tollgate), 'tollgate_refused_total')).toEqual({
    'tollgate_refused_total{limit="key_calls"}': 1,
    'tollgate_refused_total{limit="provider_connections"}': 1,
  })
  gate.resolve()
  expect((await Promise.all([...stalled, third])).map(({ status }) => status)).toEqual([200, 200, 200])
  expect((await postChat(tollgate, acme.keys.alice, HELLO)).status).toBe(200)
  expect(await rowsOf(db.pool, acme.id)).toHaveLength(4)
})

test('A call of an organization that uses all its connections waits, fails, and is not charged; another organization finds one.', async () => {
  const { db, tollgate, upstream, acme, zeta } = await seeded()
  const calls = await running([acme.keys.alice, acme.keys.bob])
  const before = upstream.requests.length
  for (const stream of [false, true]) {
    const refused = await postChat(tollgate, acme.keys.alice, { ...HELLO, stream })
    expect(refused.status).toBe(503)
    expect(refused.headers.get('retry-after')).toBe('2')
    expect(refused.json()).toMatchObject({ error: { code: 'provider_overloaded' } })
  }
  expect(upstream.requests).toHaveLength(before)
  const other = postChat(tollgate, zeta.keys.carol, HELLO)
  await upstream.received(before + 1)
  const [, , carol] = [...(await calls.end()), await other]
  expect(carol?.status).toBe(200)
  const rows = await rowsOf(db.pool, acme.id)
  expect(rows.map(({ outcome, credits_used }) => `${outcome} ${credits_used}`)).toEqual([
    'failed 0.000000',
    'failed 0.000000',
    'answered 0.006975',
    'answered 0.006975',
  ])
})

test('A call that finds no free connection goes to the next deployment on another host, where there is one.', async () => {
  const { tollgate, upstream, acme } = await seeded()
  const calls = await running([acme.keys.alice, acme.keys.bob])
  const before = upstream.requests.length
  upstream.respond(chat())
  const answer = await postChat(tollgate, acme.keys.alice, { ...HELLO, model: 'pair' })
  expect(answer.status).toBe(200)
  expect(answer.headers.get('x-litellm-model-id')).toBe('pair-second')
  expect(answer.headers.get('x-litellm-attempted-retries')).toBe('1')
  expect(upstream.requests).toHaveLength(before + 1)
  await calls.end()
})
