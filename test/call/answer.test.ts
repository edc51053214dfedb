/** A JSON call: what comes back, what it says it cost, what is booked, what went upstream. */
import { expect, test } from 'vitest'
import { balanceOf, expectBooksMatch, rowOfCall } from '../support/call-books.ts'
import { useProduct } from '../support/product.ts'
import { MASTER_KEY, postChat, UPSTREAM_KEY } from '../support/tollgate.ts'
import { chat, chatAnswer, jsonAnswer } from '../support/upstream-answers.ts'

const product = useProduct()

/** 11 x $0.15 + 5 x $0.60 a million tokens is $0.00000465; with the platform plan's 50 % on top, 0.006975 credits. */
const HELLO = { model: 'gpt-4o-mini', messages: [{ role: 'user', content: 'Say hello' }] }

test('A response is the upstream’s, byte for byte, with the cost in usage.cost.', async () => {
  const { db, upstream, tollgate } = product
  const acme = await db.seedOrganization({ credits: 1_000, users: { alice: 500 } })
  const raw =
    '{ "id":"chatcmpl-1", "object": "chat.completion","created":1700000000,"model":"gpt-4o-mini","x":1.0,"big":9007199254740993,' +
    '"choices":[{"index":0,"message":{"role":"assistant","content":"caf\\u00e9 \\ud83d\\ude00"},"finish_reason":"stop"}],\n' +
    '  "usage": {"prompt_tokens":11,"completion_tokens":5, "total_tokens":16}}\n'
  upstream.respond({
    headers: { 'content-type': 'application/json' },
    frames: [raw],
    usage: { prompt_tokens: 11, completion_tokens: 5 },
  })

  const answer = await postChat(tollgate, acme.keys.alice, HELLO)

  expect(answer.status).toBe(200)
  expect(answer.body).toBe(raw.replace('"total_tokens":16}', '"total_tokens":16,"cost":0.000006975}'))
  await expectBooksMatch(db.pool, upstream.tally)
})

test('The headers say what the call was and cost.', async () => {
  const { db, upstream, tollgate } = product
  upstream.respond(chat())
  const acme = await db.seedOrganization({ credits: 1_000, users: { alice: 500 } })

  const answer = await postChat(tollgate, acme.keys.alice, HELLO, { headers: { 'X-Request-ID': 'trace-1' } })

  const milliseconds = expect.stringMatching(/^\d+\.\d{3}$/)
  expect(Object.fromEntries(answer.headers)).toEqual({
    'content-type': 'application/json; charset=utf-8',
    'content-length': String(Buffer.byteLength(answer.body)),
    'x-request-id': 'trace-1',
    'x-litellm-call-id': expect.stringMatching(/^[0-9a-f]{8}-[0-9a-f-]{27}$/),
    'x-provider-used': 'openai',
    'x-litellm-model-id': 'gpt-4o-mini-scripted',
    'x-litellm-model-group': 'gpt-4o-mini',
    'x-byok': 'false',
    'x-org-credits': 'true',
    'x-cost-incurred': '0.006975',
    'x-credits-used': '0.006975',
    'x-cost-provenance': 'provider_usage',
    'x-credits-remaining': '499.993',
    'x-litellm-response-cost': '0.000006975',
    'x-litellm-response-cost-input': '0.000002475',
    'x-litellm-response-cost-output': '0.0000045',
    'x-litellm-key-spend': '0.000006975',
    'x-litellm-attempted-retries': '0',
    'x-litellm-attempted-fallbacks': '0',
    'x-ratelimit-limit': 'unlimited',
    'x-ratelimit-remaining': 'unlimited',
    'x-ratelimit-reset': expect.stringMatching(/^\d{10}$/),
    'x-ratelimit-tier': 'founders-friend',
    'x-litellm-response-duration-ms': milliseconds,
    'x-litellm-overhead-duration-ms': milliseconds,
    'x-content-type-options': 'nosniff',
    'referrer-policy': 'no-referrer',
    'content-security-policy': "frame-ancestors 'none'",
    date: expect.any(String),
    connection: 'keep-alive',
    'keep-alive': expect.any(String),
  })
  const block = [...answer.headers].map(([name, value]) => `${name}: ${value}\r\n`).join('')
  expect(block.length).toBeLessThan(4096)
})

