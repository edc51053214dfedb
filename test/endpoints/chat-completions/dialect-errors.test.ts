/** Errors of the five dialects through the whole product: before an answer, in the place of one, and in the middle of a stream. */
import { describe, expect, test } from 'vitest'
import { balanceOf } from '../../support/call-books.ts'
import { rowOfRequest } from '../../support/call-row.ts'
import { expectRefusal, type Refusal } from '../../support/error-shape.ts'
import { openCall } from '../../support/open-call.ts'
import { useProduct } from '../../support/product.ts'
import { type CallAnswer, modelOn, postChat } from '../../support/tollgate.ts'
import { errorAnswer, jsonAnswer, rawStream, type Script, sse, textAnswer } from '../../support/upstream-answers.ts'

const product = useProduct((url) => ({
  models: [
    modelOn(url, 'xai', { model: 'xai/grok-3' }),
    modelOn(url, 'groq', { model: 'groq/llama-3.3-70b-versatile' }),
    modelOn(url, 'openrouter', { model: 'openrouter/openai/gpt-4o-mini' }),
    modelOn(url, 'huggingface', { model: 'huggingface/meta-llama/Llama-3.3-70B-Instruct:groq' }),
  ],
  litellm_settings: { num_retries: 0 },
}))

const HELLO = { messages: [{ role: 'user', content: 'Say hello now' }] }
const TEAM = '7f1c9a52-30b7-4a3c-9d0e-52d1f6f0b1aa'
/** Whose account it is, or parts of its key. */
const LEAKS = [TEAM, 'ab***yz', 'org_01hq3v5x7z9b1d', 'user_2aBcDeFgHiJk', 'sk-or-v1-0123456789abcdef']
const ACCOUNT = "did not accept this gateway's account. The operator has been told; trying again later may help."
const LOUD = 'THE PROVIDER REJECTS OUR ACCOUNT'

const xaiError = (status: number, error: string) =>
  jsonAnswer({ code: 'Client specified an invalid argument', error }, { status })
const routedError = (status: number, message: string, metadata: object = {}) =>
  jsonAnswer({ error: { code: status, message, metadata }, user_id: 'user_2aBcDeFgHiJk' }, { status })

/** Sends a call that fails: nothing is charged, and nothing of our account is said. Returns it, and its line in the log. */
async function failed(
  model: string,
  script: Script,
  expected: Refusal,
  body: object = {},
): Promise<{ answer: CallAnswer; message: string; line: string }> {
  const { db, upstream, tollgate } = product
  const { id, keys } = await db.seedOrganization({ credits: 100, users: { alice: 50 } })
  upstream.respond(script)
  const before = upstream.requests.length
  const requestId = `failed-${id}`
  const answer = await postChat(
    tollgate,
    keys.alice,
    { model, ...HELLO, ...body },
    { headers: { 'X-Request-ID': requestId } },
  )
  const message = expectRefusal(answer, expected)
  for (const leak of LEAKS) expect(answer.body + JSON.stringify([...answer.headers])).not.toContain(leak)
  expect(upstream.requests).toHaveLength(before + 1)
  expect(await rowOfRequest(product, requestId)).toMatchObject({ credits_used: '0.000000', outcome: 'failed' })
  expect(await balanceOf(db.pool, id, 'alice')).toMatchObject({ used: '0.000000', held: '0.000000' })
  const [line = ''] = tollgate.output().match(new RegExp(`.*"request_id":"${requestId}".*`)) ?? []
  return { answer, message, line }
}

