/** What bounds a call whose caller set no cap: the hold grows with the stream, and where it can't, the stream ends. */
import { describe, expect, test, vi } from 'vitest'
import { balanceOf, rowOfCall } from '../support/call-books.ts'
import { rowOfRequest } from '../support/call-row.ts'
import { type OpenCall, openCall } from '../support/open-call.ts'
import { useProduct } from '../support/product.ts'
import { postChat } from '../support/tollgate.ts'
import { chat, chatStream, errorAnswer, rawStream, sse } from '../support/upstream-answers.ts'

const product = useProduct(() => ({
  tollgate: { caps: { stream_output_tokens: 200, output_tokens: 500, least_output_tokens: 16 } },
  litellm_settings: { num_retries: 0 },
}))

/** Input is free, an output token is 0.03 credits. */
const EXACT = { model: 'exact', messages: [{ role: 'user', content: 'Go on' }] }
const STREAMED = { ...EXACT, stream: true }
const words = (count: number) => Array.from({ length: count }, () => ' word')
const finish = (reason: string) => sse({ model: 'exact', choices: [{ index: 0, delta: {}, finish_reason: reason }] })

/** Frames that go out one by one, each when the caller has the one before it. */
function inStep(text: readonly string[]): { frames: string[]; follow: (call: OpenCall) => void; gate: GateOf } {
  const { promise, resolve } = Promise.withResolvers<OpenCall>()
  return {
    frames: text.map((content) => sse({ model: 'exact', choices: [{ index: 0, delta: { content } }] })),
    follow: resolve,
    gate: async (i) => (i === 0 ? undefined : (await promise).frames(i)),
  }
}
type GateOf = (i: number) => Promise<unknown>

async function heldFor(callId: string): Promise<string> {
  const { rows } = await product.db.pool.query<{ held_credits: string }>(
    'select held_credits from tollgate.ledger_holds where call_id = $1',
    [callId],
  )
  return rows[0]?.held_credits ?? 'no hold'
}

