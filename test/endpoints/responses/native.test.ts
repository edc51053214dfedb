/**
 * OpenAI's own client on POST /v1/responses, a provider behind it that speaks Responses: its bytes pass, and every call is on the books
 * at its price.
 */
import OpenAI from 'openai'
import { zodTextFormat } from 'openai/helpers/zod'
import { describe, expect, test, vi } from 'vitest'
import { z } from 'zod'
import { expectBooked as expectRows, rowsOf } from '../../support/call-books.ts'
import { seedPayer } from '../../support/openai-payer.ts'
import { useProduct } from '../../support/product.ts'
import {
  eventOf,
  functionCall,
  type Json,
  message,
  RESPONSE_USAGE,
  respondingOn,
  responds,
  responseEvents,
  streamedResponse,
  thoughts,
} from '../../support/response-answers.ts'
import { postChat } from '../../support/tollgate.ts'
import { type Answer, errorAnswer, type Handler } from '../../support/upstream-answers.ts'

const product = useProduct((upstreamUrl) => ({
  models: [
    respondingOn(upstreamUrl, 'mini', { model: 'openai/gpt-4o-mini' }),
    respondingOn(upstreamUrl, 'o4', { model: 'openai/o4-mini' }),
    respondingOn(upstreamUrl, 'grok', { model: 'xai/grok-3' }),
    respondingOn(upstreamUrl, 'keeping', { model: 'openai/gpt-4o-mini', store: true }),
  ],
  router_settings: { num_retries: 0 },
}))

const ANSWER = [
  thoughts('The town is known.', 'gAAAAA=='),
  message('I look it up.'),
  functionCall('weather', { city: 'Oslo' }, 'call_1'),
]
// 9 tokens at $0.15 a million, 2 from the cache at $0.075, 5 at $0.60, and half of it on top.
const ROW = { outcome: 'answered', provenance: 'provider_usage', charge: '0.006750' }

const payer = (upstream: Handler | Answer, credits = 10_000) => seedPayer(product, upstream, credits)

const expectBooked = (orgId: string, rows: readonly Json[]) => expectRows(product.db.pool, orgId, rows)

async function rowOf(orgId: string) {
  return vi.waitFor(
    async () => {
      const rows = await rowsOf(product.db.pool, orgId)
      expect(rows).toHaveLength(1)
      return rows[0]!
    },
    { timeout: 10_000, interval: 20 },
  )
}

const ASKED = { model: 'mini', input: 'How is the weather?', instructions: 'Be brief.', max_output_tokens: 500 }

