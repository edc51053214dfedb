import fc from 'fast-check'
import { get_encoding } from 'tiktoken'
import { afterAll, describe, expect, test } from 'vitest'
import { openai } from '../../providers/openai.ts'
import { estimateChatInput, estimateText, type InputEstimate } from '../../src/metering/estimate.ts'
import { SAMPLES } from './samples.ts'

const vocabulary = get_encoding('o200k_base')
afterAll(() => vocabulary.free())

function exact(text: string): number {
  return vocabulary.encode_ordinary(text).length
}

const noMedia = () => ({ bound: null, expected: 0 })
const plainId = (id: string) => ({ id, carried: '' })

function estimated(request: Parameters<typeof estimateChatInput>[0]): InputEstimate {
  return estimateChatInput(request, openai.chat.mediaTokens('gpt-4o'), openai.chat.unpackId)
}

describe('the estimate of a text', () => {
  const ratios = Object.entries(SAMPLES).map(([name, text]) => ({ name, ratio: estimateText(text) / exact(text) }))

  test('The estimate of a text is not below the tokenizer on 95 % of realistic texts, and close on the others.', () => {
    const below = ratios.filter(({ ratio }) => ratio < 1)
    expect(below.length / ratios.length, below.map(({ name }) => name).join(', ')).toBeLessThanOrEqual(0.05)
    for (const { ratio } of below) expect(ratio).toBeGreaterThan(0.85)
  })

  test('The estimate of a text is at most one and a half times the tokenizer at the median.', () => {
    const sorted = ratios.map(({ ratio }) => ratio).sort((a, b) => a - b)
    expect(sorted[Math.floor(sorted.length / 2)]).toBeLessThanOrEqual(1.5)
  })

  test('The estimate of a text is zero for nothing, and never more than a token a byte.', () => {
    expect(estimateText('')).toBe(0)
    fc.assert(
      fc.property(fc.string({ unit: 'binary', maxLength: 200 }), (text) => {
        const tokens = estimateText(text)
        expect(Number.isInteger(tokens)).toBe(true)
        expect(tokens).toBeLessThanOrEqual(Buffer.byteLength(text))
        expect(tokens > 0).toBe(text.length > 0)
      }),
    )
  })

  test('The estimate of a text counts a blank that no word follows.', () => {
    expect([' ', '\t', 'a ', 'a b'].map(estimateText)).toEqual([1, 1, 2, 2])
  })

  test('The estimate of a text counts what repeats itself by its bytes.', () => {
    expect(['z'.repeat(9), 'жж', '中', '中中', 'onon', 'onononon', '\u0001\u0001', '\r\r'].map(estimateText)).toEqual([
      9, 4, 3, 6, 3, 8, 2, 2,
    ])
  })

  test('The estimate of a text takes a token a byte beyond four mebibytes, which no context holds.', () => {
    const word = 'word '
    const most = word.repeat(Math.floor((4 * 1024 * 1024) / word.length))
    expect(estimateText(most)).toBeLessThan(most.length / 4)
    expect(estimateText(`${most}é${word}`)).toBe(most.length + 2 + word.length)
  })

  test('The estimate of a text accepts halves of surrogate pairs.', () => {
    // Half of one becomes a replacement character, of three bytes.
    expect(estimateText('\ud83d')).toBe(3)
    expect(estimateText('a\udc00b')).toBeGreaterThan(0)
  })
})