describe.for([{}, { stream: true }])('before an answer %j', (body) => {
  test('xAI: a key that is rejected is the operator’s problem, and an error in the log.', async () => {
    const wrongKey = xaiError(400, 'Incorrect API key provided: ab***yz. You can obtain one from https://console.x.ai.')
    const { answer, message, line } = await failed('xai', wrongKey, { status: 503, code: 'provider_account' }, body)
    expect([message, answer.headers.get('retry-after')]).toEqual([`xAI ${ACCOUNT}`, '2'])
    expect(line).toContain(LOUD)
  })

  test('xAI: spent credits are the operator’s problem too, a rate limit is not.', async () => {
    const spent = `Your team ${TEAM} has either used all available credits or reached its monthly spending limit.`
    const { message, line } = await failed('xai', xaiError(429, spent), { status: 503, code: 'provider_account' }, body)
    expect(message).toBe(`xAI ${ACCOUNT}`)
    expect(line).toContain(LOUD)
    const limited = { ...xaiError(429, `Too many tokens for team ${TEAM}.`), headers: { 'retry-after': '9' } }
    const { answer } = await failed('xai', limited, { status: 429, code: 'provider_rate_limited' }, body)
    expect(answer.headers.get('retry-after')).toBe('9')
  })

  test('Groq: a rate limit says when to come back, and a request that is too large counts as one.', async () => {
    const org = 'in organization `org_01hq3v5x7z9b1d` on tokens per minute (TPM)'
    const limit = { type: 'tokens', code: 'rate_limit_exceeded' }
    const limited = errorAnswer(429, { message: `Limit reached ${org}. Please try again in 11.455s.`, ...limit })
    const { answer } = await failed('groq', limited, { status: 429, code: 'provider_rate_limited' }, body)
    expect(answer.headers.get('retry-after')).toBe('12')
    const large = errorAnswer(413, { message: `Request too large ${org}: Limit 6000, please reduce it.`, ...limit })
    const { message } = await failed('groq', large, { status: 413, code: 'request_too_large' }, body)
    expect(message).toBe(
      'Request too large in organization `[account]` on tokens per minute (TPM): Limit 6000, please reduce it.',
    )
  })

  test('OpenRouter: no money, moderation and a prompt too long have their own errors.', async () => {
    const unpaid = routedError(402, 'This request requires more credits, or fewer max_tokens.')
    const { message, line } = await failed('openrouter', unpaid, { status: 503, code: 'provider_account' }, body)
    expect(message).toBe(`OpenRouter ${ACCOUNT}`)
    expect(line).toContain(LOUD)
    const flagged = routedError(403, 'Your input was flagged for "violence".', { reasons: ['violence'] })
    const moderated = await failed('openrouter', flagged, { status: 400, code: 'content_filter' }, body)
    expect(moderated.message).toBe('Your input was flagged for "violence".')
    expect(moderated.line).not.toContain(LOUD)
    const long = routedError(400, "This endpoint's maximum context length is 8192 tokens.")
    await failed('openrouter', long, { status: 400, code: 'context_length_exceeded' }, body)
    const raw = 'Key sk-or-v1-0123456789abcdef of user_2aBcDeFgHiJk may not use this tool'
    const behind = routedError(400, 'Provider returned error', { raw, provider_name: 'OpenAI' })
    const told = await failed('openrouter', behind, { status: 400, code: 'bad_request' }, body)
    expect(told.message).toBe('Key [key] of [account] may not use this tool')
  })

  test('HuggingFace: plain text is passed on.', async () => {
    const text = 'Failed to deserialize the JSON body: missing field `messages` at its end'
    const wanted = { status: 400, code: 'bad_request', type: 'invalid_request_error' }
    const { message } = await failed('huggingface', textAnswer(422, text), wanted, body)
    expect(message).toBe(text)
  })
})

describe('in the place of an answer', () => {
  test('OpenRouter: an error in a 200 without choices is an error.', async () => {
    const script = routedError(502, 'Provider returned error')
    const { message } = await failed('openrouter', { ...script, status: 200 }, { status: 503, code: 'provider_failed' })
    expect(message).toBe('OpenRouter failed to answer. Try again shortly.')
    const limited = { ...routedError(429, 'Provider returned error'), status: 200 }
    await failed('openrouter', limited, { status: 429, code: 'provider_rate_limited' })
  })
})