describe('A response', () => {
  test('A response comes whole, with what it cost.', async () => {
    const { client, orgId } = await payer(responds(ANSWER))
    const response = await client.responses.create(ASKED)
    expect(response).toMatchObject({ id: 'resp_1', model: 'mini', status: 'completed', output: ANSWER })
    expect(response.output_text).toBe('I look it up.')
    expect(response.usage).toEqual({ ...RESPONSE_USAGE, cost: 0.00000675 })
    await expectBooked(orgId, [ROW])
  })

  test('A response comes as the events that were sent, but for the model’s name, what it cost and a later end.', async () => {
    const { key, orgId } = await payer(responds(ANSWER))
    const { status, body } = await postChat(product.tollgate, key, { ...ASKED, stream: true }, { path: '/responses' })
    expect(status).toBe(200)
    const expected = responseEvents(ANSWER, { model: 'mini' })
    const end = expected.pop()?.replace('"total_tokens":16}', '"total_tokens":16,"cost":0.00000675}')
    expect(body).toBe([...expected, end].join(''))
    await expectBooked(orgId, [ROW])
  })

  test('A response is put together by the client as it was sent.', async () => {
    const { client, orgId } = await payer(responds(ANSWER))
    const response = await client.responses.stream(ASKED).finalResponse()
    expect(response).toMatchObject({ status: 'completed', output: ANSWER, output_text: 'I look it up.' })
    await expectBooked(orgId, [ROW])
  })

  test('A response has the form that was asked for.', async () => {
    const { client, orgId } = await payer(responds([message('{"city":"Oslo","celsius":-3}')]))
    const format = zodTextFormat(z.object({ city: z.string(), celsius: z.number() }), 'weather')
    const { output_parsed } = await client.responses.parse({ ...ASKED, text: { format } })
    expect(output_parsed).toEqual({ city: 'Oslo', celsius: -3 })
    expect(product.upstream.requests[0]?.json?.text).toMatchObject({ format: { type: 'json_schema', name: 'weather' } })
    await expectBooked(orgId, [ROW])
  })

  test('A response is stopped when the credits are used up: what is open is closed, and it ends as incomplete.', async () => {
    const text = Array.from({ length: 600 }, () => ' words and more words').join('')
    const events = responseEvents([message(text)], { usage: null }).slice(0, -4)
    const { client, orgId } = await payer({ headers: { 'content-type': 'text/event-stream' }, frames: events }, 1)
    const stream = client.responses.stream({ model: 'mini', input: 'Say much.', max_output_tokens: 16_000 })
    const types: string[] = []
    for await (const { type } of stream) types.push(type)
    const response = await stream.finalResponse()
    expect(types.slice(-4)).toEqual([
      'response.output_text.done',
      'response.content_part.done',
      'response.output_item.done',
      'response.incomplete',
    ])
    expect(response).toMatchObject({ status: 'incomplete', incomplete_details: { reason: 'max_output_tokens' } })
    expect(text.startsWith(response.output_text)).toBe(true)
    const { outcome, credits_used } = await rowOf(orgId)
    expect(outcome).toBe('stopped')
    expect(response.usage).toMatchObject({ cost: Number(credits_used) / 1_000 })
  })
})

describe('The provider', () => {
  test('The provider gets the bytes that were sent, but for the name of the model and what would be kept.', async () => {
    const { key } = await payer(responds(ANSWER))
    const rest = `"max_output_tokens":100,"temperature": 1.0, "input":[{"role":"user","content":"Hi \\u00e4"}] ,"client_metadata":{"a":"b"}, "store":false}`
    await postChat(product.tollgate, key, `{ "model": "mini" , ${rest}`, { path: '/v1/responses' })
    const [request] = product.upstream.requests
    expect(request?.path).toBe('/v1/responses')
    expect(request?.body.toString()).toBe(`{ "model": "gpt-4o-mini" , ${rest}`)
  })

  test('The provider is told to keep nothing, and returns its thoughts encrypted.', async () => {
    const { client } = await payer(responds(ANSWER))
    await client.responses.create({ ...ASKED, model: 'o4', store: true })
    await client.responses.create(ASKED)
    expect(product.upstream.requests.map(({ json }) => [json?.store, json?.include])).toEqual([
      [false, ['reasoning.encrypted_content']],
      [false, undefined],
    ])
  })

  test('The provider keeps responses where the operator says so: later requests can go on from them, and are held for all that the model reads.', async () => {
    const { client, orgId } = await payer(responds(ANSWER, { usage: { ...RESPONSE_USAGE, input_tokens: 100_000 } }))
    const kept = {
      model: 'keeping',
      input: [{ type: 'item_reference' as const, id: 'msg_1' }],
      previous_response_id: 'resp_0',
    }
    await client.responses.create(kept)
    expect(product.upstream.requests[0]?.json).toMatchObject({ ...kept, model: 'gpt-4o-mini', store: true })
    // 99,998 tokens at $0.15 a million, 2 from the cache, 5 at $0.60, and half of it on top: far more than was sent, and believed.
    await expectBooked(orgId, [{ ...ROW, charge: '22.504275' }])
    const poor = await payer(responds(ANSWER), 1)
    await expect(poor.client.responses.create(kept)).rejects.toMatchObject({ status: 402 })
  })

  test('The provider is sent a cap where the credits cover no more, and the caller is told.', async () => {
    const { client } = await payer(responds(ANSWER), 1)
    const { response } = await client.responses.create({ ...ASKED, max_output_tokens: 60_000 }).withResponse()
    const applied = Number(response.headers.get('x-max-tokens-applied'))
    expect(applied).toBeGreaterThan(256)
    expect(product.upstream.requests[0]?.json?.max_output_tokens).toBe(applied)
  })

  test('A search that was made is billed, and one that was only possible costs nothing.', async () => {
    const search = {
      id: 'ws_1',
      type: 'web_search_call',
      status: 'completed',
      action: { type: 'search', query: 'Oslo' },
    }
    const page = { ...search, id: 'ws_2', action: { type: 'open_page', url: 'https://example.com' } }
    const tools = [{ type: 'web_search' as const }]
    const { client, orgId } = await payer(responds([search, page, message('Rain.')]))
    await client.responses.create({ ...ASKED, tools })
    product.upstream.respond(responds([message('Rain.')]))
    await client.responses.create({ ...ASKED, tools })
    // A cent, and half of it on top.
    await expectBooked(orgId, [{ ...ROW, charge: '15.006750' }, ROW])
    expect(product.upstream.requests.map(({ json }) => json?.max_tool_calls)).toEqual([5, 5])
  })

  test('The provider’s own bill counts where it states one, and reasoning is inside its output.', async () => {
    const usage = { ...RESPONSE_USAGE, cost_in_usd_ticks: 1_000_000 }
    const { client, orgId } = await payer(responds(ANSWER, { usage, model: 'grok-3' }))
    const response = await client.responses.create({ ...ASKED, model: 'grok' })
    expect(response.usage).toEqual({ ...RESPONSE_USAGE, cost: 0.00015 })
    await expectBooked(orgId, [{ ...ROW, provenance: 'provider_cost', charge: '0.150000' }])
  })
})