describe('the estimate of a chat request', () => {
  test('The estimate of a chat request frames each message and primes the response, as OpenAI counts.', () => {
    // "Hello!" is 2 tokens and 6 bytes; a message 4, the answer 3
    expect(estimated({ messages: [{ role: 'user', content: 'Hello!' }] })).toEqual({
      tokens: estimateText('Hello!') + 7,
      bytes: 13,
      media: 0,
      audioInput: 0,
      expected: { media: 0, audioInput: 0 },
      least: { media: 0, audioInput: 0, window: false },
      predicted: { tokens: 0, bytes: 0 },
      toolFees: {},
      unbounded: [],
      unboundedSound: false,
    })
  })

  test('The estimate of a chat request counts names, text parts, refusals, tool calls and reasoning.', () => {
    const plain = estimated({ messages: [{ role: 'assistant' }] })
    for (const message of [
      { role: 'assistant', name: 'planner' },
      { role: 'assistant', content: [{ type: 'text', text: 'one' }] },
      { role: 'assistant', content: [{ type: 'refusal', refusal: 'no' }] },
      {
        role: 'assistant',
        tool_calls: [{ id: 'call_1', type: 'function', function: { name: 'f', arguments: '{"a":1}' } }],
      },
      { role: 'assistant', function_call: { name: 'f', arguments: '{}' } },
      { role: 'assistant', reasoning_content: 'because' },
    ]) {
      const more = estimated({ messages: [message] })
      expect(more.tokens, JSON.stringify(message)).toBeGreaterThan(plain.tokens)
      expect(more.bytes).toBeGreaterThanOrEqual(more.tokens)
    }
  })

  test('The estimate of a chat request counts definitions of tools and schemas not below their JSON text.', () => {
    const tool = JSON.parse(SAMPLES.toolDefinition) as unknown
    const empty = estimated({ messages: [] }).tokens
    for (const request of [
      { tools: [tool] },
      { functions: [tool] },
      { response_format: { type: 'json_schema', json_schema: tool } },
    ]) {
      const { tokens, bytes } = estimated({ messages: [], ...request })
      expect(tokens - empty).toBeGreaterThanOrEqual(exact(SAMPLES.toolDefinition))
      expect(bytes).toBeGreaterThanOrEqual(Buffer.byteLength(SAMPLES.toolDefinition))
    }
  })

  test('The estimate of a chat request keeps images, files and audio apart from text.', () => {
    const content = [
      { type: 'text', text: 'What is this?' },
      { type: 'image_url', image_url: { url: 'https://example.com/cat.png', detail: 'low' } },
      { type: 'input_audio', input_audio: { data: 'AAAA'.repeat(16_000), format: 'mp3' } },
    ]
    // A small image is 85 tokens; 48,000 bytes that are no MP3 are usually three seconds, and can be all that a model hears.
    expect(estimated({ messages: [{ role: 'user', content }] })).toMatchObject({
      media: 85,
      audioInput: 128_000,
      expected: { media: 85, audioInput: 30 },
      unbounded: [],
    })
  })

  test('The estimate of a chat request names what nothing bounds.', () => {
    const messages = [
      {
        role: 'user',
        content: [
          { type: 'text', text: 'Read it' },
          { type: 'file', file: { file_id: 'file-abc' } },
        ],
      },
      { role: 'assistant', audio: { id: 'audio_abc' } },
      { role: 'user', content: [{ type: 'hologram', hologram: {} }] },
    ]
    expect(estimated({ messages }).unbounded).toEqual([
      'messages[0].content[1].file.file_id',
      'messages[1].audio.id',
      'messages[2].content[0].hologram',
    ])
  })

  test('The estimate of a chat request counts a web search where one is asked for.', () => {
    expect(estimated({ messages: [], web_search_options: {} }).toolFees).toEqual({ web_search: 1 })
    expect(estimated({ messages: [], web_search_options: null }).toolFees).toEqual({})
  })

  test('The estimate of a chat request accepts values nested a hundred thousand deep, and wide ones.', () => {
    const deep = JSON.parse(`${'['.repeat(100_000)}1${']'.repeat(100_000)}`) as unknown
    expect(estimated({ messages: [{ role: 'user', content: 'x' }], tools: deep }).tokens).toBeGreaterThan(100_000)
    expect(estimated({ messages: [], tools: Array(300_000).fill(0) }).tokens).toBeGreaterThan(300_000)
  })

  test('The estimate of a chat request never throws, and never counts more tokens than bytes.', () => {
    fc.assert(
      fc.property(fc.anything({ withNullPrototype: true }), fc.json(), (value, json) => {
        for (const part of [value, JSON.parse(json) as unknown]) {
          for (const request of [
            { messages: part },
            { messages: [part], tools: part },
            { messages: [{ role: part, content: part, tool_calls: part, audio: part }] },
            { messages: [{ content: [part], tool_calls: [part] }] },
          ]) {
            const { tokens, bytes } = estimateChatInput(request, noMedia, plainId)
            expect(tokens).toBeGreaterThan(0)
            expect(bytes).toBeGreaterThanOrEqual(tokens)
          }
        }
      }),
    )
  })
})

test('A text beside an image does not hide the image.', () => {
  const image = { type: 'image_url', image_url: { url: 'https://example.com/a.png' } }
  const of = (part: object) =>
    estimateChatInput(
      { messages: [{ role: 'user', content: [part] }] },
      () => ({ bound: 1_445, expected: 765 }),
      plainId,
    )
  expect(of(image).media).toBe(1_445)
  expect(of({ ...image, text: '' }).media).toBe(1_445)
  const unbounded = { type: 'file', file: { file_id: 'file-1' }, text: 'a file' }
  expect(estimateChatInput({ messages: [{ role: 'user', content: [unbounded] }] }, noMedia, plainId).unbounded).toEqual(
    ['messages[0].content[0].file.file_id'],
  )
})
