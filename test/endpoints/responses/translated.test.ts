/**
 * OpenAI's own client on POST /v1/responses, providers behind it that do not speak Responses: each is asked in its own dialect, and
 * answers as a response, every event in its order.
 */
import type OpenAI from 'openai'
import { describe, expect, test, vi } from 'vitest'
import { claude, MODEL } from '../../providers/anthropic-claude.ts'
import { rowsOf } from '../../support/call-books.ts'
import { seedPayer } from '../../support/openai-payer.ts'
import { useProduct } from '../../support/product.ts'
import type { Json } from '../../support/response-answers.ts'
import { modelOn, postChat } from '../../support/tollgate.ts'
import { type Answer, chat, chatStream, type Handler, jsonAnswer } from '../../support/upstream-answers.ts'

type Body = OpenAI.Responses.ResponseCreateParamsNonStreaming

const product = useProduct((upstreamUrl) => ({
  models: [
    modelOn(upstreamUrl, MODEL, { model: `anthropic/${MODEL}` }),
    modelOn(upstreamUrl, 'gpt', { model: 'openai/gpt-4o-mini' }),
  ],
  router_settings: { num_retries: 0 },
}))

async function payer(upstream: Handler | Answer, credits = 10_000) {
  const payer = await seedPayer(product, upstream, credits)
  const { client } = payer
  const ask = (how: string, body: Body) =>
    how === 'whole' ? client.responses.create(body) : client.responses.stream({ ...body, stream: true }).finalResponse()
  return { ...payer, ask }
}

function expectBooked(orgId: string, charges: readonly string[]) {
  return vi.waitFor(
    async () => {
      const rows = await rowsOf(product.db.pool, orgId)
      expect(rows.map(({ outcome, credits_used }) => [outcome, credits_used])).toEqual(
        charges.map((charge) => ['answered', charge]),
      )
    },
    { timeout: 20_000, interval: 20 },
  )
}

// 11 tokens at $0.15 a million and 5 at $0.60, and half of it on top.
const CHARGE = '0.006975'
const COST = 0.000006975
const USAGE = {
  input_tokens: 11,
  input_tokens_details: { cached_tokens: 0, cache_write_tokens: 0 },
  output_tokens: 5,
  output_tokens_details: { reasoning_tokens: 0 },
  total_tokens: 16,
}
const schema = (properties: Json) => ({ type: 'object', properties })

describe.each(['whole', 'streamed'])('Claude, %s', (how) => {
  test('Claude gets back what it thought and signed, turn by turn, though the client never sends its thoughts back.', async () => {
    const { ask, orgId } = await payer(claude)
    const input: OpenAI.Responses.ResponseInput = [
      { role: 'user', content: 'How is the weather, and what time is it?' },
    ]
    const said: OpenAI.Responses.Response[] = []
    for (let turn = 0; turn < 3; turn += 1) {
      const response = await ask(how, {
        model: MODEL,
        instructions: 'Be brief.',
        input,
        max_output_tokens: 8_000,
        reasoning: { effort: 'medium' },
        store: false,
        include: ['reasoning.encrypted_content'],
        tools: [
          { type: 'function', name: 'weather', parameters: schema({ city: { type: 'string' } }), strict: null },
          { type: 'namespace', name: 'clock', description: 'Time.', tools: [] },
          { type: 'function', name: 'now', parameters: schema({}), strict: null },
        ],
      })
      said.push(response)
      const calls = response.output.flatMap((item) => (item.type === 'function_call' ? [item] : []))
      // What a client that keeps no thoughts sends.
      input.push(...(response.output.filter(({ type }) => type !== 'reasoning') as OpenAI.Responses.ResponseInput))
      input.push(...calls.map(({ call_id }) => ({ type: 'function_call_output' as const, call_id, output: 'noon' })))
    }
    expect(said.map(({ output }) => output.map(({ type }) => type))).toEqual([
      ['reasoning', 'message', 'function_call', 'function_call', 'function_call'],
      ['reasoning', 'function_call'],
      ['reasoning', 'message'],
    ])
    expect(said[0]?.output[0]).toMatchObject({ summary: [{ type: 'summary_text', text: 'Both towns, and the time.' }] })
    expect(said[2]?.output_text).toBe('Rain, but for Rome.')
    // 100 tokens at $3 a million, 20 from the cache at $0.30, 30 at $15, and half of it on top.
    expect(said[2]?.usage).toMatchObject({ input_tokens: 120, output_tokens: 30, cost: 0.001134 })
    await expectBooked(orgId, ['1.134000', '1.134000', '1.134000'])
  })
})