describe('What is not served', () => {
  test.each([
    ['previous_response_id', { previous_response_id: 'resp_1' }],
    ['conversation', { conversation: 'conv_1' }],
    ['prompt', { prompt: { id: 'pmpt_1' } }],
    ['background', { background: true }],
    ['input[0]', { input: [{ type: 'item_reference', id: 'rs_1' }] }],
    ['reasoning.mode', { reasoning: { mode: 'pro' } }],
    ['Max_Output_Tokens', { Max_Output_Tokens: 5 }],
    ['secret_mode', { secret_mode: 1 }],
    ['service_tier', { service_tier: 'ultrafast' }],
    ['code_interpreter', { tools: [{ type: 'code_interpreter', container: { type: 'auto' } }] }],
    ['mcp', { input: [{ type: 'additional_tools', role: 'developer', tools: [{ type: 'mcp' }] }] }],
  ])('What is not served is refused by name: %s.', async (param, members) => {
    const { client, orgId } = await payer(responds(ANSWER))
    const body = { ...ASKED, ...members } as unknown as OpenAI.Responses.ResponseCreateParamsNonStreaming
    await expect(client.responses.create(body)).rejects.toMatchObject({ status: 400, param })
    expect(product.upstream.requests).toEqual([])
    await expectBooked(orgId, [])
  })

  test('What the AI SDK refers to by default is refused with the setting that sends it instead.', async () => {
    const { client } = await payer(responds(ANSWER))
    const input = [{ type: 'item_reference' as const, id: 'rs_1' }]
    const refused = client.responses.create({ ...ASKED, input })
    await expect(refused).rejects.toMatchObject({
      message: expect.stringContaining('providerOptions: { openai: { store: false } }'),
    })
  })

  test('A response that was kept is not served: 501 says what to do instead.', async () => {
    const { client } = await payer(responds(ANSWER))
    for (const asking of [client.responses.retrieve('resp_1'), client.responses.delete('resp_1')])
      await expect(asking).rejects.toMatchObject({ status: 501, code: 'not_kept' })
  })

  test('A WebSocket is refused at once, with what the path takes.', async () => {
    const { key } = await payer(responds(ANSWER))
    const { status, headers } = await fetch(`${product.tollgate.url}/v1/responses`, {
      headers: { authorization: `Bearer ${key}` },
    })
    expect([status, headers.get('allow')]).toEqual([405, 'POST'])
  })
})

