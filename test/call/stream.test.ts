/** A streaming call: the provider's frames as they came, the end only after the books. */
import { expect, test, vi } from 'vitest'
import { expectBooksMatch, rowOfCall } from '../support/call-books.ts'
import { openCall } from '../support/open-call.ts'
import { useProduct } from '../support/product.ts'
import { everyByte } from '../support/splits.ts'
import { postChat } from '../support/tollgate.ts'
import { chat, chatStream, DEFAULT_USAGE, rawStream, sse } from '../support/upstream-answers.ts'

const product = useProduct()
const HELLO = { model: 'gpt-4o-mini', messages: [{ role: 'user', content: 'Say hello' }], stream: true }
const WITH_USAGE = { ...HELLO, stream_options: { include_usage: true } }
const frames = chatStream().frames.map(String)
const usageFrame = frames.at(-2) ?? ''

test('Frames arrive as the provider sent them; usage that only we asked for is left out.', async () => {
  const { db, upstream, tollgate } = product
  const acme = await db.seedOrganization({ credits: 1_000, users: { alice: 500 } })
  const answer = await postChat(tollgate, acme.keys.alice, HELLO)
  expect(answer.status).toBe(200)
  expect(answer.body).toBe(frames.filter((frame) => frame !== usageFrame).join(''))
  expect(upstream.requests.at(-1)?.json).toEqual({ ...HELLO, stream_options: { include_usage: true } })
  await expectBooksMatch(db.pool, upstream.tally)
})

test('Usage that the caller asked for comes with the cost, last before [DONE].', async () => {
  const { db, upstream, tollgate } = product
  const acme = await db.seedOrganization({ credits: 1_000, users: { alice: 500 } })
  const answer = await postChat(tollgate, acme.keys.alice, WITH_USAGE)
  const priced = usageFrame.replace('"total_tokens":16}', '"total_tokens":16,"cost":0.000006975}')
  expect(answer.body).toBe(frames.map((frame) => (frame === usageFrame ? priced : frame)).join(''))
  await expectBooksMatch(db.pool, upstream.tally)
})

test('The headers of a stream hold what is known when they leave, and nothing about the cost.', async () => {
  const { db, tollgate } = product
  const acme = await db.seedOrganization({ credits: 1_000, users: { alice: 500 } })
  const answer = await postChat(tollgate, acme.keys.alice, HELLO)
  const milliseconds = expect.stringMatching(/^\d+\.\d{3}$/)
  expect(Object.fromEntries(answer.headers)).toEqual({
    'content-type': 'text/event-stream; charset=utf-8',
    'cache-control': 'no-cache, no-store, must-revalidate',
    'x-accel-buffering': 'no',
    'x-request-id': expect.any(String),
    'x-litellm-call-id': expect.stringMatching(/^[0-9a-f]{8}-[0-9a-f-]{27}$/),
    'x-provider-used': 'openai',
    'x-litellm-model-id': 'gpt-4o-mini-scripted',
    'x-litellm-model-group': 'gpt-4o-mini',
    'x-byok': 'false',
    'x-org-credits': 'true',
    'x-litellm-attempted-retries': '0',
    'x-litellm-attempted-fallbacks': '0',
    'x-litellm-key-spend': '0',
    'x-ratelimit-limit': 'unlimited',
    'x-ratelimit-remaining': 'unlimited',
    'x-ratelimit-reset': expect.stringMatching(/^\d{10}$/),
    'x-ratelimit-tier': 'founders-friend',
    'x-litellm-response-duration-ms': milliseconds,
    'x-litellm-overhead-duration-ms': milliseconds,
    'x-content-type-options': 'nosniff',
    'referrer-policy': 'no-referrer',
    'content-security-policy': "frame-ancestors 'none'",
    'transfer-encoding': 'chunked',
    date: expect.any(String),
    connection: 'keep-alive',
    'keep-alive': expect.any(String),
  })
})