const TOOLS: OpenAI.Responses.Tool[] = [
  { type: 'function', name: 'weather', parameters: schema({ city: { type: 'string' } }), strict: true },
  {
    type: 'namespace',
    name: 'crm',
    description: 'Customers.',
    tools: [{ type: 'function', name: 'find', parameters: schema({ id: { type: 'string' } }) }],
  },
  {
    type: 'custom',
    name: 'apply_patch',
    description: 'Changes files.',
    format: { type: 'grammar', syntax: 'lark', definition: 'start: "x"' },
  },
  { type: 'web_search' },
]
const CALLS = [
  { index: 0, id: 'call_1', type: 'function', function: { name: 'weather', arguments: '{"city":"Oslo"}' } },
  { index: 1, id: 'call_2', type: 'function', function: { name: 'crm__find', arguments: '{"id":"7"}' } },
  { index: 2, id: 'call_3', type: 'function', function: { name: 'apply_patch', arguments: '{"input":"x\\ny"}' } },
]
const ITEMS = [
  { type: 'message', role: 'assistant', content: [{ type: 'output_text', text: 'I look it up.' }] },
  { type: 'function_call', call_id: 'call_1', name: 'weather', arguments: '{"city":"Oslo"}' },
  { type: 'function_call', call_id: 'call_2', name: 'find', namespace: 'crm', arguments: '{"id":"7"}' },
  { type: 'custom_tool_call', call_id: 'call_3', name: 'apply_patch', input: 'x\ny' },
]

describe.each(['whole', 'streamed'])('A model of OpenAI’s older dialect, %s', (how) => {
  test('A model of the older dialect calls functions, tools of namespaces and tools whose input is a text, and hears what they returned.', async () => {
    const { ask, orgId } = await payer(({ json }) => (json?.stream === true ? callStream() : callAnswer()))
    const body: Body = { model: 'gpt', input: 'Hi', tools: TOOLS, tool_choice: 'required' }
    const response = await ask(how, body)
    expect(response).toMatchObject({
      object: 'response',
      model: 'gpt',
      status: 'completed',
      output: ITEMS,
      store: false,
    })
    expect(response.usage).toEqual({ ...USAGE, cost: COST })
    product.upstream.respond(chat())
    const results = [
      { type: 'function_call_output', call_id: 'call_1', output: 'rain' },
      { type: 'function_call_output', call_id: 'call_2', output: [{ type: 'input_text', text: 'Ada' }] },
      { type: 'custom_tool_call_output', call_id: 'call_3', output: 'done' },
    ] as OpenAI.Responses.ResponseInput
    const history = [{ role: 'user' as const, content: 'Hi' }, ...(response.output as OpenAI.Responses.ResponseInput)]
    const last = await ask(how, { ...body, input: [...history, ...results], tool_choice: 'auto' })
    expect(last.output_text).toBe('Hello world')
    const [first, second] = product.upstream.requests
    expect(first?.json).toMatchObject({
      messages: [{ role: 'user', content: 'Hi' }],
      tool_choice: 'required',
      tools: [
        { type: 'function', function: { name: 'weather', strict: true } },
        { type: 'function', function: { name: 'crm__find' } },
        {
          type: 'function',
          function: {
            name: 'apply_patch',
            description: 'Changes files.\n\nThe input follows this lark grammar:\nstart: "x"',
            parameters: { required: ['input'] },
          },
        },
      ],
    })
    expect(second?.json?.messages).toEqual([
      { role: 'user', content: 'Hi' },
      { role: 'assistant', content: 'I look it up.', tool_calls: CALLS.map(({ index: _, ...call }) => call) },
      { role: 'tool', tool_call_id: 'call_1', content: 'rain' },
      { role: 'tool', tool_call_id: 'call_2', content: 'Ada' },
      { role: 'tool', tool_call_id: 'call_3', content: 'done' },
    ])
    await expectBooked(orgId, [CHARGE, CHARGE])
  })

  test('A model of the older dialect is asked for the form that was asked for.', async () => {
    const { ask } = await payer(chat({ text: ['{"city":', '"Oslo"}'] }))
    const format = { type: 'json_schema' as const, name: 'town', schema: schema({ city: {} }), strict: false }
    const response = await ask(how, { model: 'gpt', input: 'Where?', text: { format } })
    expect(response.output_text).toBe('{"city":"Oslo"}')
    expect(product.upstream.requests[0]?.json?.response_format).toEqual({
      type: 'json_schema',
      json_schema: { name: 'town', schema: schema({ city: {} }), strict: false },
    })
  })

  test('A response of a model of the older dialect ends as incomplete where the cap was reached.', async () => {
    const { ask } = await payer(chat({ finishReason: 'length' }))
    const response = await ask(how, { model: 'gpt', input: 'Hi', max_output_tokens: 5, user: 'someone' })
    expect(response).toMatchObject({ status: 'incomplete', incomplete_details: { reason: 'max_output_tokens' } })
    expect(response).toMatchObject({ output: [{ type: 'message', status: 'incomplete' }], user: 'someone' })
    expect(product.upstream.requests[0]?.json?.max_completion_tokens).toBe(5)
  })
})

