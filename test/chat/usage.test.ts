/** Where the price comes from: what the provider states, what is counted here when it states nothing usable, and whom not to believe. */
import { expect, test } from 'vitest'
import { rowOfCall } from '../support/call-books.ts'
import { useProduct } from '../support/product.ts'
import { modelOn, postChat } from '../support/tollgate.ts'
import { chatAnswer, chatStream, rawStream, sse } from '../support/upstream-answers.ts'

const product = useProduct((url) => ({
  models: [
    modelOn(url, 'twice', { model: 'openai/exact', n: 2, input_cost_per_token: 0, output_cost_per_token: 0.00002 }),
  ],
}))

/**
 * In o200k_base "user\nSay hello" is 4 tokens; a message's frame adds 3 and the answer's opening 3. "Hello world" is 2.
 * (10 x 150 + 2 x 600) x 1.5 = 4 050 nano-dollars.
 */
const HELLO = { model: 'gpt-4o-mini', messages: [{ role: 'user', content: 'Say hello' }] }
const COUNTED = { prompt_tokens: 10, completion_tokens: 2, total_tokens: 12 }

test('a JSON answer without usage is counted here, marked estimated, and shown with what was counted', async () => {
  const { db, upstream, tollgate } = product
  const acme = await db.seedOrganization({ credits: 1_000, users: { alice: 500 } })
  upstream.respond(chatAnswer({ usage: null }))
  const answer = await postChat(tollgate, acme.keys.alice, HELLO)
  expect(answer.status).toBe(200)
  expect(answer.headers.get('x-cost-provenance')).toBe('estimated')
  expect(answer.headers.get('x-credits-used')).toBe('0.004050')
  expect(answer.json()).toMatchObject({
    choices: [{ message: { content: 'Hello world' } }],
    usage: { ...COUNTED, cost: 0.00000405 },
  })
  const row = await rowOfCall(db.pool, answer.headers.get('x-litellm-call-id'))
  expect(row).toMatchObject({ credits_used: '0.004050', provenance: 'estimated', details: { usage: COUNTED } })
})

test('a stream without usage is counted here too, and the usage frame asked for is made', async () => {
  const { db, upstream, tollgate } = product
  const acme = await db.seedOrganization({ credits: 1_000, users: { alice: 500 } })
  upstream.respond(chatStream({ usage: null }))
  const answer = await postChat(tollgate, acme.keys.alice, {
    ...HELLO,
    stream: true,
    stream_options: { include_usage: true },
  })
  const frames = answer.body.split('\n\n')
  expect(frames.slice(-2)).toEqual(['data: [DONE]', ''])
  expect(JSON.parse(frames.at(-3)?.slice(6) ?? '')).toMatchObject({
    object: 'chat.completion.chunk',
    choices: [],
    usage: { ...COUNTED, cost: 0.00000405 },
  })
  const row = await rowOfCall(db.pool, answer.headers.get('x-litellm-call-id'))
  expect(row).toMatchObject({ credits_used: '0.004050', provenance: 'estimated', outcome: 'answered' })
})

test('what a stream shows after its usage was stated is counted on top, and marked estimated', async () => {
  const { db, upstream, tollgate } = product
  const acme = await db.seedOrganization({ credits: 1_000, users: { alice: 500 } })
  const { frames } = chatStream({ usage: null })
  const early = sse({ id: 'c', model: 'gpt-4o-mini', choices: [], usage: { prompt_tokens: 11, completion_tokens: 0 } })
  upstream.respond(rawStream([early, ...frames]))
  const answer = await postChat(tollgate, acme.keys.alice, { ...HELLO, stream: true })
  expect(answer.body).toBe(frames.join(''))
  const row = await rowOfCall(db.pool, answer.headers.get('x-litellm-call-id'))
  // (11 x 150 + 2 x 600) x 1.5 nano-dollars.
  expect(row).toMatchObject({ credits_used: '0.004275', provenance: 'estimated' })
})

test.each([
  ['negative', { prompt_tokens: -1, completion_tokens: 5, total_tokens: 4 }],
  ['fractional', { prompt_tokens: 11, completion_tokens: 0.5, total_tokens: 11.5 }],
  ['text', { prompt_tokens: '11', completion_tokens: '5', total_tokens: '16' }],
  ['null', { prompt_tokens: null, completion_tokens: 5, total_tokens: 16 }],
  ['beyond 2^53', { prompt_tokens: 11, completion_tokens: 1e300, total_tokens: 1e300 }],
  ['half missing', { prompt_tokens: 11 }],
])('usage that can’t be (%s) counts as missing', async (_, usage) => {
  const { db, upstream, tollgate } = product
  const acme = await db.seedOrganization({ credits: 1_000, users: { alice: 500 } })
  upstream.respond(chatAnswer({ usage }))
  const answer = await postChat(tollgate, acme.keys.alice, HELLO)
  expect(answer.status).toBe(200)
  expect(answer.headers.get('x-cost-provenance')).toBe('estimated')
  expect(answer.headers.get('x-credits-used')).toBe('0.004050')
  expect(answer.json()).toMatchObject({ usage: { ...COUNTED, cost: 0.00000405 } })
})

