/** Strings meant to break things, from callers and from providers: they touch the call they came with and nothing else. */
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { balanceOf, rowOfCall, rowsOf } from '../support/call-books.ts'
import { expectRefusal } from '../support/error-shape.ts'
import { useProduct } from '../support/product.ts'
import { modelOn, postChat } from '../support/tollgate.ts'
import { chat, chatAnswer, chatStream, rawStream, sse } from '../support/upstream-answers.ts'

/** An id as YAML can write it, which no header can hold. */
const ODD_ID = 'half of a pair: \ud800'
const product = useProduct((upstream) => ({
  models: [{ ...modelOn(upstream, 'odd', { model: 'openai/gpt-4o-mini' }), model_info: { id: ODD_ID } }],
}))

const HELLO = { model: 'gpt-4o-mini', messages: [{ role: 'user', content: 'Say hello' }] }
const SQL = `'; update user_credit_allocations set allocated_credits = 999999; drop table api_keys; --`
/** JSON text of strings: what JSON.stringify would not write is written out. */
const STRINGS = [
  { name: 'SQL', text: JSON.stringify(SQL) },
  { name: 'NUL', text: '"a\\u0000b"' },
  { name: 'a lone surrogate', text: '"a\\ud800b"', isHalf: true },
  { name: 'emoji and marks', text: JSON.stringify('👩‍👩‍👧 ‮ gnp.exe \u0301') },
  { name: 'line ends', text: JSON.stringify('a\r\nX-Credits-Remaining: 999\r\n\r\ndata: [DONE]\n\n') },
  { name: 'a template', text: JSON.stringify(`\${process.exit()} {{7*7}} %s %n`) },
  { name: 'the name of a prototype', text: '"__proto__"' },
]

let bystander: { id: string; key: string }
beforeEach(async () => {
  const { id, keys } = await product.db.seedOrganization({ credits: 100, users: { bob: 50 } })
  bystander = { id, key: keys.bob }
})
afterEach(async () => {
  const untouched = { used: '0.000000', remaining: '50.000000', held: '0.000000' }
  expect(await balanceOf(product.db.pool, bystander.id, 'bob')).toEqual(untouched)
  product.upstream.respond(chat())
  expect((await postChat(product.tollgate, bystander.key, HELLO)).status).toBe(200)
})

async function alice(): Promise<{ id: string; key: string }> {
  const { id, keys } = await product.db.seedOrganization({ credits: 100, users: { alice: 50 } })
  return { id, key: keys.alice }
}

describe.for(STRINGS)('$name', ({ text, isHalf = false }) => {
  test('A hostile text as the name of a model is refused as an unknown model.', async () => {
    const { id, key } = await alice()
    const before = product.upstream.requests.length
    const answer = await postChat(product.tollgate, key, `{"model":${text},"messages":[{"role":"user","content":"x"}]}`)
    const [status, code] = isHalf ? [400, 'invalid_request'] : [404, 'model_not_found']
    expect([answer.status, answer.json()]).toMatchObject([status, { error: { code, param: 'model' } }])
    expect(product.upstream.requests).toHaveLength(before)
    expect(await rowsOf(product.db.pool, id)).toEqual([])
  })

  test('A hostile text in user, metadata, names and content goes upstream unchanged, and is charged as usual.', async () => {
    const { db, upstream, tollgate } = product
    const { id, key } = await alice()
    upstream.respond(chat())
    const body = `{"model":"gpt-4o-mini","user":${text},"metadata":{"k":${text},${text}:"v"},"messages":[{"role":"user","name":${text},"content":${text}}]}`

    const answer = await postChat(tollgate, key, body)

    if (isHalf) {
      expect([answer.status, answer.json()]).toMatchObject([400, { error: { param: 'user' } }])
      expect(await rowsOf(db.pool, id)).toEqual([])
      return
    }
    expect(answer.status).toBe(200)
    expect(upstream.requests.at(-1)?.body.toString()).toBe(body)
    expect(await rowsOf(db.pool, id)).toMatchObject([{ credits_used: '0.006975', outcome: 'answered' }])
  })

  test('A hostile text from the provider, where we keep what it says, is booked all the same.', async () => {
    const { db, upstream, tollgate } = product
    const { id, key } = await alice()
    const usage = '{"prompt_tokens":11,"completion_tokens":5,"total_tokens":16}'
    const choice = `{"index":0,"message":{"role":"assistant","content":${text}},"finish_reason":"stop"}`
    const raw = `{"id":${text},"model":${text},"service_tier":${text},"choices":[${choice}],"usage":${usage}}`
    upstream.respond({ headers: { 'content-type': 'application/json' }, frames: [raw] })

    const answer = await postChat(tollgate, key, HELLO)

    const shown = raw.replace(`"model":${text}`, () => '"model":"gpt-4o-mini"')
    expect([answer.status, answer.body]).toEqual([200, shown.replace('16}', '16,"cost":0.000006975}')])
    const row = await rowOfCall(db.pool, answer.headers.get('x-litellm-call-id'))
    expect(row).toMatchObject({ org_id: id, credits_used: '0.006975', provenance: 'provider_usage' })
  })

  test('A hostile text from the provider in a stream passes as it is.', async () => {
    const { db, upstream, tollgate } = product
    const { id, key } = await alice()
    const frames = [
      `data: {"id":${text},"model":"gpt-4o-mini","choices":[{"index":0,"delta":{"content":${text}}}]}\n\n`,
      `data: {"id":${text},"model":"gpt-4o-mini","choices":[{"index":0,"delta":{"refusal":${text}},"finish_reason":"stop"}]}\n\n`,
      sse({ choices: [], usage: { prompt_tokens: 11, completion_tokens: 5, total_tokens: 16 } }),
    ]
    upstream.respond(rawStream([...frames, 'data: [DONE]\n\n']))

    const answer = await postChat(tollgate, key, { ...HELLO, stream: true })

    expect(answer.body).toBe(`${frames[0]}${frames[1]}data: [DONE]\n\n`)
    expect(await rowsOf(db.pool, id)).toMatchObject([{ credits_used: '0.006975', outcome: 'answered' }])
  })
})

