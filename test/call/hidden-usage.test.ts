/** Models that think out of sight: what does not show is held by the clock, read to its end, and charged at the usual share where it can't be. */
import { describe, expect, test, vi } from 'vitest'
import { NO_USAGE } from '../../providers/usage.ts'
import { createHiddenShares } from '../../src/call/hidden-shares.ts'
import { balanceOf } from '../support/call-books.ts'
import { rowOfRequest } from '../support/call-row.ts'
import { type OpenCall, openCall } from '../support/open-call.ts'
import { useProduct } from '../support/product.ts'
import { tellApart } from '../support/tell-apart.ts'
import { modelOn, postChat } from '../support/tollgate.ts'
import { chatStream } from '../support/upstream-answers.ts'

/** Input is free, an output token is 0.03 credits. */
const PRICED = { input_cost_per_token: 0, output_cost_per_token: 0.00002 }
const product = useProduct((url) => ({
  models: [
    modelOn(url, 'thinker', { model: 'openai/o4-mini', ...PRICED }),
    modelOn(url, 'unknown', { model: 'openai/o3-mini', ...PRICED }),
    modelOn(url, 'left', { model: 'xai/grok-4', ...PRICED }),
  ],
  tollgate: {
    caps: { stream_output_tokens: 200, output_tokens: 500, least_output_tokens: 16 },
    read_on_seconds: { xai: 0 },
  },
  litellm_settings: { num_retries: 0 },
}))

const STREAM = { messages: [{ role: 'user', content: 'Think' }], stream: true }
const never = new Promise<never>(() => {})
const seed = (credits: number | string) => product.db.seedOrganization({ credits: 1_000, users: { alice: credits } })
const words = (count: number) => Array.from({ length: count }, () => ' word')
/** Ten tokens of text and so many thoughts. */
const thought = (reasoning: number) => ({
  prompt_tokens: 8,
  completion_tokens: 10 + reasoning,
  completion_tokens_details: { reasoning_tokens: reasoning },
})

describe('a stream that thinks out of sight', () => {
  test('A stream that thinks out of sight begins with a small hold, which grows by the clock up to the cap.', async () => {
    const { db, upstream, tollgate } = product
    const acme = await seed(500)
    const later = Promise.withResolvers<void>()
    const gate = (i: number) => (i === 1 ? later.promise : undefined)
    upstream.respond(chatStream({ text: words(10), model: 'o4-mini', usage: thought(240), gate }))
    const call = openCall(tollgate, acme.keys.alice, { ...STREAM, model: 'thinker', max_tokens: 350 })
    await vi.waitUntil(async () => (await balanceOf(db.pool, acme.id, 'alice')).held === '6.000000', { interval: 5 })
    // At 200 tokens a second nothing that shows has to come: first by a step, then to the cap of 350 tokens, and no further.
    for (const held of ['10.500000', '10.500000'])
      await vi.waitFor(async () => expect(await balanceOf(db.pool, acme.id, 'alice')).toMatchObject({ held }), {
        timeout: 10_000,
        interval: 5,
      })
    later.resolve()
    expect((await call.closed).complete).toBe(true)
    expect(upstream.requests.at(-1)?.json).toMatchObject({ max_completion_tokens: 350 })
    const row = { credits_used: '7.500000', provenance: 'provider_usage', outcome: 'answered' }
    expect(await rowOfRequest(product, call.requestId)).toMatchObject(row)
  })

  test('A stream that thinks out of sight is stopped when its time has used up the credits, and charged with its hidden share.', async () => {
    const { db, upstream, tollgate } = product
    const acme = await seed(9)
    const gate = (i: number) => (i === 11 ? never : undefined)
    upstream.respond(chatStream({ text: words(20), model: 'o3-mini', usage: null, gate }))
    const before = upstream.requests.length
    const call = openCall(tollgate, acme.keys.alice, { ...STREAM, model: 'unknown', max_tokens: 400 })
    const request = await upstream.received(before + 1)
    // 300 tokens take one and a half seconds at the speed this model is taken for.
    const { body, complete } = await call.closed
    await request.aborted
    expect(complete).toBe(true)
    expect(body).toContain('"finish_reason":"length"')
    // Ten tokens shown, and one to one as many that were not.
    const row = { credits_used: '0.600000', provenance: 'estimated', outcome: 'stopped' }
    expect(await rowOfRequest(product, call.requestId)).toMatchObject(row)
    expect(await balanceOf(db.pool, acme.id, 'alice')).toMatchObject({ remaining: '8.400000', held: '0.000000' })
  })

  test('A stream that thinks out of sight and is left by its caller is read to its end and charged at what it states.', async () => {
    const { upstream, tollgate } = product
    const acme = await seed(500)
    const later = Promise.withResolvers<void>()
    const gate = (i: number) => (i === 3 ? later.promise : undefined)
    upstream.respond(chatStream({ text: words(10), model: 'o4-mini', usage: thought(110), gate }))
    const before = upstream.requests.length
    const call = openCall(tollgate, acme.keys.alice, { ...STREAM, model: 'thinker' })
    const request = await upstream.received(before + 1)
    await call.frames(3)
    call.leave()
    await tellApart(tollgate)
    later.resolve()
    await request.answered
    const row = { credits_used: '3.600000', provenance: 'provider_usage', outcome: 'client_disconnected' }
    expect(await rowOfRequest(product, call.requestId)).toMatchObject(row)
  })
})

