/**
 * Where the operator keeps responses: what a model said can be named by its id in the place of sending it, as the AI SDK does with its
 * default settings. The user it was made for gets it into the request again, priced as what was sent, and nobody else does.
 */
import { createOpenAI } from '@ai-sdk/openai'
import { generateText, isStepCount, type LanguageModel, streamText, tool } from 'ai'
import OpenAI from 'openai'
import { describe, expect, test, vi } from 'vitest'
import { z } from 'zod'
import { rowsOf } from '../../support/call-books.ts'
import { useProduct } from '../../support/product.ts'
import {
  functionCall,
  type Json,
  message,
  respondingOn,
  responds,
  streamedResponse,
  thoughts,
  wholeResponse,
} from '../../support/response-answers.ts'
import { modelOn, postChat } from '../../support/tollgate.ts'
import { type Handler, jsonAnswer } from '../../support/upstream-answers.ts'

const PRICES = { input_cost_per_token: 0.000001, output_cost_per_token: 0.00001 }
const product = useProduct((upstreamUrl) => ({
  models: [
    respondingOn(upstreamUrl, 'gpt-4.1', { ...PRICES, model: 'openai/gpt-4.1' }),
    respondingOn(upstreamUrl, 'gpt-5.1-codex', { ...PRICES, model: 'openai/gpt-5.1-codex' }),
    modelOn(upstreamUrl, 'by-chat', { ...PRICES, model: 'openai/gpt-4o-mini' }),
  ],
  router_settings: { num_retries: 0 },
  tollgate: { kept_responses_hours: 24 },
}))

async function organization() {
  product.upstream.requests.length = 0
  const { id, keys } = await product.db.seedOrganization({ credits: 10_000, users: { alice: 5_000, bob: 5_000 } })
  return { orgId: id, keys }
}

const openai = (key: string) => createOpenAI({ baseURL: `${product.tollgate.url}/v1`, apiKey: key })
const input = (n: number): Json[] => product.upstream.requests[n]?.json?.input as Json[]

/** Thinks, speaks and calls a tool, twice; then it is done. */
const thinking: Handler = ({ json }) => {
  const turn = ((json?.input ?? []) as Json[]).filter(({ type }) => type === 'function_call_output').length
  const output =
    turn < 2
      ? [
          thoughts(`Thought ${turn}.`, `sealed-${turn}`, `rs_${turn}`),
          message(`Step ${turn}.`, `msg_${turn}`),
          functionCall('run', { command: `step ${turn}` }, `call_${turn}`),
        ]
      : [message('Done.', 'msg_end')]
  return json?.stream === true ? streamedResponse(output) : wholeResponse(output)
}

const run = tool({
  description: 'Runs a command',
  inputSchema: z.object({ command: z.string() }),
  execute: ({ command }) => `ran ${command}`,
})

async function task(model: LanguageModel, how: string): Promise<string> {
  const asked = { model, prompt: 'Do it.', tools: { run }, stopWhen: isStepCount(5) }
  if (how === 'whole') return (await generateText(asked)).text
  return streamText(asked).text
}

const booked = async (orgId: string) => (await rowsOf(product.db.pool, orgId)).map(({ credits_used }) => credits_used)

describe.each(['whole', 'streamed'])('The AI SDK with its defaults, %s', (how) => {
  test.each(['gpt-4.1', 'gpt-5.1-codex'])(
    'Every turn of %s reaches the provider in full, thoughts sealed as they came.',
    async (name) => {
      const { orgId, keys } = await organization()
      product.upstream.respond(thinking)
      expect(await task(openai(keys.alice)(name), how)).toBe('Done.')
      expect(input(2)).toMatchObject([
        { role: 'user' },
        { type: 'reasoning', id: 'rs_0', encrypted_content: 'sealed-0' },
        { type: 'message', role: 'assistant', content: [{ type: 'output_text', text: 'Step 0.' }] },
        { type: 'function_call', call_id: 'call_0' },
        { type: 'function_call_output', call_id: 'call_0', output: 'ran step 0' },
        { type: 'reasoning', id: 'rs_1', encrypted_content: 'sealed-1' },
        { type: 'message', role: 'assistant', content: [{ type: 'output_text', text: 'Step 1.' }] },
        { type: 'function_call', call_id: 'call_1' },
        { type: 'function_call_output', call_id: 'call_1', output: 'ran step 1' },
      ])
      expect(input(2).some(({ type }) => type === 'item_reference')).toBe(false)
      expect(
        input(2)
          .filter(({ type }) => type === 'message')
          .map(({ id }) => id),
      ).toEqual([undefined, undefined])
      expect(product.upstream.requests.map(({ json }) => json?.store)).toEqual([false, false, false])
      // 11 tokens in at $1 a million, 2 of them cached at the same price, and 5 out at $10, and half of it on top.
      expect(await booked(orgId)).toEqual(['0.091500', '0.091500', '0.091500'])
    },
  )
})