describe('An error', () => {
  test('The error of a caller without credits is final.', async () => {
    const { client } = await payer(responds(ANSWER), 0)
    const failure = await client.responses.create(ASKED).catch((error: unknown) => error)
    expect(failure).toBeInstanceOf(OpenAI.APIError)
    const { status, code, headers } = failure as InstanceType<typeof OpenAI.APIError>
    expect([status, code, headers?.get('x-should-retry')]).toEqual([402, 'insufficient_credits', 'false'])
  })

  test('An error before the first content keeps its status.', async () => {
    const { client, orgId } = await payer(errorAnswer(429, { message: 'Slow down', code: 'rate_limit_exceeded' }))
    await expect(client.responses.stream(ASKED).finalResponse()).rejects.toMatchObject({ status: 429 })
    await expectBooked(orgId, [{ outcome: 'failed', provenance: null, charge: '0.000000' }])
  })

  test.each([
    ['error', eventOf('error', { code: 'server_error', message: 'broken', param: null })],
    [
      'response.failed',
      eventOf('response.failed', {
        response: { id: 'resp_1', status: 'failed', error: { code: 'server_error', message: 'broken' }, usage: null },
      }),
    ],
    ['nothing more', ''],
  ])('An error in the middle of a stream is thrown by the client, and what came is charged: %s.', async (_, last) => {
    const frames = [...responseEvents(ANSWER).slice(0, 9), last]
    const { client, orgId } = await payer({ headers: { 'content-type': 'text/event-stream' }, frames })
    await expect(client.responses.stream(ASKED).finalResponse()).rejects.toThrow('OpenAI')
    const { outcome, credits_used } = await rowOf(orgId)
    expect(outcome).toBe('cut_off')
    expect(Number(credits_used)).toBeGreaterThan(0)
    expect(Number(credits_used)).toBeLessThan(0.0135)
  })

  test('An error of the request is shown as the provider said it.', async () => {
    const error = { code: 'invalid_prompt', message: 'Not this.' }
    const frames = [eventOf('response.failed', { response: { id: 'resp_1', status: 'failed', error } })]
    const { client } = await payer({ headers: { 'content-type': 'text/event-stream' }, frames })
    await expect(client.responses.stream(ASKED).finalResponse()).rejects.toMatchObject({
      status: 400,
      code: 'invalid_prompt',
    })
  })
})

describe('A stream whose caller leaves', () => {
  const LEFT = Array.from({ length: responseEvents(ANSWER).length }, (_, index) => index)

  test.each(LEFT)(
    'A stream whose caller leaves after %i events costs no more than read to its end, and is booked once.',
    async (events) => {
      const gate = (request: { aborted: Promise<void> }) => (at: number) => (at < events ? undefined : request.aborted)
      const { key, orgId } = await payer((request) => ({ ...streamedResponse(ANSWER), gate: gate(request) }))
      const leaving = new AbortController()
      const response = fetch(`${product.tollgate.url}/v1/responses`, {
        method: 'POST',
        headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json' },
        body: JSON.stringify({ ...ASKED, stream: true }),
        signal: leaving.signal,
      })
      const left = response.catch(() => null)
      await vi.waitFor(() => expect(product.upstream.requests).toHaveLength(1), { timeout: 10_000, interval: 5 })
      // What has come is read by now, where there is content; before that nothing of it is passed on.
      const isDelivered = events > 4
      if (isDelivered) await (await response).body?.getReader().read()
      leaving.abort()
      await left
      const row = await rowOf(orgId)
      expect(row.outcome).toBe('client_disconnected')
      // The prompt is nine tokens and more, the answer never more than it was.
      expect(Number(row.credits_used)).toBeLessThanOrEqual(0.0225)
      if (isDelivered) expect(Number(row.credits_used)).toBeGreaterThan(0)
    },
  )
})