describe('where it is not read on, what was shown is charged with', () => {
  async function leaveAfter(shown: number, key: string): Promise<OpenCall> {
    const { upstream, tollgate } = product
    const gate = (i: number) => (i === shown + 1 ? never : undefined)
    upstream.respond(chatStream({ text: words(20), model: 'grok-4', usage: null, gate }))
    const before = upstream.requests.length
    const call = openCall(tollgate, key, { ...STREAM, model: 'left' })
    await call.frames(shown + 1)
    call.leave()
    await (await upstream.received(before + 1)).aborted
    return call
  }
  const estimated = { provenance: 'estimated', outcome: 'client_disconnected' }

  test('Where it is not read on, what was shown is charged with as much again, then with the share that settled calls had, and never more than was held.', async () => {
    const { db, upstream, tollgate } = product
    const acme = await seed(500)
    const first = await leaveAfter(4, acme.keys.alice)
    expect(await rowOfRequest(product, first.requestId)).toMatchObject({ credits_used: '0.240000', ...estimated })

    // xAI states thoughts beside the output: 10 tokens of text, 30 of thoughts.
    const usage = { ...thought(30), completion_tokens: 10 }
    upstream.respond(chatStream({ text: words(10), model: 'grok-4', usage }))
    expect((await postChat(tollgate, acme.keys.alice, { ...STREAM, model: 'left' })).status).toBe(200)

    const second = await leaveAfter(4, acme.keys.alice)
    expect(await rowOfRequest(product, second.requestId)).toMatchObject({ credits_used: '0.480000', ...estimated })

    // 17 tokens are held. Ten shown would be forty in all.
    const poor = await seed('0.51')
    const third = await leaveAfter(10, poor.keys.alice)
    expect(await rowOfRequest(product, third.requestId)).toMatchObject({ credits_used: '0.510000', ...estimated })
    expect(await balanceOf(db.pool, poor.id, 'alice')).toMatchObject({ remaining: '0.000000', held: '0.000000' })
  })
})

describe('the usual share of a model', () => {
  const usage = (output: number, reasoning: number) => ({ ...NO_USAGE, output, reasoning })

  test('The usual share of a model is one to one before anything was learned, and follows the last calls.', () => {
    const shares = createHiddenShares()
    expect(shares.hiddenFor('m', 7)).toBe(7)
    shares.learn('m', usage(40, 30), 0)
    expect(shares.hiddenFor('m', 7)).toBe(21)
    for (let call = 0; call < 200; call += 1) shares.learn('m', usage(20, 10), 0)
    expect(shares.hiddenFor('m', 100)).toBe(101)
  })

  test('The usual share of a model is counted by the text where the response names no thoughts.', () => {
    const shares = createHiddenShares()
    shares.learn('claude', usage(50, 0), 80)
    expect(shares.hiddenFor('claude', 10)).toBe(15)
  })

  test('The usual share of a model is kept for the last thousand models that were called.', () => {
    const shares = createHiddenShares()
    for (let model = 0; model <= 1_000; model += 1) shares.learn(`m${model}`, usage(40, 30), 0)
    expect([shares.hiddenFor('m0', 1), shares.hiddenFor('m1', 1)]).toEqual([1, 3])
  })
})