test('A model that is asked by chat is told what it said, turn by turn.', async () => {
  const { orgId, keys } = await organization()
  product.upstream.respond(({ json }) => {
    const turn = ((json?.messages ?? []) as Json[]).filter(({ role }) => role === 'tool').length
    const calls = [{ id: `call_${turn}`, type: 'function', function: { name: 'run', arguments: '{"command":"x"}' } }]
    const said = turn < 2 ? { content: `Step ${turn}.`, tool_calls: calls } : { content: 'Done.' }
    const choice = {
      index: 0,
      message: { role: 'assistant', ...said },
      finish_reason: turn < 2 ? 'tool_calls' : 'stop',
    }
    return jsonAnswer({
      id: 'c',
      object: 'chat.completion',
      model: 'm',
      choices: [choice],
      usage: { prompt_tokens: 11, completion_tokens: 5, total_tokens: 16 },
    })
  })
  expect(await task(openai(keys.alice)('by-chat'), 'whole')).toBe('Done.')
  const messages = product.upstream.requests[2]?.json?.messages as Json[]
  expect(messages.filter(({ role }) => role === 'assistant').map(({ content }) => content)).toEqual([
    'Step 0.',
    'Step 1.',
  ])
  expect(await booked(orgId)).toEqual(['0.091500', '0.091500', '0.091500'])
})

const refers = (id: string, more: Json = {}) => ({
  model: 'gpt-4.1',
  input: [
    { role: 'user', content: 'Go on.' },
    { type: 'item_reference', id },
  ],
  ...more,
})
const ask = (key: string, body: Json) => postChat(product.tollgate, key, body, { path: '/v1/responses' })

describe('who may name an item', () => {
  test('Nobody but its user gets an item: not another user of the organization, nor another organization.', async () => {
    const [first, second] = [await organization(), await organization()]
    product.upstream.respond(responds([message('The secret.', 'msg_secret')]))
    expect((await ask(first.keys.alice, { model: 'gpt-4.1', input: 'Hi' })).status).toBe(200)
    for (const key of [first.keys.bob, second.keys.alice]) {
      const refused = await ask(key, refers('msg_secret'))
      expect(refused.status).toBe(400)
      expect(refused.json()).toMatchObject({ error: { code: 'unsupported_parameter', param: 'input[1]' } })
    }
    expect(product.upstream.requests).toHaveLength(1)
    expect((await ask(first.keys.alice, refers('msg_secret'))).status).toBe(200)
    expect(input(1)[1]).toMatchObject({ type: 'message', content: [{ text: 'The secret.' }] })
  })

  test('An item of a request with store: false is not kept, and neither is one that is too old.', async () => {
    const { keys } = await organization()
    product.upstream.respond(responds([message('Unkept.', 'msg_unkept')]))
    await ask(keys.alice, { model: 'gpt-4.1', input: 'Hi', store: false })
    expect((await ask(keys.alice, refers('msg_unkept'))).status).toBe(400)
    product.upstream.respond(responds([message('Old.', 'msg_old')]))
    await ask(keys.alice, { model: 'gpt-4.1', input: 'Hi' })
    product.upstream.respond(responds([message('New.', 'msg_new')]))
    expect((await ask(keys.alice, refers('msg_old'))).status).toBe(200)
    // Written behind the call: the clock may move before.
    await vi.waitFor(async () => {
      const { rowCount } = await product.db.pool.query(`select from tollgate.kept_responses where id = 'msg_old'`)
      expect(rowCount).toBe(1)
    })
    await product.db.moveClock('25 hours')
    expect((await ask(keys.alice, refers('msg_old'))).status).toBe(400)
  })
})

test('An item that is named is held as what it stands for, each time it is named.', async () => {
  const { keys } = await organization()
  product.upstream.respond(responds([message('word '.repeat(2_000), 'msg_long')]))
  await ask(keys.alice, { model: 'gpt-4.1', input: 'Hi' })
  const quote = async (body: Json) => {
    const { status, json } = await postChat(
      product.tollgate,
      keys.alice,
      { ...body, max_output_tokens: 100 },
      { path: '/v1/quotes?endpoint=/v1/responses' },
    )
    expect(status).toBe(200)
    return Number(json().held_credits)
  }
  const [named, twice] = [refers('msg_long'), refers('msg_long')]
  twice.input.push(...(named.input.slice(1) as typeof twice.input))
  const sent = {
    ...named,
    input: [
      named.input[0],
      {
        type: 'message',
        role: 'assistant',
        status: 'completed',
        content: [{ type: 'output_text', text: 'word '.repeat(2_000), annotations: [], logprobs: [] }],
      },
    ],
  }
  await vi.waitFor(async () => expect(await quote(named)).toBe(await quote(sent)))
  const [none, one, two] = [
    await quote({ ...named, input: named.input.slice(0, 1) }),
    await quote(named),
    await quote(twice),
  ]
  expect(one - none).toBeGreaterThan(2)
  expect(two - one).toBeCloseTo(one - none, 3)
})