describe('a stream without a cap', () => {
  test('A stream without a cap starts with a hold for the first tokens; the cap sent where no limit is known is not held yet.', async () => {
    const { db, upstream, tollgate } = product
    const acme = await db.seedOrganization({ credits: 1_000, users: { alice: 500 } })
    const later = Promise.withResolvers<void>()
    const usage = { prompt_tokens: 8, completion_tokens: 150 }
    upstream.respond(chatStream({ text: words(150), model: 'exact', usage, gate: gateAt(2, later.promise) }))
    const call = openCall(tollgate, acme.keys.alice, STREAMED)
    await call.frames(2)
    const callId = String((await call.head).headers['x-litellm-call-id'])
    expect(await heldFor(callId)).toBe('6.000000')
    expect((await call.head).headers).toMatchObject({ 'x-max-tokens-applied': '500' })

    later.resolve()
    const { body, complete } = await call.closed
    expect(complete).toBe(true)
    expect(body.match(/" word"/g)).toHaveLength(150)
    expect(body.endsWith('data: [DONE]\n\n')).toBe(true)
    expect(upstream.requests.at(-1)?.json).toMatchObject({ max_tokens: 500 })
    const row = await rowOfCall(db.pool, callId)
    expect(row).toMatchObject({ credits_used: '4.500000', provenance: 'provider_usage', outcome: 'answered' })
  })

  test('A stream without a cap has its larger hold on the books while it runs.', async () => {
    const { db, upstream, tollgate } = product
    const acme = await db.seedOrganization({ credits: 1_000, users: { alice: 500 } })
    const later = Promise.withResolvers<void>()
    const usage = { prompt_tokens: 8, completion_tokens: 110 }
    upstream.respond(chatStream({ text: words(110), model: 'exact', usage, gate: gateAt(111, later.promise) }))
    const call = openCall(tollgate, acme.keys.alice, STREAMED)
    await call.frames(111)
    const callId = String((await call.head).headers['x-litellm-call-id'])

    await vi.waitFor(async () => expect(await heldFor(callId)).toBe('7.500000'), { timeout: 10_000, interval: 20 })
    expect(await balanceOf(db.pool, acme.id, 'alice')).toMatchObject({ used: '0.000000', held: '7.500000' })

    later.resolve()
    expect((await call.closed).complete).toBe(true)
    expect(await balanceOf(db.pool, acme.id, 'alice')).toMatchObject({ used: '3.300000', held: '0.000000' })
  })

  test('A stream without a cap is noted with what it delivered in the step that extends its hold.', async () => {
    const { db, upstream, tollgate } = product
    const acme = await db.seedOrganization({ credits: 1_000, users: { alice: 500 } })
    const later = Promise.withResolvers<void>()
    const stream = inStep(words(104))
    // Looks are 32 bytes apart at least: the first one with half of the 200 tokens left comes after 515 bytes, 103 words.
    const gate = (i: number) => (i === 103 ? later.promise : stream.gate(i))
    upstream.respond(rawStream([...stream.frames, finish('stop'), 'data: [DONE]\n\n'], { gate }))
    const call = openCall(tollgate, acme.keys.alice, STREAMED)
    stream.follow(call)
    const callId = String((await call.head).headers['x-litellm-call-id'])
    const progress = async () => {
      const { rows } = await db.pool.query(
        'select held_credits as held, checkpoint_credits as delivered from tollgate.ledger_holds where call_id = $1',
        [callId],
      )
      return rows[0]
    }
    // Read together: the checkpoint of every two seconds must have no time to make up for one that is missing.
    const first = await vi
      .waitUntil(
        async () => {
          const found = await progress()
          return found?.held === '6.000000' ? null : found
        },
        { timeout: 10_000, interval: 5 },
      )
      .finally(later.resolve)
    expect(first).toEqual({ held: '7.500000', delivered: '3.090000' })

    expect((await call.closed).complete).toBe(true)
    expect(await balanceOf(db.pool, acme.id, 'alice')).toMatchObject({ used: '3.120000', held: '0.000000' })
  })

  test.for([
    { name: 'a token a frame', text: words(1_000), overshoot: 1, extendedBy: 200 },
    {
      name: 'ten tokens a frame',
      text: Array.from({ length: 100 }, () => ' word'.repeat(10)),
      overshoot: 10,
      extendedBy: 20,
    },
  ])(
    'A stream without a cap is stopped with finish reason length when the money is used up: $name',
    async ({ text, overshoot, extendedBy }) => {
      const { db, upstream, tollgate } = product
      const acme = await db.seedOrganization({ credits: 1_000, users: { alice: 9 } })
      const stream = inStep(text)
      const allTaken = () =>
        vi.waitFor(async () => expect(await balanceOf(db.pool, acme.id, 'alice')).toMatchObject({ held: '9.000000' }), {
          timeout: 10_000,
          interval: 10,
        })
      // The hold starts with 6 credits and has grown by the last 3 long before they are used up, however slow the disk is.
      const gate = (i: number) => (i === extendedBy ? stream.gate(i).then(allTaken) : stream.gate(i))
      upstream.respond(rawStream(stream.frames, { gate }))
      const before = upstream.requests.length
      const call = openCall(tollgate, acme.keys.alice, { ...STREAMED, stream_options: { include_usage: true } })
      stream.follow(call)

      const { body, complete } = await call.closed

      await (await upstream.received(before + 1)).aborted
      expect(complete).toBe(true)
      const frames = body.split('\n\n').slice(0, -1)
      const [end, usage, done] = frames.slice(-3)
      expect(payload(end)).toMatchObject({ choices: [{ index: 0, delta: {}, finish_reason: 'length' }] })
      expect(done).toBe('data: [DONE]')
      const shown = body.split(' word').length - 1
      // 9 credits are 300 tokens. What can be owed is what passes while they are counted: here a frame at most.
      expect(shown).toBeGreaterThanOrEqual(300)
      expect(shown).toBeLessThanOrEqual(300 + overshoot)
      const { used, remaining, held } = await balanceOf(db.pool, acme.id, 'alice')
      expect([used, held]).toEqual([`${(shown * 0.03).toFixed(6)}`, '0.000000'])
      expect(Number(remaining)).toBeGreaterThanOrEqual(-0.03 * overshoot)
      expect(payload(usage)).toMatchObject({
        choices: [],
        usage: { completion_tokens: shown, cost: Number((shown * 0.00003).toFixed(5)) },
      })
      const row = await rowOfRequest(product, call.requestId)
      expect(row).toMatchObject({ credits_used: used, provenance: 'estimated', outcome: 'stopped' })
    },
  )

  const dense = (delta: object) => sse({ model: 'exact', choices: [{ index: 0, delta }] })
  test.for([
    { name: 'small frames first', of: (content: string) => ({ content }) },
    { name: 'text in a delta of an unknown kind', of: (text: string) => ({ musings: [{ text }] }) },
  ])('A stream without a cap does not outrun its money, whatever its frames are like: $name', async ({ of }) => {
    const { db, upstream, tollgate } = product
    const acme = await db.seedOrganization({ credits: 1_000, users: { alice: 9 } })
    const small = inStep(Array(50).fill(' word'))
    const frames = [...small.frames, ...Array.from({ length: 50 }, () => dense(of(' word'.repeat(100))))]
    upstream.respond(rawStream(frames, { gate: small.gate }))
    const call = openCall(tollgate, acme.keys.alice, STREAMED)
    small.follow(call)

    const { body, complete } = await call.closed

    expect(complete).toBe(true)
    expect(body).toContain('"finish_reason":"length"')
    // 300 tokens are covered; the frame in which the last of them comes is passed on whole: 50 + 3 x 100 tokens at 0.03 credits.
    expect(body.split(' word').length - 1).toBe(350)
    expect(await rowOfRequest(product, call.requestId)).toMatchObject({
      credits_used: '10.500000',
      provenance: 'estimated',
      outcome: 'stopped',
    })
    expect(await balanceOf(db.pool, acme.id, 'alice')).toMatchObject({ remaining: '-1.500000', held: '0.000000' })
  })

  test('A stream without a cap that comes faster than it can be counted is read no further than its money, within a frame.', async () => {
    const { db, upstream, tollgate } = product
    const acme = await db.seedOrganization({ credits: 1_000, users: { alice: 9 } })
    const { frames } = chatStream({
      text: words(3_000),
      model: 'exact',
      usage: { prompt_tokens: 8, completion_tokens: 3_000 },
    })
    upstream.respond(rawStream([frames.join('')]))
    const call = openCall(tollgate, acme.keys.alice, STREAMED)
    const { body, complete } = await call.closed
    expect(complete).toBe(true)
    expect(body).toContain('"finish_reason":"length"')

    // 300 tokens are covered, and a piece of the network holds some 500 frames: it is read in parts.
    const shown = body
      .split('\n\n')
      .filter((frame) => frame.includes('"content":"') && !frame.includes('"content":""')).length
    expect(shown).toBeGreaterThanOrEqual(300)
    expect(shown).toBeLessThanOrEqual(302)
    const row = await rowOfRequest(product, call.requestId)
    const charged = (shown * 0.03).toFixed(6)
    expect(row).toMatchObject({ credits_used: charged, provenance: 'estimated', outcome: 'stopped' })
    const remaining = (9 - shown * 0.03).toFixed(6)
    expect(await balanceOf(db.pool, acme.id, 'alice')).toMatchObject({ remaining, held: '0.000000' })
    expect((await postChat(tollgate, acme.keys.alice, { ...EXACT, max_tokens: 1 })).status).toBe(402)
  })

  test('A stream without a cap of several choices ends each of them.', async () => {
    const { db, upstream, tollgate } = product
    const acme = await db.seedOrganization({ credits: 1_000, users: { alice: 500 } })
    const never = new Promise<never>(() => {})
    const first = sse({ model: 'exact', choices: [{ index: 0, delta: { content: 'one' } }] })
    const ended = finish('stop')
    upstream.respond(rawStream([first, ended], { gate: gateAt(2, never) }))
    const call = openCall(tollgate, acme.keys.alice, { ...STREAMED, n: 3 })
    await call.frames(2)
    // 200 tokens for each of three choices.
    expect(await heldFor(String((await call.head).headers['x-litellm-call-id']))).toBe('18.000000')
    call.leave()
    expect(await rowOfRequest(product, call.requestId)).toMatchObject({ credits_used: '0.030000' })
  })
})