test('The call is booked to its user, at the provider’s cost and the markup.', async () => {
  const { db, tollgate } = product
  const acme = await db.seedOrganization({ credits: 1_000, users: { alice: 500, bob: 100 } })

  const answer = await postChat(tollgate, acme.keys.bob, HELLO, { headers: { 'X-Request-ID': 'trace-2' } })

  expect(await rowOfCall(db.pool, answer.headers.get('x-litellm-call-id'))).toMatchObject({
    entry: 'charge',
    org_id: acme.id,
    user_id: 'bob',
    credits_used: '0.006975',
    api_cost: '0.000004650',
    markup_applied: '0.000002325',
    total_cost: '0.000006975',
    service_name: 'gpt-4o-mini',
    request_id: 'trace-2',
    provenance: 'provider_usage',
    outcome: 'answered',
    details: {
      key_id: acme.keyIds.bob,
      provider: 'openai',
      deployment: 'gpt-4o-mini-scripted',
      upstream_model: 'gpt-4o-mini',
      power_level: 'balanced',
      markup_percent: 50,
      stream: false,
      finish_reasons: ['stop'],
      usage: { prompt_tokens: 11, completion_tokens: 5, total_tokens: 16 },
    },
  })
  expect(await balanceOf(db.pool, acme.id, 'bob')).toEqual({
    used: '0.006975',
    remaining: '99.993025',
    held: '0.000000',
  })
  expect(await balanceOf(db.pool, acme.id, 'alice')).toMatchObject({ used: '0.000000' })
  await expectBooksMatch(db.pool, product.upstream.tally)
})

test('A key’s spend adds up over its calls.', async () => {
  const { db, tollgate } = product
  const acme = await db.seedOrganization({ credits: 1_000, users: { alice: 500 } })
  const spends: (string | null)[] = []
  for (let call = 0; call < 3; call += 1)
    spends.push((await postChat(tollgate, acme.keys.alice, HELLO)).headers.get('x-litellm-key-spend'))
  expect(spends).toEqual(['0.000006975', '0.00001395', '0.000020925'])
})

test('Cached and reasoning tokens have their own cost headers, and cached ones their own price.', async () => {
  const { db, upstream, tollgate } = product
  const acme = await db.seedOrganization({ credits: 1_000, users: { alice: 500 } })
  upstream.respond(
    chatAnswer({
      usage: {
        prompt_tokens: 100,
        completion_tokens: 50,
        total_tokens: 150,
        prompt_tokens_details: { cached_tokens: 40 },
        completion_tokens_details: { reasoning_tokens: 30 },
      },
    }),
  )
  const { headers } = await postChat(tollgate, acme.keys.alice, HELLO)
  upstream.respond(chat())

  // (60 x 150 + 40 x 75 + 50 x 600) x 1.5 = 63 000 nano-dollars
  expect(headers.get('x-credits-used')).toBe('0.063000')
  expect(headers.get('x-litellm-response-cost-input')).toBe('0.0000135')
  expect(headers.get('x-litellm-response-cost-cache-read')).toBe('0.0000045')
  expect(headers.get('x-litellm-response-cost-output')).toBe('0.000045')
  expect(headers.get('x-litellm-response-cost-reasoning')).toBe('0.000027')
})

test('The master key spends in the organization default, without markup, held and booked like every call.', async () => {
  const { db, tollgate } = product
  const { headers } = await postChat(tollgate, MASTER_KEY, HELLO)
  expect(headers.get('x-org-credits')).toBe('false')
  expect(headers.get('x-credits-used')).toBe('0.004650')
  expect(headers.get('x-litellm-key-spend')).toBeNull()
  const row = await rowOfCall(db.pool, headers.get('x-litellm-call-id'))
  expect(row).toMatchObject({ user_id: 'admin', credits_used: '0.004650', markup_applied: '0.000000000' })
  const { rows } = await db.pool.query('select name from organizations where id = $1', [row.org_id])
  expect(rows).toEqual([{ name: 'default' }])
})

test('All of several choices come back, and the hold covers each.', async () => {
  const { db, upstream, tollgate } = product
  const acme = await db.seedOrganization({ credits: 1_000, users: { alice: 500 } })
  const choice = (index: number) => ({
    index,
    message: { role: 'assistant', content: `c${index}` },
    finish_reason: 'stop',
  })
  const body = {
    id: 'chatcmpl-n',
    object: 'chat.completion',
    created: 1,
    model: 'exact',
    choices: [choice(0), choice(1)],
    usage: { prompt_tokens: 11, completion_tokens: 200, total_tokens: 211 },
  }
  upstream.respond(jsonAnswer(body))
  const answer = await postChat(tollgate, acme.keys.alice, { ...HELLO, model: 'exact', n: 2, max_tokens: 100 })
  upstream.respond(chat())

  expect(answer.json()).toEqual({ ...body, usage: { ...body.usage, cost: 0.006 } })
  expect(answer.headers.get('x-credits-used')).toBe('6.000000')
  const row = await rowOfCall(db.pool, answer.headers.get('x-litellm-call-id'))
  expect(row).toMatchObject({ credits_used: '6.000000', details: { held: '6' } })
})

