/** What of a request counts: everything but what is known never to be read by a model. */
import { describe, expect, test } from 'vitest'
import { idWithBlocks } from '../../providers/anthropic/carried.ts'
import { anthropic } from '../../providers/anthropic.ts'
import { openai } from '../../providers/openai.ts'
import { type ChatInput, type UnpackId, visitInput } from '../../src/metering/request-input.ts'

const MESSAGES = [{ role: 'user', content: 'Hi' }]

function seen(request: ChatInput, unpackId: UnpackId = openai.chat.unpackId) {
  const sure: string[] = []
  const held: string[] = []
  let framing = 0
  visitInput(request, unpackId, {
    text: (text, isSure) => (isSure ? sure : held).push(text),
    json: (value, isSure) => (isSure ? sure : held).push(JSON.stringify(value)),
    framing: (tokens) => {
      framing += tokens
    },
    role: () => {
      framing += 1
    },
    media: (part) => held.push(`media ${String(part.type)}`),
    unbounded: (path) => held.push(path),
    prediction: (content) => held.push(`predicted ${JSON.stringify(content)}`),
  })
  return { sure, held, framing }
}

describe('of a request', () => {
  test('A message is framed by three tokens and its role, as OpenAI says.', () => {
    expect(seen({ messages: MESSAGES })).toEqual({ sure: ['Hi'], held: [], framing: 3 + 3 + 1 })
    expect(seen({ messages: [{ role: 'a role nobody knows', content: 'Hi' }] }).sure).toEqual([
      'a role nobody knows',
      'Hi',
    ])
  })

  test.for([
    ['documents', [{ title: 'Otters', text: 'They swim.' }]],
    ['output_config', { format: { schema: { type: 'object' } } }],
    ['tool_choice', { type: 'function', function: { name: 'find' } }],
    ['function_call', { name: 'find' }],
    ['extra_body', { google: { cached_content: 'x' } }],
    ['a member of tomorrow', ['text']],
  ] as const)('%s is held.', ([name, value]) => {
    expect(seen({ messages: MESSAGES, [name]: value })).toMatchObject({ sure: ['Hi'], held: [JSON.stringify(value)] })
  })

  test('Media beside what a part says it is are held too.', () => {
    const image_url = { url: 'https://example.com/a.png' }
    const content = [{ type: 'text', text: 'x', image_url }]
    expect(seen({ messages: [{ role: 'user', content }] }).held).toContain('media image_url')
    const images = [{ type: 'image_url', image_url }]
    expect(seen({ messages: [{ role: 'assistant', content: 'x', images }] }).held).toContain('media image_url')
    expect(seen({ messages: [{ role: 'user', content: images }] }).held).toEqual(['media image_url', '{}'])
  })

  test.for(['response_format', 'tools', 'functions'])('%s is held, and counted where nobody stated usage.', (name) => {
    expect(seen({ messages: MESSAGES, [name]: [{ type: 'x' }] }).sure).toEqual(['Hi', '[{"type":"x"}]'])
  })

  test('What tells the provider how to answer, whom to bill or what to remember is not input.', () => {
    const request = {
      ...{ model: 'm', stream: true, n: 2, user: 'u', metadata: { a: 'b' }, stop: ['x'], logit_bias: { 1: 2 } },
      ...{ reasoning_effort: 'low', temperature: 1, a_number: 7, a_switch: true, nothing: null },
    }
    expect(seen({ ...request, messages: MESSAGES })).toEqual(seen({ messages: MESSAGES }))
  })

  test('A prediction is held as input, and as output.', () => {
    const prediction = { type: 'content', content: 'old text' }
    expect(seen({ messages: MESSAGES, prediction }).held).toEqual([JSON.stringify(prediction), 'predicted "old text"'])
  })

  test('Names, ids, reasoning and arguments are held.', () => {
    const call = { id: 'call_1', type: 'function', function: { name: 'find', arguments: '{"a":1}' } }
    const messages = [
      { role: 'assistant', name: 'Ada', reasoning_content: 'because', tool_calls: [call] },
      { role: 'tool', tool_call_id: 'call_1', content: 'found' },
    ]
    expect(seen({ messages })).toMatchObject({
      sure: ['Ada', 'find', '{"a":1}', 'found'],
      held: ['because', 'call_1', 'call_1'],
    })
  })

  test('An id counts with what it carries for the provider that is called.', () => {
    const block = {
      type: 'web_search_tool_result',
      content: Array.from({ length: 1_000 }, (_, i) => `word ${i}`).join(),
    }
    const id = idWithBlocks('toolu_1', [{ block, text: 0, tools: 0 }])
    const messages = [{ role: 'assistant', tool_calls: [{ id, type: 'function', function: {} }] }]
    expect(seen({ messages }, anthropic.chat.unpackId).held).toEqual(['toolu_1', JSON.stringify([block])])
    expect(seen({ messages }, openai.chat.unpackId).held).toEqual(['toolu_1'])
  })

  test("A file's name counts, its data does not.", () => {
    const content = [{ type: 'file', file: { file_data: 'AAAA', filename: 'otters.pdf' }, title: 'Otters' }]
    expect(seen({ messages: [{ role: 'user', content }] }).held).toEqual([
      'media file',
      '{"filename":"otters.pdf"}',
      'Otters',
    ])
  })
})
