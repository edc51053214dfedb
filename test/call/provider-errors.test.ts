/** Providers that refuse, fail, stay away or talk nonsense: what the caller is told, and that it costs nothing unless something was delivered. */
import { describe, expect, test } from 'vitest'
import { balanceOf } from '../support/call-books.ts'
import { rowOfRequest } from '../support/call-row.ts'
import { expectRefusal, type Refusal } from '../support/error-shape.ts'
import { openCall } from '../support/open-call.ts'
import { useProduct } from '../support/product.ts'
import { type CallAnswer, get, modelOn, postChat } from '../support/tollgate.ts'
import {
  type Answer,
  chatAnswer,
  chatStream,
  errorAnswer,
  jsonAnswer,
  rawStream,
  type Script,
  sse,
  textAnswer,
} from '../support/upstream-answers.ts'

/** Nothing listens there: port 9 is below those a server is given. */
const NOWHERE = 'http://127.0.0.1:9/v1'
const product = useProduct((url) => ({
  models: [
    { ...modelOn(url, 'gpt-4o-mini', { timeout: 0.3 }), model_name: 'hurried', model_info: { id: 'hurried' } },
    { ...modelOn(NOWHERE, 'gpt-4o-mini'), model_name: 'away', model_info: { id: 'away' } },
  ],
  litellm_settings: { num_retries: 0 },
}))

const HELLO = { model: 'gpt-4o-mini', messages: [{ role: 'user', content: 'Say hello now' }] }
/** 10 tokens of input (6 of framing, 4 of text) at 0.000225 credits and two of output at 0.0009. */
const TWO_WORDS = '0.004050'
/** As providers put them into messages. */
const LEAKS = ['sk-proj-Abc123Def456', 'sk-proj-****************XyZ9', 'org-SecretOrg0001', 'proj_SecretProject1']
const LEAKY = `Incorrect API key provided: ${LEAKS[0]} (${LEAKS[1]}) of organization ${LEAKS[2]} in ${LEAKS[3]}.`

/** Sends a call that fails, JSON or stream: no charge, a row that says so, nothing held; the provider's own words stay inside. */
async function failed(script: Script, body: object, expected: Refusal): Promise<CallAnswer> {
  const { db, upstream, tollgate } = product
  const { id, keys } = await db.seedOrganization({ credits: 100, users: { alice: 50 } })
  upstream.respond(script)
  const requestId = `failed-${id}`
  const answer = await postChat(tollgate, keys.alice, body, { headers: { 'X-Request-ID': requestId } })
  expectRefusal(answer, expected)
  for (const leak of LEAKS) expect(answer.body + JSON.stringify([...answer.headers])).not.toContain(leak)
  const row = await rowOfRequest(product, requestId)
  expect(row).toMatchObject({
    credits_used: '0.000000',
    total_cost: '0.000000000',
    provenance: null,
    outcome: 'failed',
  })
  const untouched = { used: '0.000000', remaining: '50.000000', held: '0.000000' }
  expect(await balanceOf(db.pool, id, 'alice')).toEqual(untouched)
  return answer
}

const stream = (kind: string) => ({ stream: kind === 'stream' })
const cut = (answer: Answer, cutAfter: number): Answer => ({ ...answer, cutAfter })

