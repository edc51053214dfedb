/** xAI's row: reasoning outside of `completion_tokens`, a bill in ticks, a wrong key that is a 400, errors that are strings. */
import { describe, expect, test } from 'vitest'
import type { ProviderResponse } from '../../providers/provider.ts'
import { NO_USAGE } from '../../providers/usage.ts'
import { xai } from '../../providers/xai.ts'
import { parseRequest } from '../../src/endpoints/chat-completions/read-request.ts'

const REQUEST = { model: 'grok-3-mini', messages: [{ role: 'user', content: 'Hi' }] }
const context = {
  request: parseRequest(Buffer.from(JSON.stringify(REQUEST))),
  model: 'grok-3-mini',
  choices: 1,
  callId: '00000000-0000-4000-8000-000000000000',
  created: 1_700_000_000,
}

function answerOf(usage: unknown): ProviderResponse {
  const message = { role: 'assistant', content: 'Hello', reasoning_content: 'They greet me.', refusal: null }
  const choices = [{ index: 0, message, finish_reason: 'stop' }]
  const read = xai.chat.readResponse(
    Buffer.from(JSON.stringify({ model: 'grok-3-mini-high', choices, usage })),
    context,
  )
  if (read === null || 'kind' in read) throw new Error('this is an answer')
  return read
}

const USAGE = {
  prompt_tokens: 32,
  completion_tokens: 9,
  total_tokens: 141,
  prompt_tokens_details: { text_tokens: 32, audio_tokens: 0, image_tokens: 0, cached_tokens: 8 },
  completion_tokens_details: { reasoning_tokens: 100, audio_tokens: 0 },
  num_sources_used: 0,
}

describe('usage of xAI', () => {
  test('Usage of xAI has its reasoning added to the output, where it is billed.', () => {
    const { reading } = answerOf(USAGE)
    expect(reading.usage).toEqual({ ...NO_USAGE, input: 24, cacheRead: 8, output: 109, reasoning: 100 })
    expect(reading).toMatchObject({ consistent: true, cost: null, model: 'grok-3-mini-high' })
  })

  test('Usage of xAI is believed about where reasoning is: a total that fits only one reading says which.', () => {
    const inside = { ...USAGE, completion_tokens: 109 }
    expect(answerOf(inside).reading.usage).toMatchObject({ output: 109, reasoning: 100 })
    expect(answerOf({ ...USAGE, total_tokens: undefined }).reading.usage).toMatchObject({ output: 109 })
  })

  test('Usage of xAI is shown in OpenAI’s meaning, with our cost and without its bill.', () => {
    const { usage } = JSON.parse(
      answerOf({ ...USAGE, cost_in_usd_ticks: 12_345 })
        .body('0.000001852', {})
        .toString(),
    )
    expect(usage).toEqual({ ...USAGE, completion_tokens: 109, cost: 0.000001852 })
  })

  test.each<[string, unknown, bigint | null]>([
    ['a dollar', 10_000_000_000, 10n ** 21n],
    ['one tick', 1, 10n ** 11n],
    ['nothing', 0, 0n],
    ['less than nothing', -1, null],
    ['a part of a tick', 1.5, null],
    ['text', '12345', null],
    ['beyond belief', 1e17, null],
  ])('Usage of xAI bills %s.', (_, ticks, cost) => {
    expect(answerOf({ ...USAGE, cost_in_usd_ticks: ticks }).reading.cost).toBe(cost)
  })

  test('Usage of xAI counts the sources a live search read.', () => {
    expect(answerOf({ ...USAGE, num_sources_used: 3 }).reading.usage?.toolFees).toEqual({ live_search: 3 })
    expect(answerOf(USAGE).reading.usage?.toolFees).toEqual({})
  })
})

describe('a request to xAI', () => {
  const refused = (json: Record<string, unknown>, model: string) =>
    xai.chat.refuses(json, model).map(({ param }) => param)

  test.each([
    [
      'grok-4',
      { presence_penalty: 0, frequency_penalty: 0, stop: ['x'] },
      ['presence_penalty', 'frequency_penalty', 'stop'],
    ],
    ['grok-4', { reasoning_effort: 'low' }, ['reasoning_effort']],
    ['grok-3-mini', { reasoning_effort: 'low', stop: 'x' }, ['stop']],
    ['grok-4.3', { reasoning_effort: 'high' }, []],
    ['grok-4.20-multi-agent', { reasoning_effort: 'high' }, []],
    ['grok-3', { stop: 'x', presence_penalty: 1 }, []],
    ['grok-4-fast-non-reasoning', { stop: 'x' }, []],
    ['grok-3', { logit_bias: { 5: 1 } }, ['logit_bias']],
    ['grok-4', { stop: null, temperature: 0.2, n: 2 }, []],
  ])('A request to xAI of %s with %j names what xAI does not take: %j.', (model, json, params) => {
    expect(refused(json, model)).toEqual(params)
  })

  test('A request to xAI may search: as many sources as it allows, and all they hold is input.', () => {
    const tools = (json: Record<string, unknown>) => xai.chat.serverTools(json, 'grok-4')
    expect(tools({ search_parameters: { mode: 'auto', max_search_results: 5 } })).toEqual([
      { kind: 'live_search', uses: 5, addsInput: true, billedByUse: false },
    ])
    expect(tools({ search_parameters: {} })).toEqual([
      { kind: 'live_search', uses: 20, addsInput: true, billedByUse: false },
    ])
    expect(tools({ search_parameters: { mode: 'off' } })).toEqual([])
    expect(tools({ tools: [{ type: 'function' }, { type: 'web_search' }] })).toEqual([
      { kind: 'web_search', uses: 1, addsInput: true, billedByUse: false },
    ])
  })
})

describe('an error of xAI', () => {
  const CODE = 'Client specified an invalid argument'
  const read = (status: number, error: string, code = CODE) =>
    xai.readError(status, {}, Buffer.from(JSON.stringify({ code, error })))

  test('An error of xAI about our key is a 400, and nothing of the key is said.', () => {
    const { kind, message } = read(400, 'Incorrect API key provided: ab***yz. See https://console.x.ai.')
    expect(kind).toBe('auth')
    expect(message).toBe(
      "xAI did not accept this gateway's account. The operator has been told; trying again later may help.",
    )
  })

  test.each([429, 403])('An error of xAI about spent credits comes as %i.', (status) => {
    const words = 'Your team has used all available credits or reached its monthly spending limit.'
    expect(read(status, words, 'Some resource has been exhausted').kind).toBe('quota')
  })

  test.each([
    [429, 'Too many tokens for team 7f1c9a52-30b7-4a3c-9d0e-52d1f6f0b1aa and model grok-4.', 'rate_limit'],
    [400, 'Model grok-99 does not exist or your team has no access to it.', 'model_not_found'],
    [400, 'Model grok-4 does not support parameter presencePenalty.', 'bad_request'],
    [400, "This model's maximum prompt length is 131072 but the request contains 200001 tokens.", 'context_length'],
  ])('An error of xAI is read: %i %j is %s.', (status, words, kind) => {
    expect(read(status, words).kind).toBe(kind)
  })
})