describe('a response that is kept', () => {
  const official = (apiKey: string) => new OpenAI({ apiKey, baseURL: `${product.tollgate.url}/v1`, maxRetries: 0 })
  const hi = { role: 'user' as const, content: 'Hi' }

  test.each(['whole', 'streamed'])('previous_response_id stands for all that was said before it, %s.', async (how) => {
    const { orgId, keys } = await organization()
    const client = official(keys.alice)
    type Asked = Pick<OpenAI.Responses.ResponseCreateParams, 'input' | 'instructions' | 'previous_response_id'>
    const say = (asked: Asked) => {
      const request = { model: 'gpt-4.1', ...asked }
      return how === 'whole'
        ? client.responses.create(request)
        : client.responses.stream(request as never).finalResponse()
    }
    const answers = ['First.', 'Second.', 'Third.'].entries()
    product.upstream.respond(({ json }) => {
      const [index, text] = answers.next().value as [number, string]
      const [output, options] = [[message(text, `msg_${index}`)], { more: { id: `resp_${how}_${index}` } }]
      return json?.stream === true ? streamedResponse(output, options) : wholeResponse(output, options)
    })
    const first = await say({ input: 'One?', instructions: 'Be brief.' })
    const second = await say({ input: [{ role: 'user', content: 'Two?' }], previous_response_id: first.id })
    await say({ input: 'Three?', previous_response_id: second.id })
    expect(product.upstream.requests[2]?.json).toMatchObject({ store: false })
    expect(product.upstream.requests[2]?.json).not.toHaveProperty('previous_response_id')
    // Instructions are of one call alone, at OpenAI too.
    expect(product.upstream.requests[2]?.json).not.toHaveProperty('instructions')
    const said = (text: string) => ({ type: 'message', role: 'assistant', content: [{ type: 'output_text', text }] })
    expect(input(2)).toMatchObject([
      { role: 'user', content: 'One?' },
      said('First.'),
      { role: 'user', content: 'Two?' },
      said('Second.'),
      { role: 'user', content: 'Three?' },
    ])
    expect(await booked(orgId)).toEqual(['0.091500', '0.091500', '0.091500'])
  })

  test('Its user reads a kept response as it was sent and deletes it; others never find it.', async () => {
    const { keys } = await organization()
    product.upstream.respond(responds([message('Kept.', 'msg_kept')]))
    const client = official(keys.alice)
    const made = await client.responses.create({ model: 'gpt-4.1', input: [hi] })
    const read = await client.responses.retrieve(made.id)
    expect(read).toMatchObject({ id: made.id, output: made.output, usage: made.usage })
    await expect(official(keys.bob).responses.retrieve(made.id)).rejects.toMatchObject({
      status: 404,
      code: 'not_found',
    })
    await expect(client.responses.retrieve('msg_kept')).rejects.toMatchObject({ status: 404 })
    await client.responses.delete(made.id)
    await expect(client.responses.retrieve(made.id)).rejects.toMatchObject({ status: 404 })
    await expect(client.responses.delete(made.id)).rejects.toMatchObject({ status: 404 })
    const gone = client.responses.create({ model: 'gpt-4.1', input: [hi], previous_response_id: made.id })
    await expect(gone).rejects.toMatchObject({ status: 400, param: 'previous_response_id' })
    expect((await ask(keys.alice, refers('msg_kept'))).status).toBe(400)
  })

  test('Its user reads the input of a kept response, page by page, and can’t cancel it; others can do neither.', async () => {
    const { orgId, keys } = await organization()
    product.upstream.respond(({ json }) =>
      wholeResponse([message('Kept.', 'msg_paged')], {
        more: { id: `resp_paged_${JSON.stringify(json?.input).length}` },
      }),
    )
    const client = official(keys.alice)
    const first = await client.responses.create({ model: 'gpt-4.1', input: 'One?' })
    const { id } = await client.responses.create({
      model: 'gpt-4.1',
      input: [hi, { type: 'function_call_output', call_id: 'call_1', output: 'Done.', id: 'fco_1' }],
      previous_response_id: first.id,
    })
    const { data, has_more: more } = await client.responses.inputItems.list(id, { limit: 3, order: 'asc' })
    const made = expect.stringMatching(/^in_[0-9a-f]{40}$/)
    const said = (text: string) => ({
      type: 'message',
      role: 'user',
      status: 'completed',
      content: [{ type: 'input_text', text }],
    })
    expect(data).toEqual([
      { id: made, ...said('One?') },
      expect.objectContaining({ id: made, role: 'assistant', content: [expect.objectContaining({ text: 'Kept.' })] }),
      { id: made, ...said('Hi') },
    ])
    expect(more).toBe(true)
    const all: unknown[] = []
    for await (const item of client.responses.inputItems.list(id, { limit: 1 })) all.push(item.id)
    expect(all).toEqual(['fco_1', ...data.map((item) => item.id).reverse()])
    await expect(client.responses.inputItems.list(id, { after: 'msg_paged' })).rejects.toMatchObject({
      status: 400,
      param: 'after',
    })
    await expect(client.responses.cancel(id)).rejects.toMatchObject({ status: 400, code: 'not_cancellable' })
    for (const call of [official(keys.bob).responses.inputItems.list(id), official(keys.bob).responses.cancel(id)])
      await expect(call).rejects.toMatchObject({ status: 404, code: 'not_found' })
    expect(await booked(orgId)).toHaveLength(2)
  })
})