describe.for(['JSON', 'stream'])('a %s call is refused with', (kind) => {
  const body = { ...HELLO, ...stream(kind) }

  test.for([
    { name: '401', script: errorAnswer(401, { message: LEAKY, code: 'invalid_api_key' }), code: 'provider_account' },
    { name: '403', script: errorAnswer(403, { message: LEAKY }), code: 'provider_account' },
    { name: '402', script: errorAnswer(402, { message: LEAKY }), code: 'provider_account' },
    {
      name: '429 for want of money',
      script: errorAnswer(429, { message: LEAKY, type: 'insufficient_quota', code: 'insufficient_quota' }),
      code: 'provider_account',
    },
    { name: '500', script: errorAnswer(500, { message: LEAKY, type: 'server_error' }), code: 'provider_failed' },
    { name: '502 in HTML', script: textAnswer(502, `<html>${LEAKY}</html>`), code: 'provider_failed' },
    { name: '503', script: errorAnswer(503, { message: LEAKY }), code: 'provider_overloaded' },
    { name: '529', script: errorAnswer(529, { message: LEAKY }), code: 'provider_overloaded' },
    { name: '504', script: errorAnswer(504, { message: LEAKY }), code: 'provider_timeout' },
    { name: 'a closed connection', script: 'hangUp' as const, code: 'provider_failed' },
    { name: '200 that is text', script: textAnswer(200, LEAKY), code: 'provider_failed' },
    { name: '200 that is HTML', script: textAnswer(200, '<html>sign in</html>'), code: 'provider_failed' },
    { name: '200 without a body', script: textAnswer(200, ''), code: 'provider_failed' },
    { name: '200 of other JSON', script: jsonAnswer({ object: 'list', data: [] }), code: 'provider_failed' },
  ])('A failure of the provider becomes a 503: $name', async ({ script, code }) => {
    const answer = await failed(script, body, { status: 503, code, type: 'server_error' })
    expect(answer.headers.get('retry-after')).toBe('2')
  })

  test('A call is refused with 503 when the provider does not respond in time, and when it can’t be reached.', async () => {
    const hurried = { ...body, model: 'hurried' }
    await failed('silence', hurried, { status: 503, code: 'provider_timeout', type: 'server_error' })
    await failed('silence', { ...body, model: 'away' }, { status: 503, code: 'provider_unreachable' })
  })

  test('A call gets 429 when the provider limits us, with the time to try again.', async () => {
    const seconds = Math.floor(Date.now() / 1000)
    const limited = errorAnswer(
      429,
      { message: LEAKY, code: 'rate_limit_exceeded' },
      { headers: { 'retry-after': '7' } },
    )
    const answer = await failed(limited, body, { status: 429, code: 'provider_rate_limited', type: 'rate_limit_error' })
    expect(answer.headers.get('retry-after')).toBe('7')
    const reset = answer.headers.get('x-ratelimit-reset') ?? ''
    expect(reset).toMatch(/^\d+$/)
    expect(Number(reset)).toBeGreaterThanOrEqual(seconds + 7)
    expect(Number(reset)).toBeLessThanOrEqual(seconds + 30)

    const unsaid = await failed(errorAnswer(429, { message: LEAKY }), body, {
      status: 429,
      code: 'provider_rate_limited',
    })
    expect(unsaid.headers.get('retry-after')).toBe('2')
    const inMs = errorAnswer(429, { message: LEAKY }, { headers: { 'retry-after-ms': '1200', 'retry-after': '9' } })
    const rounded = await failed(inMs, body, { status: 429, code: 'provider_rate_limited' })
    expect(rounded.headers.get('retry-after')).toBe('2')
  })

  test('A call that the provider refuses gets what the provider found wrong, in the provider’s words.', async () => {
    const wrong = {
      message: "Invalid 'temperature'.",
      type: 'invalid_request_error',
      code: 'too_hot',
      param: 'temperature',
    }
    const answer = await failed(errorAnswer(400, wrong), body, { ...wrong, status: 400 })
    expect(answer.json()).toMatchObject({ error: wrong, detail: wrong.message })
    await failed(errorAnswer(422, wrong), body, { ...wrong, status: 400 })
    await failed(errorAnswer(413, { ...wrong, code: 'big' }), body, {
      ...wrong,
      status: 413,
      code: 'request_too_large',
    })
    const unknown = { message: 'No such model here.', code: 'model_not_found', type: 'invalid_request_error' }
    await failed(errorAnswer(404, unknown), body, { ...unknown, status: 404 })
  })

  test('A call that the provider refuses gets the provider’s words without our account in them.', async () => {
    const leaky = errorAnswer(400, { message: LEAKY, type: 'invalid_request_error' })
    const answer = await failed(leaky, body, { status: 400, code: 'bad_request' })
    expect(answer.json().detail).toBe(
      'Incorrect API key provided: [key] ([key]) of organization [account] in [account].',
    )
  })
})

test('A JSON response that is cut off is an error.', async () => {
  await failed(cut(chatAnswer(), 80), HELLO, { status: 503, code: 'provider_failed' })
})

