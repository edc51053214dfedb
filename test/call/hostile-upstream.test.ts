/** A provider that lies, stalls or floods: what its caller is charged, what reaches the caller, and that the process lives on. */
import { once } from 'node:events'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { describe, expect, test } from 'vitest'
import { openai } from '../../providers/openai.ts'
import { openClientStream } from '../../src/call/client-stream.ts'
import { fromConnection } from '../../src/call/provider-failure.ts'
import { type RelayEnd, relayStream } from '../../src/call/relay-stream.ts'
import type { UpstreamHandler } from '../../src/call/upstream.ts'
import { chatCompletions } from '../../src/endpoints/chat-completions/chat-completions.ts'
import { parseRequest } from '../../src/endpoints/chat-completions/read-request.ts'
import { openExchange } from '../../src/http/exchange.ts'
import { rowOfCall } from '../support/call-books.ts'
import { rowOfRequest } from '../support/call-row.ts'
import { expectRefusal } from '../support/error-shape.ts'
import { openCall } from '../support/open-call.ts'
import { useProduct } from '../support/product.ts'
import { another, type CallAnswer, get, modelOn, postChat } from '../support/tollgate.ts'
import {
  chatAnswer,
  chatStream,
  errorAnswer,
  jsonAnswer,
  rawStream,
  type Script,
  sse,
} from '../support/upstream-answers.ts'

const product = useProduct((url) => ({
  models: [
    modelOn(url, 'grok', { model: 'xai/grok-3' }),
    modelOn(url, 'spoken', { model: 'openai/gpt-audio', input_cost_per_token: 0, output_cost_per_token: 0.00002 }),
    modelOn(url, 'routed', { model: 'openrouter/openai/gpt-4o-mini' }),
    another(modelOn(url, 'routed', { model: 'openrouter/openai/gpt-4o-mini' })),
    modelOn(url, 'compound', {
      model: 'groq/groq/compound',
      input_cost_per_token: 0,
      output_cost_per_token: 0.00002,
    }),
    modelOn(url, 'priority', { model: 'openai/gpt-4o-mini', extra_body: { service_tier: 'priority' } }),
  ],
  tollgate: { tool_surcharges: { live_search: 0.01, compound: 0.05 } },
  router_settings: { num_retries: 1, disable_cooldowns: true },
}))

const HELLO = { messages: [{ role: 'user', content: 'Say hello' }] }
const USAGE = { prompt_tokens: 20, completion_tokens: 9, total_tokens: 29 }
const never = new Promise<never>(() => {})

async function call(script: Script, body: object): Promise<{ answer: CallAnswer; sent: number }> {
  const { db, upstream, tollgate } = product
  const acme = await db.seedOrganization({ credits: 1_000, users: { alice: 500 } })
  upstream.respond(script)
  const before = upstream.requests.length
  const answer = await postChat(tollgate, acme.keys.alice, { ...HELLO, ...body })
  return { answer, sent: upstream.requests.length - before }
}

const rowOf = (answer: CallAnswer) => rowOfCall(product.db.pool, answer.headers.get('x-litellm-call-id'))

describe('a caller who leaves with the whole response, just before its usage,', () => {
  test.for([
    {
      name: 'pays the reasoning nobody saw',
      params: { model: 'o4-mini' },
      usage: { prompt_tokens: 20, completion_tokens: 2_009, total_tokens: 2_029 },
      // (20 x 1 100 + 2 009 x 4 400) x 1.5 nano-dollars
      credits_used: '13.292400',
    },
    {
      name: 'pays what was searched',
      params: { model: 'grok', search_parameters: { mode: 'on' } },
      usage: { ...USAGE, num_sources_used: 20, cost_in_usd_ticks: 5_000_000_000 },
      // $0.50, and half of it on top.
      credits_used: '750.000000',
    },
    {
      name: 'pays what was spoken',
      params: { model: 'spoken', modalities: ['text', 'audio'], audio: { voice: 'ash', format: 'pcm16' } },
      usage: { prompt_tokens: 20, completion_tokens: 900, total_tokens: 920 },
      credits_used: '27.000000',
    },
  ])(
    'A caller who leaves with the whole response, just before its usage, $name',
    async ({ params, usage, credits_used }) => {
      const { db, upstream, tollgate } = product
      const acme = await db.seedOrganization({ credits: 5_000, users: { alice: 2_000 } })
      const later = Promise.withResolvers<void>()
      const gate = (i: number) => (i === 4 ? later.promise : undefined)
      upstream.respond(chatStream({ text: ['Hello', ' world'], usage, model: params.model, gate }))
      const before = upstream.requests.length
      const left = openCall(tollgate, acme.keys.alice, { ...HELLO, ...params, stream: true })
      const request = await upstream.received(before + 1)
      await left.frames(4)
      left.leave()
      for (let turn = 0; turn < 2; turn += 1) await get(tollgate, null, '/health/liveliness')
      later.resolve()
      await Promise.race([request.answered, request.aborted])
      expect(await rowOfRequest(product, left.requestId)).toMatchObject({
        credits_used,
        outcome: 'client_disconnected',
      })
    },
  )
})