const TOOL_FAILED = {
  message: 'Failed to call a function.',
  type: 'invalid_request_error',
  code: 'tool_use_failed',
  status_code: 400,
}
const FAILED_EVENT = `event: error\ndata: ${JSON.stringify({ error: TOOL_FAILED })}\n\n`
const chunk = (choice: object, rest: object = {}) =>
  sse({ id: 'c', model: 'm', choices: [{ index: 0, finish_reason: null, ...choice }], ...rest })
const ROUTED_FAILURE = { error: { code: 502, message: 'Upstream idle', metadata: {} } }

describe('a stream that fails before its first content has the status of its failure:', () => {
  test('A stream of Groq that fails before its first content has the status of its failure.', async () => {
    const { message } = await failed(
      'groq',
      rawStream([FAILED_EVENT]),
      { status: 400, code: 'tool_use_failed', type: 'invalid_request_error' },
      { stream: true },
    )
    expect(message).toBe('Failed to call a function.')
  })

  test('A stream of OpenRouter that fails before its first content has the status of its failure.', async () => {
    const script = rawStream([
      ': OPENROUTER PROCESSING\n\n',
      chunk({ delta: { content: '' }, finish_reason: 'error' }, ROUTED_FAILURE),
    ])
    await failed('openrouter', script, { status: 503, code: 'provider_failed' }, { stream: true })
  })
})

describe('a stream that fails later ends with one error frame, charged for what was delivered or stated:', () => {
  const content = chunk({ delta: { content: 'Hello world' } })
  const USAGE = { prompt_tokens: 11, completion_tokens: 5, total_tokens: 16, cost: 0.0002, is_byok: false }
  test.for([
    {
      name: 'Groq, by a named event',
      model: 'groq',
      last: FAILED_EVENT,
      error: { message: TOOL_FAILED.message, type: TOOL_FAILED.type, param: null, code: 'tool_use_failed' },
      // Counted: 10 tokens in, 2 out. (10 x 590 + 2 x 790) x 1.5 nano-dollars
      row: { credits_used: '0.011220', provenance: 'estimated' },
    },
    {
      name: 'OpenRouter, inside a chunk',
      model: 'openrouter',
      last: chunk({ delta: { content: '' }, finish_reason: 'error' }, ROUTED_FAILURE),
      error: {
        message: 'OpenRouter failed to answer. Try again shortly.',
        type: 'server_error',
        param: null,
        code: 'provider_failed',
      },
      // (10 x 150 + 2 x 600) x 1.5
      row: { credits_used: '0.004050', provenance: 'estimated' },
    },
    {
      name: 'OpenRouter, inside a chunk with its bill',
      model: 'openrouter',
      last: chunk({ delta: { content: '' }, finish_reason: 'error' }, { ...ROUTED_FAILURE, usage: USAGE }),
      error: {
        message: 'OpenRouter failed to answer. Try again shortly.',
        type: 'server_error',
        param: null,
        code: 'provider_failed',
      },
      row: { credits_used: '0.300000', provenance: 'provider_cost' },
    },
  ])(
    'A stream that fails later ends with one error frame, charged for what was delivered or stated: $name',
    async ({ model, last, error, row }) => {
      const { db, upstream, tollgate } = product
      const acme = await db.seedOrganization({ credits: 100, users: { alice: 50 } })
      upstream.respond(rawStream([content, last, content]))
      const body = { model, ...HELLO, stream: true, stream_options: { include_usage: true } }
      const call = openCall(tollgate, acme.keys.alice, body)
      const { body: shown, complete } = await call.closed
      expect([(await call.head).status, complete]).toEqual([200, true])
      const named = content.replace('"model":"m"', `"model":${JSON.stringify(model)}`)
      expect(shown).toBe(named + sse({ error, detail: error.message }))
      expect(await rowOfRequest(product, call.requestId)).toMatchObject({ ...row, outcome: 'cut_off' })
      expect(await balanceOf(db.pool, acme.id, 'alice')).toMatchObject({ used: row.credits_used, held: '0.000000' })
    },
  )
})