const TOOLS = '"tools":[{"type":"function","function":{"name":"now","parameters":{"type":"object","properties":{}}}}]'
const PIXEL =
  'data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=='

test.each([
  ['tools', `{"model":"gpt-4o-mini","messages":[{"role":"user","content":"now?"}], ${TOOLS},"tool_choice":"auto"}`],
  [
    'an image',
    `{"model":"gpt-4o-mini","messages":[{"role":"user","content":[{"type":"text","text":"what?"},{"type":"image_url","image_url":{"url":"${PIXEL}"}}]}],"max_tokens":10,"max_completion_tokens":10}`,
  ],
  [
    'a seed beyond 2^53 and a float that is an integer',
    '{"model":"gpt-4o-mini","seed":9223372036854775807,"temperature":1.0,"messages":[{"role":"user","content":"\\u0041"}]}',
  ],
  [
    'members that other servers of the dialect take',
    '{"model":"gpt-4o-mini","messages":[{"role":"user","content":"x"}],"metadata":{"a":"b"},"reasoning":{"effort":"low"}}',
  ],
])('%s: the request goes upstream byte for byte.', async (_, body) => {
  const { db, upstream, tollgate } = product
  const acme = await db.seedOrganization({ credits: 1_000, users: { alice: 500 } })
  const answer = await postChat(tollgate, acme.keys.alice, body)
  expect(answer.status).toBe(200)
  expect(upstream.requests.at(-1)?.body.toString()).toBe(body)
})

test('The provider sees the operator’s key, and nothing of the caller’s headers.', async () => {
  const { db, upstream, tollgate } = product
  const acme = await db.seedOrganization({ credits: 1_000, users: { alice: 500 } })
  await postChat(tollgate, acme.keys.alice, HELLO, {
    headers: {
      Cookie: 'session=1',
      'X-Power-Level': 'eco',
      'X-Request-ID': 'trace-3',
      'OpenAI-Organization': 'org-mine',
    },
  })
  const { headers = {}, path } = upstream.requests.at(-1) ?? {}
  expect(path).toBe('/v1/chat/completions')
  expect(headers.authorization).toBe(`Bearer ${UPSTREAM_KEY}`)
  expect(new Set(Object.keys(headers))).toEqual(
    new Set([
      'accept',
      'accept-encoding',
      'authorization',
      'connection',
      'content-length',
      'content-type',
      'host',
      'user-agent',
    ]),
  )
})

test('A tool call comes back untouched.', async () => {
  const { db, upstream, tollgate } = product
  const acme = await db.seedOrganization({ credits: 1_000, users: { alice: 500 } })
  const call = { id: 'call_1', type: 'function', function: { name: 'now', arguments: '{"zone":"UTC"}' } }
  const message = { role: 'assistant', content: null, tool_calls: [call] }
  upstream.respond(
    jsonAnswer({
      id: 'chatcmpl-t',
      object: 'chat.completion',
      created: 1,
      model: 'gpt-4o-mini',
      choices: [{ index: 0, message, finish_reason: 'tool_calls' }],
      usage: { prompt_tokens: 11, completion_tokens: 5, total_tokens: 16 },
    }),
  )
  const answer = await postChat(tollgate, acme.keys.alice, HELLO)
  upstream.respond(chat())
  expect(answer.json()).toMatchObject({ choices: [{ message, finish_reason: 'tool_calls' }] })
})

test('The older path without /v1 is the same route.', async () => {
  const { db, tollgate } = product
  const acme = await db.seedOrganization({ credits: 1_000, users: { alice: 500 } })
  const answer = await postChat(tollgate, acme.keys.alice, HELLO, { path: '/chat/completions' })
  expect(answer.status).toBe(200)
  expect(answer.headers.get('x-credits-used')).toBe('0.006975')
  await expectBooksMatch(db.pool, product.upstream.tally)
})

test('Every token the provider bills is on the books, also of calls at the same time.', async () => {
  const { db, upstream, tollgate } = product
  const acme = await db.seedOrganization({ credits: 1_000, users: { alice: 500 } })
  upstream.respond(chatAnswer({ usage: { prompt_tokens: 1_234, completion_tokens: 567, total_tokens: 1_801 } }))
  const answers = await Promise.all(Array.from({ length: 8 }, () => postChat(tollgate, acme.keys.alice, HELLO)))
  expect(answers.map(({ status }) => status)).toEqual(Array(8).fill(200))
  // (1 234 x 150 + 567 x 600) x 1.5 = 787 950 nano-dollars each
  expect(await balanceOf(db.pool, acme.id, 'alice')).toMatchObject({ used: '6.303600' })
  await expectBooksMatch(db.pool, upstream.tally)
})
