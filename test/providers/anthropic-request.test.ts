import { createHash } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import { anthropic } from '../../providers/anthropic.ts'
import type { ProviderCall } from '../../providers/provider.ts'
import { ADD, HAIKU, type Json, prepare, refused, sent, text, USER } from './anthropic-call.ts'

describe('a request to Anthropic', () => {
  test('A request to Anthropic goes where the public API is, with our key in a header.', () => {
    const { origin, path, headers } = prepare({})
    expect(origin + path).toBe('https://api.anthropic.com/v1/messages')
    expect(headers).toEqual({
      'content-type': 'application/json',
      accept: 'application/json',
      'accept-encoding': 'identity',
      'user-agent': 'tollgate',
      'anthropic-version': '2023-06-01',
      'x-api-key': 'sk-ant-1',
    })
  })

  test.each([
    ['http://127.0.0.1:8000', 'http://127.0.0.1:8000/v1/messages'],
    ['http://127.0.0.1:8000/v1', 'http://127.0.0.1:8000/v1/messages'],
    ['https://x.example/anthropic/v1?a=1', 'https://x.example/anthropic/v1/messages?a=1'],
  ])('A request to Anthropic goes to %s where the operator says so.', (apiBase, url) => {
    const { origin, path } = prepare({}, { apiBase })
    expect(origin + path).toBe(url)
  })

  test("A request to Anthropic has the operator's headers, its beta features joined with those needed.", () => {
    const file = { role: 'user', content: [{ type: 'file', file: { file_id: 'file_1' } }] }
    const extraHeaders = { 'Anthropic-Beta': 'context-1m-2025-08-07', 'X-Team': 'a' }
    const { headers } = prepare({ messages: [file], stream: true }, { extraHeaders, apiKey: null })
    expect(headers).toMatchObject({
      'x-team': 'a',
      accept: 'text/event-stream',
      'anthropic-beta': 'context-1m-2025-08-07,files-api-2025-04-14',
    })
    expect(headers).not.toHaveProperty('x-api-key')
  })

  test('The smallest request there can be becomes the smallest request to Anthropic.', () => {
    expect(sent({})).toEqual({
      model: HAIKU,
      max_tokens: 64_000,
      messages: [{ role: 'user', content: [text('Hi')] }],
    })
  })

  test.each<[string, Json, Partial<ProviderCall>, number]>([
    ['the model can make', {}, {}, 64_000],
    ['an older model can make', {}, { model: 'claude-3-haiku-20240307' }, 4_096],
    ['an unknown model gets', {}, { model: 'house-model' }, 32_000],
    ['the caller asks for', { max_tokens: 100 }, {}, 100],
    ['the caller asks for, in the newer member', { max_completion_tokens: 200 }, {}, 200],
    ['our cap allows', { max_tokens: 900 }, { outputCap: 300 }, 300],
    ['the operator set', {}, { defaults: { max_tokens: 50 } }, 50],
    ["the caller asks for over the operator's", { max_completion_tokens: 80 }, { defaults: { max_tokens: 500 } }, 80],
    ['the model can make, however much is asked for', { max_tokens: 1_000_000 }, {}, 64_000],
  ])('A request to Anthropic is for as many tokens as %s.', (_, json, rest, most) => {
    expect(sent(json, rest).max_tokens).toBe(most)
  })

  test("A request to Anthropic has the operator's defaults where the caller says nothing.", () => {
    expect(sent({ temperature: 0.1 }, { defaults: { temperature: 0.9, stop: ['END'] } })).toMatchObject({
      temperature: 0.1,
      stop_sequences: ['END'],
    })
  })

  test('A request to Anthropic carries the other members over, under their names there.', () => {
    const json = {
      temperature: 1.7,
      top_k: 5,
      stop: 'END',
      user: 'u-1',
      service_tier: 'default',
      stream: true,
      stream_options: { include_usage: true },
      cache_control: { type: 'ephemeral' },
      n: 1,
      store: false,
      logprobs: false,
      logit_bias: {},
      presence_penalty: 0,
      frequency_penalty: 0,
      seed: null,
      metadata: { a: 'b' },
      prompt_cache_key: 'k',
      power_level: 'eco',
    }
    expect(refused(json)).toEqual([])
    expect(sent(json)).toEqual({
      model: HAIKU,
      max_tokens: 64_000,
      messages: [{ role: 'user', content: [text('Hi')] }],
      temperature: 1,
      top_k: 5,
      stop_sequences: ['END'],
      metadata: { user_id: 'u-1' },
      service_tier: 'standard_only',
      cache_control: { type: 'ephemeral' },
      stream: true,
    })
  })

  test.each<[Json, string, boolean]>([
    [{ n: 2 }, 'n', true],
    [{ seed: 1 }, 'seed', true],
    [{ logprobs: true }, 'logprobs', true],
    [{ logit_bias: { 5: 1 } }, 'logit_bias', true],
    [{ presence_penalty: 0.5 }, 'presence_penalty', true],
    [{ frequency_penalty: 0.5 }, 'frequency_penalty', true],
    [{ prediction: { type: 'content', content: 'x' } }, 'prediction', true],
    [{ modalities: ['text', 'audio'] }, 'modalities', true],
    [{ audio: { voice: 'alloy' } }, 'audio', true],
    [{ store: true }, 'store', true],
    [{ speed: 'fast' }, 'speed', true],
    [{ something_new: 1 }, 'something_new', true],
    [{ service_tier: 'flex' }, 'service_tier', true],
    [{ stop: ['a', '\n'] }, 'stop', true],
    [{ user: 'x'.repeat(300) }, 'user', true],
    [{ reasoning_effort: 'enormous' }, 'reasoning_effort', false],
    [{ messages: [{ role: 'narrator', content: 'x' }] }, 'messages[0].role', false],
    [{ messages: [{ role: 'user', content: '' }] }, 'messages', false],
    [
      {
        messages: [
          { role: 'system', content: ' ' },
          { role: 'user', content: [text('')] },
        ],
      },
      'messages',
      false,
    ],
    [{ tools: [{ type: 'custom', custom: { name: 'x' } }] }, 'tools[0]', false],
    [{ response_format: { type: 'grammar' } }, 'response_format', true],
  ])('A request to Anthropic is refused by name: %j.', (json, param, droppable) => {
    expect(refused(json)).toEqual([[param, droppable]])
  })

  test.each(['joe@example.com', 'id: joe@mail.example.org', '+41 (44) 555-01-02', '0445550102'])(
    'A request to Anthropic names a user by a hash where Anthropic would refuse the name: %s.',
    (user) => {
      const { metadata } = sent({ user }) as { metadata: { user_id: string } }
      expect(metadata.user_id).toBe(createHash('sha256').update(user).digest('hex'))
    },
  )

  test.each(['u-1', '6f1c9a50-6f5c-4f0e-9a8e-3d9a5f6c2b11', 'team@night', '12345'])(
    'A request to Anthropic names other users as they are: %s.',
    (user) => {
      expect(sent({ user }).metadata).toEqual({ user_id: user })
    },
  )

  test('A request to Anthropic leaves out what is to be dropped.', () => {
    expect(sent({ seed: 1, stop: ['\n'], top_k: 3 }, { drop: ['seed', 'stop'] })).not.toHaveProperty('stop_sequences')
    expect(anthropic.chat.refuses({ model: 'x', messages: [USER], top_k: 3 }, HAIKU)).toEqual([])
  })
})