test.each([false, true])('stated zeros are zeros, not missing (stream: %s)', async (stream) => {
  const { db, upstream, tollgate } = product
  const acme = await db.seedOrganization({ credits: 1_000, users: { alice: 500 } })
  const usage = { prompt_tokens: 0, completion_tokens: 0, total_tokens: 0 }
  upstream.respond(stream ? chatStream({ usage }) : chatAnswer({ usage }))
  const answer = await postChat(tollgate, acme.keys.alice, { ...HELLO, stream })
  const row = await rowOfCall(db.pool, answer.headers.get('x-litellm-call-id'))
  expect(row).toMatchObject({ credits_used: '0.000000', provenance: 'provider_usage', outcome: 'answered' })
  if (!stream) {
    expect(answer.headers.get('x-credits-used')).toBe('0.000000')
    expect(answer.json()).toMatchObject({ usage: { ...usage, cost: 0 } })
  }
})

test.each([false, true])(
  'a charge beyond belief is booked at the quote, marked and alarmed (stream: %s)',
  async (stream) => {
    const { db, upstream, tollgate } = product
    const acme = await db.seedOrganization({ credits: 1_000, users: { alice: 500 } })
    const usage = { prompt_tokens: 11, completion_tokens: 1_000_000_000, total_tokens: 1_000_000_011 }
    upstream.respond(stream ? chatStream({ model: 'exact', usage }) : chatAnswer({ model: 'exact', usage }))
    const answer = await postChat(tollgate, acme.keys.alice, { ...HELLO, model: 'exact', max_tokens: 100, stream })
    const callId = answer.headers.get('x-litellm-call-id')
    expect(await rowOfCall(db.pool, callId)).toMatchObject({
      credits_used: '3.000000',
      provenance: 'disputed',
      details: { usage },
    })
    if (!stream) {
      expect(answer.headers.get('x-cost-provenance')).toBe('disputed')
      expect(answer.headers.get('x-credits-used')).toBe('3.000000')
      expect(answer.headers.get('x-credits-remaining')).toBe('497.000')
    }
    await tollgate.outputMatches(new RegExp(`"level":"error".*"call_id":"${callId}".*DISPUTED`))
  },
)

test('up to twenty times the quote a charge is believed, and booked in full beyond the hold', async () => {
  const { db, upstream, tollgate } = product
  const acme = await db.seedOrganization({ credits: 1_000, users: { alice: 500 } })
  const usage = { prompt_tokens: 11, completion_tokens: 2_000, total_tokens: 2_011 }
  upstream.respond(chatAnswer({ model: 'exact', usage }))
  const answer = await postChat(tollgate, acme.keys.alice, { ...HELLO, model: 'exact', max_tokens: 100 })
  expect(answer.headers.get('x-cost-provenance')).toBe('provider_usage')
  expect(answer.headers.get('x-credits-used')).toBe('60.000000')
  expect(answer.headers.get('x-credits-remaining')).toBe('440.000')
})

test('the model that served sets the price', async () => {
  const { db, upstream, tollgate } = product
  const acme = await db.seedOrganization({ credits: 1_000, users: { alice: 500 } })
  upstream.respond(chatAnswer({ model: 'gpt-4o-2024-08-06' }))
  const answer = await postChat(tollgate, acme.keys.alice, HELLO)
  // (11 x 2 500 + 5 x 10 000) x 1.5
  expect(answer.headers.get('x-credits-used')).toBe('0.116250')
  const row = await rowOfCall(db.pool, answer.headers.get('x-litellm-call-id'))
  expect(row.details).toMatchObject({ upstream_model: 'gpt-4o-mini', served_model: 'gpt-4o-2024-08-06' })
})

test('sound without a price of its own is an unknown price; an operator’s default n is held for', async () => {
  const { db, upstream, tollgate } = product
  const acme = await db.seedOrganization({ credits: 1_000, users: { alice: 500 } })
  const refused = await postChat(tollgate, acme.keys.alice, { ...HELLO, modalities: ['text', 'audio'] })
  expect(refused.status).toBe(400)
  expect(refused.json()).toMatchObject({ error: { code: 'unknown_price', param: 'model' } })
  expect(upstream.requests.filter(({ json }) => json?.modalities !== undefined)).toEqual([])

  upstream.respond(chatAnswer())
  const answer = await postChat(tollgate, acme.keys.alice, { ...HELLO, model: 'twice', max_tokens: 1_000 })
  expect(upstream.requests.at(-1)?.json).toMatchObject({ n: 2 })
  const row = await rowOfCall(db.pool, answer.headers.get('x-litellm-call-id'))
  // 1 000 tokens of each of two choices at $0.00002 and 50 % on top.
  expect(row).toMatchObject({ details: { held: '60' } })
})
