import { describe, expect, it } from 'vitest'
import { google } from '../../providers/google.ts'

type Json = Record<string, unknown>

const USER = { role: 'user', content: 'Hello' }
const TOOLS = [{ type: 'function', function: { name: 'look' } }]
const refused = (json: Json, model = 'gemini-2.5-flash') =>
  google.chat
    .refuses({ model: 'm', messages: [USER], ...json }, model)
    .map(({ param, droppable }) => [param, droppable])

describe('members', () => {
  it('Nothing of an ordinary request is refused.', () => {
    expect(
      refused({
        stream: true,
        stream_options: { include_usage: true },
        user: 'u',
        metadata: {},
        store: false,
        logit_bias: {},
        temperature: 2,
        seed: -5,
        stop: ['a'],
        n: 8,
        parallel_tool_calls: false,
        response_format: { type: 'json_object' },
        service_tier: 'default',
        power_level: 'eco',
      }),
    ).toEqual([])
  })

  it.each([
    [{ logit_bias: { '1': 5 } }, 'logit_bias'],
    [{ prediction: { type: 'content', content: 'x' } }, 'prediction'],
    [{ store: true }, 'store'],
    [{ verbosity: 'low' }, 'verbosity'],
    [{ something_new: 1 }, 'something_new'],
    [{ temperature: 2.5 }, 'temperature'],
    [{ presence_penalty: 0.1 }, 'presence_penalty'],
    [{ seed: 2 ** 31 }, 'seed'],
    [{ stop: ['1', '2', '3', '4', '5', '6'] }, 'stop'],
    [{ service_tier: 'scale' }, 'service_tier'],
    [{ modalities: ['text', 'audio'] }, 'modalities'],
    [{ reasoning_effort: 'xhigh' }, 'reasoning_effort'],
    [{ tools: TOOLS, parallel_tool_calls: false }, 'parallel_tool_calls'],
    [{ tools: TOOLS, response_format: { type: 'json_object' } }, 'response_format'],
    [{ reasoning_effort: 'low', extra_body: { google: { thinking_config: {} } } }, 'reasoning_effort'],
  ])('%j may be left out by the operator.', (json, param) => {
    expect(refused(json)).toEqual([[param, true]])
  })

  it('Values that are no text are refused, whatever they pretend to be.', () => {
    const odd = { toString: '', valueOf: 1 }
    expect(refused({ reasoning_effort: odd })).toEqual([['reasoning_effort', true]])
    expect(refused({ messages: [USER, { role: 'tool', tool_call_id: odd }], service_tier: odd })).toEqual([
      ['service_tier', true],
      ['messages[1].tool_call_id', false],
    ])
  })

  it('A generation of models is not refused what it can do.', () => {
    expect(refused({ presence_penalty: 0.1 }, 'gemini-2.0-flash')).toEqual([])
    expect(refused({ tools: TOOLS, response_format: { type: 'json_object' } }, 'gemini-3-flash-preview')).toEqual([])
    expect(refused({ reasoning_effort: 'none' }, 'gemini-2.5-pro')).toEqual([['reasoning_effort', true]])
    expect(refused({ reasoning_effort: 'none' }, 'gemini-3-flash-preview')).toEqual([['reasoning_effort', true]])
    expect(refused({ reasoning_effort: 'low' }, 'gemini-2.0-flash')).toEqual([['reasoning_effort', true]])
  })

  it.each([
    [{ n: 9 }, 'n'],
    [{ functions: [{ name: 'f' }] }, 'functions'],
    [{ tools: [{ type: 'custom', custom: {} }] }, 'tools[0]'],
    [{ tool_choice: 'maybe' }, 'tool_choice'],
    [{ extra_body: { google: { cached_content: 'cachedContents/1' } } }, 'extra_body.google.cached_content'],
    [{ messages: [{ role: 'function', name: 'f', content: '' }] }, 'messages[0].role'],
    [
      { messages: [{ role: 'user', content: [{ type: 'file', file: { file_id: 'file-1' } }] }] },
      'messages[0].content[0]',
    ],
    [
      {
        messages: [
          { role: 'system', content: [{ type: 'image_url', image_url: { url: 'data:image/png;base64,AA' } }] },
        ],
      },
      'messages[0].content[0]',
    ],
    [{ messages: [USER, { role: 'tool', tool_call_id: 'x', content: '' }] }, 'messages[1].tool_call_id'],
    [
      {
        messages: [USER, { role: 'assistant', tool_calls: [{ id: 'a', function: { name: 'f', arguments: '{"x":' } }] }],
      },
      'messages[1].tool_calls[0].function.arguments',
    ],
    [{ messages: [USER, { role: 'assistant', audio: { id: 'a' } }] }, 'messages[1].audio'],
  ])('%j is always refused.', (json, param) => {
    expect(refused(json)).toEqual([[param, false]])
  })
})