describe('an error', () => {
  const text = 'Bad word: '.padEnd(70_000, 'x')
  test.for([{ stream: false }, { stream: true }])(
    'An endless error is read up to a limit (stream: $stream).',
    async ({ stream }) => {
      const body = JSON.stringify({ error: { message: text, type: 'invalid_request_error' } })
      const gate = (i: number) => (i === 1 ? never : undefined)
      const { answer, sent } = await call(
        { status: 400, headers: {}, frames: [body, ' '], gate },
        { model: 'gpt-4o-mini', stream },
      )
      expect(answer.status).toBe(400)
      expect(answer.body.length).toBeLessThan(10_000)
      expect(sent).toBe(1)
    },
  )

  test.for(['key-', 'org-', 'model '])(
    'An error of a million letters that look like a secret takes little work: %s.',
    async (word) => {
      const message = word.repeat(1_000_000 / word.length)
      const code = 'x'.repeat(100_000)
      const { answer } = await call(
        jsonAnswer({ choices: null, error: { message, code, param: code, type: code, status_code: 400 } }),
        {
          model: 'grok',
        },
      )
      expect(answer.status).toBe(400)
      expect(answer.body.length).toBeLessThan(10_000)
    },
  )

  test.for(['1e300', '1e25', '99999999999'])('An error may name any time to wait: %s.', async (after) => {
    const { answer } = await call(errorAnswer(429, { message: 'Slow down' }, { headers: { 'retry-after': after } }), {
      model: 'gpt-4o-mini',
    })
    expectRefusal(answer, { status: 429, code: 'provider_rate_limited' })
    expect(answer.headers.get('retry-after')).toBe('86400')
    expect(answer.headers.get('x-ratelimit-reset')).toMatch(/^\d{10}$/)
  })

  const CONSUMED = { ...USAGE, cost: 0.0004 }
  test('An error in a stream that states what it cost is charged, and not paid for twice.', async () => {
    const frame = sse({
      model: 'openai/gpt-4o-mini',
      choices: [],
      error: { code: 502, message: 'Overloaded' },
      usage: CONSUMED,
    })
    const { answer, sent } = await call(rawStream([frame]), { model: 'routed', stream: true })
    expect(sent).toBe(1)
    expect(await rowOf(answer)).toMatchObject({
      credits_used: '0.600000',
      provenance: 'provider_cost',
      outcome: 'cut_off',
    })
  })

  test('An error in a whole response that states its cost is charged, and not paid for twice.', async () => {
    const choices = [
      { index: 0, message: { content: '' }, finish_reason: 'error', error: { code: 502, message: 'Overloaded' } },
    ]
    const { answer, sent } = await call(jsonAnswer({ model: 'openai/gpt-4o-mini', choices, usage: CONSUMED }), {
      model: 'routed',
    })
    expect(answer.status).toBe(503)
    expect(sent).toBe(1)
    const { rows } = await product.db.pool.query('select * from credit_usage_attribution where call_id = $1', [
      (answer.json().error as Record<string, unknown>).call_id ?? answer.headers.get('x-litellm-call-id'),
    ])
    expect(rows).toMatchObject([{ credits_used: '0.600000', provenance: 'provider_cost', outcome: 'cut_off' }])
  })

  test('An error that says it cost nothing is free, and tried again.', async () => {
    const frame = sse({ choices: [], error: { code: 502, message: 'Overloaded' }, usage: { ...USAGE, cost: 0 } })
    const { answer, sent } = await call(rawStream([frame]), { model: 'routed', stream: true })
    expect(answer.status).toBe(503)
    expect(sent).toBe(2)
  })
})