describe('sampling', () => {
  test.each<[string, Json, string[], Json]>([
    ['claude-3-5-sonnet-20241022', { temperature: 0.5, top_p: 0.9 }, [], { temperature: 0.5, top_p: 0.9 }],
    [HAIKU, { temperature: 0.5, top_p: 0.9 }, ['top_p'], { temperature: 0.5 }],
    [HAIKU, { temperature: 0.5, top_p: 1 }, [], { temperature: 0.5 }],
    [HAIKU, { temperature: 1, top_p: 0.9 }, [], { top_p: 0.9 }],
    ['claude-opus-4-8', { temperature: 1, top_p: 1 }, [], {}],
    ['claude-opus-4-8', { temperature: 0.5, top_k: 3 }, ['temperature', 'top_k'], {}],
    ['claude-sonnet-5', { top_p: 0.5 }, ['top_p'], {}],
    [HAIKU, { temperature: 0, reasoning_effort: 'low' }, ['temperature'], {}],
    [HAIKU, { temperature: 1, reasoning_effort: 'low' }, [], {}],
  ])('The model %s is sent the sampling members that it takes, of %j.', (model, json, params, kept) => {
    expect(refused(json, model).map(([param]) => param)).toEqual(params)
    const { temperature, top_p, top_k } = sent(json, { model })
    expect(JSON.parse(JSON.stringify({ temperature, top_p, top_k }))).toEqual(kept)
  })
})