test('A configured id that no header can hold goes out as one that a header can hold, also from the timer that keeps a stream open.', async () => {
  const { db, upstream, tollgate } = product
  const { id, key } = await alice()
  const spoken = Promise.withResolvers<void>()
  upstream.respond({ ...chatStream(), gate: () => spoken.promise })

  const answer = await fetch(`${tollgate.url}/v1/chat/completions`, {
    method: 'POST',
    headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json' },
    body: JSON.stringify({ ...HELLO, model: 'odd', stream: true }),
  })
  spoken.resolve()

  expect(await answer.text()).toMatch(/^: keep-alive\n\n(?:.|\n)*data: \[DONE\]\n\n$/)
  expect(await rowsOf(db.pool, id)).toMatchObject([
    { outcome: 'answered', details: { deployment: 'half of a pair: \ufffd' } },
  ])
  upstream.respond(chat())
  const whole = await postChat(tollgate, key, { ...HELLO, model: 'odd' })
  expect([whole.status, whole.headers.get('x-litellm-model-id')]).toEqual([200, 'half%20of%20a%20pair%3A%20%EF%BF%BD'])
})

describe('an X-Request-ID', () => {
  test.for([
    { name: 'SQL', id: SQL },
    { name: 'longer than ids are', id: 'x'.repeat(129) },
    { name: 'bytes beyond ASCII', id: 'caf\u00e9' },
    { name: 'markup', id: '<script>alert(1)</script>' },
    { name: 'empty', id: '' },
  ])('An X-Request-ID that can’t be trusted is replaced: $name', async ({ id }) => {
    const { db, upstream, tollgate } = product
    const { id: orgId, key } = await alice()
    upstream.respond(chat())
    const answer = await postChat(tollgate, key, HELLO, { headers: { 'X-Request-ID': id } })
    const callId = answer.headers.get('x-litellm-call-id')
    expect([answer.status, answer.headers.get('x-request-id')]).toEqual([200, callId])
    expect(await rowsOf(db.pool, orgId)).toMatchObject([{ call_id: callId, request_id: null }])
    if (id !== '') expect(tollgate.output()).not.toContain(id)
  })

  test('An X-Request-ID is no billing key: the same one twice is two calls.', async () => {
    const { db, upstream, tollgate } = product
    const { id, key } = await alice()
    upstream.respond(chat())
    const headers = { 'X-Request-ID': 'same-again', 'x-litellm-call-id': '00000000-0000-4000-8000-000000000000' }
    const answers = [
      await postChat(tollgate, key, HELLO, { headers }),
      await postChat(tollgate, key, HELLO, { headers }),
    ]
    expect(answers.map(({ status }) => status)).toEqual([200, 200])
    const ids = answers.map((answer) => answer.headers.get('x-litellm-call-id'))
    expect(new Set([...ids, headers['x-litellm-call-id']]).size).toBe(3)
    const row = { request_id: 'same-again', credits_used: '0.006975' }
    expect(await rowsOf(db.pool, id)).toMatchObject([row, row])
    expect(await balanceOf(db.pool, id, 'alice')).toMatchObject({ used: '0.013950' })
  })
})

test('A provider’s strings of a megabyte are booked short.', async () => {
  const { db, upstream, tollgate } = product
  const { id, key } = await alice()
  const long = 'm'.repeat(1_000_000)
  upstream.respond(chatAnswer({ model: long, finishReason: long }))
  expect((await postChat(tollgate, key, HELLO)).status).toBe(200)
  const rows = await rowsOf(db.pool, id)
  expect(rows).toMatchObject([{ credits_used: '0.006975', outcome: 'answered' }])
  expect(JSON.stringify(rows).length).toBeLessThan(50_000)
})

test.for(['__proto__', 'constructor', 'hasOwnProperty'])(
  'A member named %s is refused like any unknown member.',
  async (name) => {
    const { upstream, tollgate } = product
    const { id, key } = await alice()
    const before = upstream.requests.length
    const body = `{"${name}":{"max_tokens":1,"model":"x"},${JSON.stringify(HELLO).slice(1)}`
    const answer = await postChat(tollgate, key, body)
    expectRefusal(answer, { status: 400, code: 'unsupported_parameter', param: name })
    expect(upstream.requests).toHaveLength(before)
    expect(await rowsOf(product.db.pool, id)).toEqual([])
  },
)

test('A provider that streams without end of line, then nothing, costs nothing.', async () => {
  const { tollgate, upstream } = product
  const { key } = await alice()
  upstream.respond(rawStream([`data: ${'x'.repeat(3_000_000)}`]))
  expectRefusal(await postChat(tollgate, key, { ...HELLO, stream: true }), { status: 503, code: 'provider_failed' })
})

test('An endless stream of roles does not stop the count.', async () => {
  const { db, tollgate, upstream } = product
  const { id, key } = await alice()
  const { frames } = chatStream({ text: Array.from({ length: 50 }, () => '') })
  upstream.respond(rawStream(frames))
  const answer = await postChat(tollgate, key, { ...HELLO, stream: true })
  expect(answer.body.endsWith('data: [DONE]\n\n')).toBe(true)
  expect(await rowsOf(db.pool, id)).toMatchObject([{ credits_used: '0.006975' }])
})