describe('when less is granted than wanted', () => {
  test.for([
    { name: 'no cap of its own', body: {}, cap: 300 },
    { name: 'max_tokens', body: { max_tokens: 1_000 }, cap: 300 },
    { name: 'max_completion_tokens', body: { max_completion_tokens: 1_000 }, cap: 300 },
    { name: 'several choices', body: { n: 2, max_tokens: 400 }, cap: 150 },
  ])(
    'Where less is granted than wanted, the cap that fits goes upstream and the caller is told: $name',
    async ({ body, cap }) => {
      const { db, upstream, tollgate } = product
      const acme = await db.seedOrganization({ credits: 1_000, users: { alice: 9 } })
      upstream.respond(chat({ model: 'exact' }))

      const answer = await postChat(tollgate, acme.keys.alice, { ...EXACT, ...body })

      expect([answer.status, answer.headers.get('x-max-tokens-applied')]).toEqual([200, String(cap)])
      // Nobody knows which of the two a server of the operator's reads.
      const sent = { ...EXACT, ...body, max_tokens: cap, max_completion_tokens: cap }
      expect(upstream.requests.at(-1)?.json).toEqual(sent)
      expect(await balanceOf(db.pool, acme.id, 'alice')).toMatchObject({ used: '0.150000', held: '0.000000' })
    },
  )

  test('A stream is capped too, and says so in its head.', async () => {
    const { db, upstream, tollgate } = product
    const acme = await db.seedOrganization({ credits: 1_000, users: { alice: 3 } })
    upstream.respond(chat({ model: 'exact' }))
    const call = openCall(tollgate, acme.keys.alice, STREAMED)
    expect((await call.closed).complete).toBe(true)

    expect((await call.head).headers).toMatchObject({ 'x-max-tokens-applied': '100' })
    expect(upstream.requests.at(-1)?.json).toMatchObject({ max_tokens: 100 })
  })

  test('What is granted in full is neither capped nor changed.', async () => {
    const { db, upstream, tollgate } = product
    const acme = await db.seedOrganization({ credits: 1_000, users: { alice: 9 } })
    upstream.respond(chat({ model: 'exact' }))
    const body = JSON.stringify({ ...EXACT, max_tokens: 300, max_completion_tokens: 300 })

    const answer = await postChat(tollgate, acme.keys.alice, body)

    expect([answer.status, answer.headers.get('x-max-tokens-applied')]).toEqual([200, null])
    expect(upstream.requests.at(-1)?.body.toString()).toBe(body)
  })

  test('A call is refused below the least worth starting for.', async () => {
    const { db, upstream, tollgate } = product
    const acme = await db.seedOrganization({ credits: 1_000, users: { alice: '0.479999', bob: '0.48' } })
    upstream.respond(chat({ model: 'exact' }))
    const before = upstream.requests.length

    const answer = await postChat(tollgate, acme.keys.alice, EXACT)
    expect(answer.status).toBe(402)
    expect(answer.json()).toMatchObject({ error: { required: '0.48', available: '0.479999' } })
    expect(upstream.requests).toHaveLength(before)

    const granted = await postChat(tollgate, acme.keys.bob, EXACT)
    expect([granted.status, granted.headers.get('x-max-tokens-applied')]).toEqual([200, '16'])
  })
})