describe('reasoning effort', () => {
  const budget = (tokens: number) => ({ thinking: { type: 'enabled', budget_tokens: tokens } })
  const adaptive = (effort: string, display?: string) => ({
    thinking: { type: 'adaptive', ...(display === undefined ? {} : { display }) },
    output_config: { effort },
  })
  test.each<[string, string, Json, Json]>([
    [HAIKU, 'minimal', {}, budget(1_024)],
    [HAIKU, 'high', {}, budget(16_384)],
    ['claude-3-7-sonnet-20250219', 'xhigh', {}, budget(32_000)],
    // The cap holds for thoughts and answer together.
    [HAIKU, 'high', { max_tokens: 2_000 }, budget(1_600)],
    [HAIKU, 'high', { max_tokens: 1_000 }, {}],
    [HAIKU, 'none', {}, {}],
    ['claude-sonnet-4-6', 'medium', {}, adaptive('medium')],
    ['claude-sonnet-4-6', 'xhigh', {}, adaptive('max')],
    ['claude-opus-4-7', 'xhigh', {}, adaptive('xhigh', 'summarized')],
    ['claude-opus-4-7', 'none', {}, {}],
    ['claude-opus-5', 'minimal', {}, adaptive('low', 'summarized')],
    ['claude-opus-5', 'none', {}, { thinking: { type: 'disabled' } }],
    ['claude-sonnet-5-5', 'none', {}, { thinking: { type: 'between_tools' } }],
    ['claude-opus-9-1', 'low', {}, adaptive('low', 'summarized')],
  ])('Reasoning effort of %s is translated: %s.', (model, effort, rest, expected) => {
    const json = { reasoning_effort: effort, ...rest }
    expect(refused(json, model)).toEqual([])
    const { thinking, output_config } = sent(json, { model })
    expect(JSON.parse(JSON.stringify({ thinking, output_config }))).toEqual(expected)
  })

  test('Reasoning effort is refused by models that never think, and where it can not be turned off.', () => {
    expect(refused({ reasoning_effort: 'low' }, 'claude-3-5-haiku-20241022')).toEqual([['reasoning_effort', true]])
    expect(refused({ reasoning_effort: 'none' }, 'claude-3-5-haiku-20241022')).toEqual([])
    expect(refused({ reasoning_effort: 'none' }, 'claude-fable-5')).toEqual([['reasoning_effort', true]])
    expect(refused({ reasoning_effort: 'none' }, 'claude-opus-5-5')).toEqual([['reasoning_effort', true]])
  })

  test("Anthropic's own members are sent as they are.", () => {
    const own = { thinking: { type: 'enabled', budget_tokens: 2_000 }, output_config: { effort: 'low' } }
    expect(sent({ ...own, reasoning_effort: 'high' })).toMatchObject(own)
  })

  test('Reasoning effort gives way to a forced tool.', () => {
    const body = sent({ reasoning_effort: 'high', tools: [ADD], tool_choice: 'required' })
    expect(body).toMatchObject({ tool_choice: { type: 'any' } })
    expect(body).not.toHaveProperty('thinking')
  })
})