describe('a stream that fails at its first frame keeps the status of the failure:', () => {
  const streamed = { ...HELLO, stream: true }
  test.for([
    {
      name: 'overloaded',
      frames: [sse({ error: { message: LEAKY, code: 'overloaded' } })],
      status: 503,
      code: 'provider_overloaded',
    },
    {
      name: 'a named event',
      frames: [`event: error\ndata: ${JSON.stringify({ error: { message: LEAKY, type: 'server_error' } })}\n\n`],
      status: 503,
      code: 'provider_failed',
    },
    { name: 'comments, then nothing', frames: [': ping\n\n', ': ping\n\n'], status: 503, code: 'provider_failed' },
    { name: 'half a frame', frames: ['data: {"choices":[{"delta":'], status: 503, code: 'provider_failed' },
  ])(
    'A stream that fails at its first frame keeps the status of the failure: $name',
    async ({ frames, status, code }) => {
      await failed(rawStream(frames), streamed, { status, code })
    },
  )
})

describe('a stream that fails later ends with one error frame, and is charged for what was delivered:', () => {
  const { frames } = chatStream({ text: ['Hello', ' world'] })
  const begun = frames.slice(0, 3)
  const bytes = Buffer.byteLength(begun.join(''))
  const errorFrame = sse({ error: { message: LEAKY, type: 'server_error', code: 'boom' } })
  const never = new Promise<never>(() => {})
  const failedText = 'OpenAI failed to answer. Try again shortly.'
  const brokenText = 'OpenAI broke off its answer. Try again shortly.'

  test.for([
    { name: 'an error frame', script: rawStream([...begun, errorFrame]), code: 'provider_failed', message: failedText },
    {
      name: 'an error frame, and more after it',
      script: rawStream([...begun, errorFrame, ...frames]),
      code: 'provider_failed',
      message: failedText,
    },
    { name: 'a cut', script: cut(rawStream(frames), bytes), code: 'provider_failed', message: brokenText },
    {
      name: 'a cut inside a frame',
      script: cut(rawStream(frames), bytes + 20),
      code: 'provider_failed',
      message: brokenText,
    },
    { name: 'an early end', script: rawStream(begun), code: 'provider_failed', message: brokenText },
    {
      name: 'silence',
      model: 'hurried',
      script: rawStream(frames, { gate: (i) => (i === 3 ? never : undefined) }),
      code: 'provider_timeout',
      message: 'OpenAI took too long to answer. Try again, or ask for less output.',
    },
  ])(
    'A stream that fails later ends with one error frame, and is charged for what was delivered: $name',
    async ({ script, code, message, model = 'gpt-4o-mini' }) => {
      const { db, upstream, tollgate } = product
      const { id, keys } = await db.seedOrganization({ credits: 100, users: { alice: 50 } })
      upstream.respond(script)
      const before = upstream.requests.length
      const call = openCall(tollgate, keys.alice, {
        ...HELLO,
        model,
        stream: true,
        stream_options: { include_usage: true },
      })

      const { body, complete } = await call.closed

      expect([(await call.head).status, complete]).toEqual([200, true])
      const [last, ...rest] = body.split('\n\n').slice(0, -1).reverse()
      const named = begun.map((frame) => String(frame).replace('"model":"gpt-4o-mini"', `"model":"${model}"`))
      expect(rest.reverse().map((frame) => `${frame}\n\n`)).toEqual(named)
      const shown = { error: { message, type: 'server_error', param: null, code }, detail: message }
      expect(JSON.parse(last?.slice(6) ?? '')).toEqual(shown)
      const row = await rowOfRequest(product, call.requestId)
      expect(row).toMatchObject({ credits_used: TWO_WORDS, provenance: 'estimated', outcome: 'cut_off' })
      expect(await balanceOf(db.pool, id, 'alice')).toMatchObject({ used: TWO_WORDS, held: '0.000000' })
      expect(upstream.requests).toHaveLength(before + 1)
    },
  )
})

test("A provider's own words are in no row a caller can read.", async () => {
  const { db, upstream, tollgate } = product
  const { keys } = await db.seedOrganization({ credits: 100, users: { alice: 50 } })
  upstream.respond(errorAnswer(401, { message: 'bad token 9f8e7d6c5b4a for tenant corp-internal at http://10.1.2.3' }))
  const refused = await postChat(tollgate, keys.alice, HELLO)
  const call = await get(tollgate, keys.alice, `/v1/calls/${refused.headers.get('x-litellm-call-id')}`)
  expect(call.json()).toMatchObject({ outcome: 'failed', details: { error: 'auth', provider_status: 401 } })
  for (const text of [refused.body, call.body]) expect(text).not.toMatch(/9f8e7d6c5b4a|corp-internal|10\.1\.2\.3/)
})