describe('the price', () => {
  test('The price is that of the model that served, not of the dearest that might have.', async () => {
    const models = ['openai/gpt-4o-mini', 'openai/gpt-4o']
    const { answer } = await call(chatAnswer({ model: 'openai/gpt-4o-mini', usage: USAGE }), {
      model: 'routed',
      models,
    })
    // (20 x 150 + 9 x 600) x 1.5
    expect(await rowOf(answer)).toMatchObject({ credits_used: '0.012600', provenance: 'provider_usage' })
  })

  test("The price is of the tier the operator asks for, where the response doesn't say.", async () => {
    const { answer } = await call(chatAnswer({ usage: USAGE }), { model: 'priority' })
    expect(await rowOf(answer)).toMatchObject({ credits_used: '0.025200' })
  })

  test.for(['constructor', 'toString'])('The price has no fee for a tool named %s.', async (type) => {
    const message = { role: 'assistant', content: 'Hi', executed_tools: [{ type }, { type }] }
    const choices = [{ index: 0, message, finish_reason: 'stop' }]
    const { answer } = await call(jsonAnswer({ model: 'groq/compound', choices, usage: USAGE }), { model: 'compound' })
    expect(answer.status).toBe(200)
    const details = { tool_uses: { [type]: 2 } }
    expect(await rowOf(answer)).toMatchObject({ credits_used: '0.270000', outcome: 'answered', details })
  })
})

/** One relay between a real caller and an upstream that is a function. */
async function relay(
  shutdown: AbortSignal,
  start: (handler: UpstreamHandler) => { sent: boolean; aborted?: boolean },
): Promise<RelayEnd> {
  const server = createServer()
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const answer = fetch(`http://127.0.0.1:${(server.address() as AddressInfo).port}`).then((got) => got.body?.cancel())
  const [incoming, outgoing] = (await once(server, 'request')) as [IncomingMessage, ServerResponse]
  const exchange = openExchange(incoming, outgoing, 'call', 'request', () => {})
  const client = openClientStream(exchange, chatCompletions.stream, () => ({}), 1_000)
  const request = parseRequest(Buffer.from(JSON.stringify({ model: 'm', stream: true, ...HELLO })))
  const context = { request, model: 'm', choices: 1, callId: 'call', created: 0 }
  try {
    return await relayStream({
      exchange,
      client,
      reader: openai.chat.readStream(context),
      shutdown,
      drainMs: () => 0,
      disconnectedDrainMs: () => 0,
      onEnded() {},
      start(handler) {
        const state = start(handler)
        return { sent: state.sent, pause() {}, resume() {}, abort: () => void Object.assign(state, { aborted: true }) }
      },
      readError: (status, headers, body) => openai.readError(status, headers, body),
      readFailure: (error) => fromConnection('OpenAI', error),
      onPassed() {},
      onFirstByte() {},
    })
  } finally {
    client.end(Buffer.alloc(0))
    await answer
    server.closeAllConnections()
    server.close()
  }
}

describe('a relay', () => {
  test('A relay that never went out, because the process is going down, consumed nothing.', async () => {
    let started = false
    const end = await relay(AbortSignal.abort(), () => {
      started = true
      return { sent: true }
    })
    expect(started).toBe(false)
    expect(end).toMatchObject({ kind: 'failed', error: { kind: 'failed' } })
  })

  test('A relay ends a stream that is larger than any response.', async () => {
    const frame = Buffer.from(sse({ model: 'm', choices: [{ index: 0, delta: { content: 'x'.repeat(1 << 20) } }] }))
    const state = { sent: true, aborted: false }
    const end = await relay(new AbortController().signal, (handler) => {
      handler.onHead(200, {})
      setImmediate(() => {
        for (let i = 0; i < 300; i += 1) handler.onData(frame)
      })
      return state
    })
    expect(end).toMatchObject({ kind: 'stopped' })
    expect(state.aborted).toBe(true)
  })
})
