import { describe, expect, test } from 'vitest'
import { anthropic } from '../../providers/anthropic.ts'
import type { ProviderResponse } from '../../providers/provider.ts'
import { parseRequest } from '../../src/endpoints/chat-completions/read-request.ts'

const request = parseRequest(Buffer.from('{"model":"m","messages":[{"role":"user","content":"Hi"}]}'))
const context = { request, model: 'claude-haiku-4-5', choices: 1, callId: 'c1', created: 1_700_000_000 }
const USAGE = { input_tokens: 10, cache_read_input_tokens: 5, output_tokens: 4 }

function answer(content: unknown, rest: Record<string, unknown> = {}, raw?: string): ProviderResponse {
  const json = {
    id: 'msg_1',
    type: 'message',
    model: 'claude-haiku-4-5-20251001',
    stop_reason: 'end_turn',
    usage: USAGE,
  }
  return anthropic.chat.readResponse(
    Buffer.from(raw ?? JSON.stringify({ ...json, content, ...rest })),
    context,
  ) as ProviderResponse
}

const choice = (content: unknown, rest: Record<string, unknown> = {}) =>
  JSON.parse(answer(content, rest).body('0.5', null).toString()).choices[0]
const text = (value: string, citations?: unknown[]) => ({
  type: 'text',
  text: value,
  ...(citations ? { citations } : {}),
})

describe('an answer of Claude', () => {
  test('A response of Claude becomes a chat completion, with usage in its meaning and our cost.', () => {
    const read = answer([text('Hé'), text('llo')])
    expect(JSON.parse(read.body('0.000123', null).toString())).toEqual({
      id: 'msg_1',
      object: 'chat.completion',
      created: 1_700_000_000,
      model: 'm',
      choices: [
        {
          index: 0,
          message: { role: 'assistant', content: 'Héllo', refusal: null },
          logprobs: null,
          finish_reason: 'stop',
        },
      ],
      usage: {
        prompt_tokens: 15,
        completion_tokens: 4,
        total_tokens: 19,
        prompt_tokens_details: { cached_tokens: 5, audio_tokens: 0 },
        completion_tokens_details: {
          reasoning_tokens: 0,
          audio_tokens: 0,
          accepted_prediction_tokens: 0,
          rejected_prediction_tokens: 0,
        },
        cost: 0.000123,
      },
    })
    expect(read.reading).toMatchObject({
      usage: { input: 10, cacheRead: 5, output: 4 },
      model: 'claude-haiku-4-5-20251001',
    })
    expect(read.outputText()).toBe('')
    expect(read.finishReasons).toEqual(['stop'])
  })

  test('A response of Claude shows no cost where none is ours.', () => {
    expect(JSON.parse(answer([]).body(null, null).toString()).usage).not.toHaveProperty('cost')
  })

  test('A response of Claude without usage leaves with our counts, and tells what is to be counted.', () => {
    const read = answer(
      [
        { type: 'thinking', thinking: 'hm ', signature: 's' },
        text('yes '),
        { type: 'tool_use', id: 'a', name: 'f', input: { x: 1 } },
      ],
      { usage: { input_tokens: 'x' } },
    )
    expect(read.reading.usage).toBeNull()
    expect(read.outputText()).toBe('hm yes f{"x":1}')
    expect(JSON.parse(read.body('0.5', { prompt_tokens: 3, cost: 9 }).toString()).usage).toEqual({
      prompt_tokens: 3,
      cost: 0.5,
    })
  })

  test('A response of Claude with tool calls has their arguments to the digit.', () => {
    const input = '{"id":9007199254740993,"n":1.0}'
    const raw = `{"type":"message","content":[{"type":"tool_use","id":"t1","name":"f","input":${input}},{"type":"tool_use","id":"t2","name":"g","input":{}}],"stop_reason":"tool_use"}`
    const { message, finish_reason } = JSON.parse(answer(null, {}, raw).body('0', {}).toString()).choices[0]
    expect(message).toEqual({
      role: 'assistant',
      content: null,
      refusal: null,
      tool_calls: [
        { id: 't1', type: 'function', function: { name: 'f', arguments: input } },
        { id: 't2', type: 'function', function: { name: 'g', arguments: '{}' } },
      ],
    })
    expect(finish_reason).toBe('tool_calls')
  })

  test.each<[string | null, string, string | undefined]>([
    ['end_turn', 'stop', undefined],
    ['stop_sequence', 'stop', 'stop_sequence'],
    ['pause_turn', 'stop', 'pause_turn'],
    ['max_tokens', 'length', undefined],
    ['model_context_window_exceeded', 'length', 'model_context_window_exceeded'],
    ['refusal', 'content_filter', 'refusal'],
    ['something_new', 'stop', 'something_new'],
    [null, 'stop', undefined],
  ])('A response of Claude has its finish reason: it ends with %s.', (stop_reason, finish, native) => {
    const { finish_reason, native_finish_reason } = choice([text('x')], { stop_reason })
    expect([finish_reason, native_finish_reason]).toEqual([finish, native])
  })

  test('A response of Claude that declines says why.', () => {
    const stop_details = { type: 'refusal', category: 'cyber', explanation: 'Blocked under the policy.' }
    expect(choice([], { stop_reason: 'refusal', stop_details }).message).toEqual({
      role: 'assistant',
      content: null,
      refusal: 'Blocked under the policy.',
    })
  })

  test('A response of Claude shows its thoughts, and carries what Claude wants back.', () => {
    const thought = { type: 'thinking', thinking: 'hm', signature: 's1' }
    const hidden = { type: 'redacted_thinking', data: 'xyz' }
    const searched = { type: 'server_tool_use', id: 'srv', name: 'web_search', input: { query: 'q' } }
    const { message } = choice([thought, hidden, text('A'), searched, text('B')])
    expect(message).toMatchObject({ content: 'AB', reasoning_content: 'hm' })
    expect(message.thinking_blocks).toEqual([thought, hidden, { ...searched, at: { text: 1, tools: 0 } }])
  })

  test('A response of Claude has its citations as annotations.', () => {
    const page = {
      type: 'web_search_result_location',
      url: 'https://x',
      title: 'X',
      cited_text: 'q',
      encrypted_index: 'e',
    }
    const place = { type: 'char_location', cited_text: 'q', document_index: 0, start_char_index: 1, end_char_index: 2 }
    const { message } = choice([text('See '), text('this', [page, place])])
    expect(message.annotations).toEqual([
      {
        type: 'url_citation',
        url_citation: { start_index: 4, end_index: 8, url: 'https://x', title: 'X', content: 'q' },
      },
      {
        type: 'file_citation',
        file_citation: {
          start_index: 4,
          end_index: 8,
          kind: 'char_location',
          cited_text: 'q',
          document_index: 0,
          start_char_index: 1,
          end_char_index: 2,
        },
      },
    ])
  })

  test('A response of Claude by a schema is shown as content, and not as a tool call.', () => {
    const formed = choice([{ type: 'tool_use', id: 'a', name: 'tollgate_answer', input: { age: 3 } }], {
      stop_reason: 'tool_use',
    })
    expect(formed).toMatchObject({ message: { content: '{"age":3}' }, finish_reason: 'stop' })
    expect(formed.message).not.toHaveProperty('tool_calls')
  })

  test('A response of Claude is read even where a block is not a block.', () => {
    expect(choice([null, 5, {}, { type: 'fallback' }, { type: 'text' }, text('x')]).message.content).toBe('x')
  })
})