test('When the end of a stream arrives, the call is on the books.', async () => {
  const { db, tollgate } = product
  const acme = await db.seedOrganization({ credits: 1_000, users: { alice: 500 } })
  const answer = await postChat(tollgate, acme.keys.alice, HELLO)
  expect(await rowOfCall(db.pool, answer.headers.get('x-litellm-call-id'))).toMatchObject({
    credits_used: '0.006975',
    provenance: 'provider_usage',
    outcome: 'answered',
    details: { stream: true, finish_reasons: ['stop'], usage: DEFAULT_USAGE },
  })
})

test('Frames cut anywhere on the wire, in the middle of a character too, arrive whole.', async () => {
  const { db, upstream, tollgate } = product
  const acme = await db.seedOrganization({ credits: 1_000, users: { alice: 500 } })
  const sent = chatStream({ text: ['na', 'ïve ', '😀', ' done'], split: everyByte })
  upstream.respond(sent)
  const answer = await postChat(tollgate, acme.keys.alice, HELLO)
  upstream.respond(chat())
  const kept = sent.frames.map(String).filter((frame) => !frame.includes('"usage"'))
  expect(answer.body).toBe(kept.join(''))
  await expectBooksMatch(db.pool, upstream.tally)
})

test('Several choices and tool calls pass frame by frame.', async () => {
  const { db, upstream, tollgate } = product
  const acme = await db.seedOrganization({ credits: 1_000, users: { alice: 500 } })
  const frame = (index: number, delta: unknown, finish: string | null) =>
    sse({
      id: 'c',
      object: 'chat.completion.chunk',
      created: 1,
      model: 'gpt-4o-mini',
      choices: [{ index, delta, finish_reason: finish }],
    })
  const call = (args: string) => ({ tool_calls: [{ index: 0, function: { arguments: args } }] })
  const parts = [
    frame(0, { role: 'assistant', content: 'a' }, null),
    frame(
      1,
      { role: 'assistant', tool_calls: [{ index: 0, id: 'call_1', function: { name: 'f', arguments: '' } }] },
      null,
    ),
    frame(1, call('{"x":'), null),
    frame(0, {}, 'stop'),
    frame(1, call('1}'), null),
    frame(1, {}, 'tool_calls'),
  ]
  const usage = sse({
    id: 'c',
    object: 'chat.completion.chunk',
    created: 1,
    model: 'gpt-4o-mini',
    choices: [],
    usage: DEFAULT_USAGE,
  })
  upstream.respond(rawStream([...parts, usage, 'data: [DONE]\n\n'], { usage: DEFAULT_USAGE }))
  const answer = await postChat(tollgate, acme.keys.alice, { ...HELLO, n: 2 })
  upstream.respond(chat())
  expect(answer.body).toBe(`${parts.join('')}data: [DONE]\n\n`)
  const row = await rowOfCall(db.pool, answer.headers.get('x-litellm-call-id'))
  expect(row.details).toMatchObject({ finish_reasons: ['stop', 'tool_calls'] })
  await expectBooksMatch(db.pool, upstream.tally)
})

test('While the provider has not responded, the checkpoint of the call is the price of its input.', async () => {
  const { db, upstream, tollgate } = product
  const acme = await db.seedOrganization({ credits: 1_000, users: { alice: 500 } })
  const later = Promise.withResolvers<void>()
  upstream.respond(chatStream({ beforeHead: later.promise }))
  const before = upstream.requests.length
  const call = openCall(tollgate, acme.keys.alice, HELLO)
  await upstream.received(before + 1)
  const noted = async () => {
    const { rows } = await db.pool.query(
      'select state, checkpoint_credits as credits, checkpoint_api_cost as cost from tollgate.ledger_holds where request_id = $1',
      [call.requestId],
    )
    // Ten tokens at 150 nano-dollars, and 50 % on top.
    expect(rows).toEqual([{ state: 'open', credits: '0.002250', cost: '0.000001500' }])
  }
  await vi.waitFor(noted, { timeout: 10_000, interval: 10 }).finally(later.resolve)
  expect((await call.closed).complete).toBe(true)
})