test('Every event comes in its order, numbered, and the last one states the usage and the cost.', async () => {
  const { key } = await payer(chatStream())
  const { body } = await postChat(
    product.tollgate,
    key,
    { model: 'gpt', input: 'Hi', stream: true },
    { path: '/v1/responses' },
  )
  const events = body
    .trim()
    .split('\n\n')
    .map((frame) => JSON.parse(frame.slice(frame.indexOf('data: ') + 6)) as Json)
  expect(events.map(({ type, sequence_number }) => [sequence_number, type])).toEqual(
    [
      'response.created',
      'response.in_progress',
      'response.output_item.added',
      'response.content_part.added',
      'response.output_text.delta',
      'response.output_text.delta',
      'response.output_text.done',
      'response.content_part.done',
      'response.output_item.done',
      'response.completed',
    ].map((type, index) => [index, type]),
  )
  expect(events.at(-1)?.response).toMatchObject({ usage: { ...USAGE, cost: COST } })
})

test.each([
  ['tools[0]', { tools: [{ type: 'file_search', vector_store_ids: ['vs_1'] }] }],
  ['tool_choice', { tools: [{ type: 'web_search' }], tool_choice: { type: 'web_search' } }],
  ['previous_response_id', { previous_response_id: 'resp_1' }],
  ['input[0].content[0]', { input: [{ role: 'user', content: [{ type: 'input_image', file_id: 'file-1' }] }] }],
  ['input[0]', { input: [{ type: 'computer_call', id: 'c', call_id: 'c' }] }],
  ['top_logprobs', { top_logprobs: 3 }],
])('What only OpenAI’s models can honour is refused by name: %s.', async (param, members) => {
  const { client, orgId } = await payer(chat())
  const body = { model: 'gpt', input: 'Hi', ...members } as unknown as Body
  await expect(client.responses.create(body)).rejects.toMatchObject({ status: 400, param })
  expect(product.upstream.requests).toEqual([])
  await expectBooked(orgId, [])
})

function callAnswer(): Answer {
  const message = { role: 'assistant', content: 'I look it up.', tool_calls: CALLS }
  return jsonAnswer({
    id: 'chatcmpl-1',
    model: 'gpt-4o-mini',
    choices: [{ index: 0, message, finish_reason: 'tool_calls' }],
    usage: { prompt_tokens: 11, completion_tokens: 5, total_tokens: 16 },
  })
}

/** The arguments of calls at once, in pieces. */
function callStream(): Answer {
  const chunk = (delta: Json, finish_reason: string | null = null) =>
    `data: ${JSON.stringify({ id: 'chatcmpl-1', model: 'gpt-4o-mini', choices: [{ index: 0, delta, finish_reason }] })}\n\n`
  const piece = ({ index, function: called }: (typeof CALLS)[number], from: number, to?: number) =>
    chunk({ tool_calls: [{ index, function: { arguments: called.arguments.slice(from, to) } }] })
  const usage = { prompt_tokens: 11, completion_tokens: 5, total_tokens: 16 }
  return {
    headers: { 'content-type': 'text/event-stream' },
    frames: [
      chunk({ role: 'assistant', content: 'I look ' }),
      chunk({ content: 'it up.' }),
      ...CALLS.map(({ function: called, ...call }) =>
        chunk({ tool_calls: [{ ...call, function: { ...called, arguments: '' } }] }),
      ),
      ...CALLS.map((call) => piece(call, 0, 4)),
      ...CALLS.map((call) => piece(call, 4)),
      chunk({}, 'tool_calls'),
      `data: ${JSON.stringify({ id: 'chatcmpl-1', choices: [], usage })}\n\n`,
      'data: [DONE]\n\n',
    ],
  }
}