describe('a call that can’t be watched gets a cap', () => {
  test.for([
    { name: 'a JSON call', body: { model: 'gpt-4o-mini' }, sent: { max_tokens: 500, max_completion_tokens: 500 } },
    { name: 'a model that reasons unseen', body: { model: 'o4-mini' }, sent: { max_completion_tokens: 500 } },
    {
      name: 'its stream too',
      body: { model: 'o4-mini', stream: true },
      sent: { max_completion_tokens: 500, stream_options: { include_usage: true } },
    },
  ])('A call that can’t be watched gets a cap: $name', async ({ body, sent }) => {
    const { db, upstream, tollgate } = product
    const acme = await db.seedOrganization({ credits: 1_000, users: { alice: 500 } })
    upstream.respond(chat({ model: body.model }))

    const answer = await postChat(tollgate, acme.keys.alice, { ...EXACT, ...body })

    expect([answer.status, answer.headers.get('x-max-tokens-applied')]).toEqual([200, '500'])
    expect(upstream.requests.at(-1)?.json).toEqual({ ...EXACT, ...body, ...sent })
  })
})

test('While the provider is silent, comments keep the connection open; a caller who leaves then pays for the input, and a provider that fails then costs nothing.', async () => {
  const { db, upstream, tollgate } = product
  const acme = await db.seedOrganization({ credits: 1_000, users: { alice: 100, bob: 100, carol: 100 } })
  const now = Promise.withResolvers<void>()
  upstream.respond(({ json }) => {
    if (json?.user === 'leaves') return 'silence'
    if (json?.user === 'fails') return errorAnswer(500, { message: 'boom' }, { beforeHead: now.promise })
    return chatStream({ beforeHead: now.promise })
  })
  const ask = (key: string, user: string) => openCall(tollgate, key, { ...STREAMED, model: 'gpt-4o-mini', user })
  const before = upstream.requests.length
  const [leaves, fails, stays] = [
    ask(acme.keys.alice, 'leaves'),
    ask(acme.keys.bob, 'fails'),
    ask(acme.keys.carol, 'stays'),
  ]
  for (const call of [leaves, fails, stays]) expect(await call.frames(1)).toEqual([': keep-alive\n\n'])
  expect((await leaves.head).status).toBe(200)

  const requests = await Promise.all([1, 2, 3].map((n) => upstream.received(before + n)))
  leaves.leave()
  await requests.find(({ json }) => json?.user === 'leaves')?.aborted
  now.resolve()

  // 3 for the message, 3 for the answer's start, 3 of text: 9 x 0.000225.
  const left = await rowOfRequest(product, leaves.requestId)
  expect(left).toMatchObject({ credits_used: '0.002025', provenance: 'estimated', outcome: 'client_disconnected' })
  expect(await fails.closed).toEqual({
    complete: true,
    body: `: keep-alive\n\n${sse({
      error: {
        message: 'OpenAI failed to answer. Try again shortly.',
        type: 'server_error',
        param: null,
        code: 'provider_failed',
      },
      detail: 'OpenAI failed to answer. Try again shortly.',
    })}`,
  })
  expect(await rowOfRequest(product, fails.requestId)).toMatchObject({ credits_used: '0.000000', outcome: 'failed' })
  const { body } = await stays.closed
  expect(body).toContain('"content":"Hello"')
  expect(body.endsWith('data: [DONE]\n\n')).toBe(true)
  expect(await rowOfRequest(product, stays.requestId)).toMatchObject({ credits_used: '0.006975', outcome: 'answered' })
})

function gateAt(frame: number, until: Promise<unknown>): (i: number) => Promise<unknown> | undefined {
  return (i) => (i === frame ? until : undefined)
}

function payload(frame: string | undefined): Record<string, unknown> {
  return JSON.parse(frame?.replace(/^data: /, '') ?? 'null') as Record<string, unknown>
}
