import { describe, expect, test } from 'vitest'
import { idWithBlocks } from '../../providers/anthropic/carried.ts'
import { claudeFacts, claudeModel } from '../../providers/anthropic/models.ts'
import { anthropic } from '../../providers/anthropic.ts'
import { openai } from '../../providers/openai.ts'
import * as make from './media/build.ts'

describe('a Claude model by its name', () => {
  test.each<[string, number | null, string]>([
    ['claude-3-haiku-20240307', 4_096, 'none'],
    ['claude-3-5-sonnet-20240620', 8_192, 'none'],
    ['claude-3-7-sonnet-latest', 64_000, 'manual'],
    ['claude-opus-4-20250514', 32_000, 'manual'],
    ['claude-sonnet-4-20250514', 64_000, 'manual'],
    ['claude-opus-4-1-20250805', 32_000, 'manual'],
    ['claude-haiku-4-5-20251001', 64_000, 'manual'],
    ['claude-opus-4-6', 128_000, 'adaptive'],
    ['claude-opus-5', 128_000, 'adaptive'],
    ['claude-fable-5-1', 128_000, 'adaptive'],
    ['us.anthropic.claude-sonnet-4-5-20250929-v1:0', 64_000, 'manual'],
    ['claude-instant-1.2', 4_096, 'none'],
    ['house-model', null, 'adaptive'],
  ])('A Claude model is known by its name: %s.', (name, maxOutputTokens, thinking) => {
    expect(claudeModel(name)).toMatchObject({ maxOutputTokens, thinking })
  })

  test('A Claude model hides thoughts from 4.0 on, where the request lets it think.', () => {
    expect(claudeFacts('claude-3-7-sonnet-20250219').hiddenReasoning).toBe(false)
    expect(claudeFacts('claude-sonnet-4-5').hiddenReasoning).toBe(true)
    expect(claudeFacts('claude-sonnet-4-5', {}).hiddenReasoning).toBe(false)
    expect(claudeFacts('claude-sonnet-4-5', { reasoning_effort: 'none' }).hiddenReasoning).toBe(false)
    expect(claudeFacts('claude-sonnet-4-5', { reasoning_effort: 'low' }).hiddenReasoning).toBe(true)
    expect(claudeFacts('claude-sonnet-4-5', { thinking: {} }).hiddenReasoning).toBe(true)
    expect(claudeFacts('claude-opus-5', {}).hiddenReasoning).toBe(true)
  })

  test('A Claude model adds hidden prompts for what the request asks for.', () => {
    const always = (json: Record<string, unknown>) => claudeFacts('claude-haiku-4-5', json).hiddenInput.always
    expect(always({})).toBe(8)
    expect(always({ reasoning_effort: 'low' })).toBe(43)
    expect(always({ response_format: { type: 'json_schema' } })).toBe(98)
  })

  test.each<[string | null, string, bigint]>([
    [null, 'claude-opus-5', 1_000_000n],
    ['standard', 'claude-opus-5', 1_000_000n],
    ['priority', 'claude-opus-5', 1_000_000n],
    ['auto', 'claude-opus-5', 1_000_000n],
    ['batch', 'claude-opus-5', 500_000n],
    ['standard us', 'claude-opus-5', 1_100_000n],
    ['batch us', 'claude-opus-5', 550_000n],
    ['standard us', 'claude-sonnet-4-5', 1_000_000n],
  ])('A Claude model has the price of its tier: %s of %s.', (tier, model, millionths) => {
    expect(anthropic.tierMultiplier(tier, model)).toBe(millionths)
  })

  test('The Claude model that served sets the price.', () => {
    expect(anthropic.pricedAs('claude-haiku-4-5', 'claude-haiku-4-5-20251001')).toBe('claude-haiku-4-5-20251001')
    expect(anthropic.pricedAs('claude-haiku-4-5', null)).toBe('claude-haiku-4-5')
  })
})

describe('tokens of media', () => {
  const image = (bytes: Buffer) => ({
    type: 'image_url',
    image_url: { url: `data:image/png;base64,${bytes.toString('base64')}` },
  })
  const png = (width: number, height: number) => image(make.png(width, height))
  const file = (bytes: Buffer | string, type = 'application/pdf') => ({
    type: 'file',
    file: { file_data: `data:${type};base64,${Buffer.from(bytes).toString('base64')}` },
  })
  const exactly = (tokens: number) => ({ bound: tokens, expected: tokens })

  test.each<[string, unknown, { bound: number | null; expected: number }]>([
    ['claude-haiku-4-5', png(50, 50), exactly(4)],
    ['claude-haiku-4-5', png(1000, 1000), exactly(1_334)],
    ['claude-haiku-4-5', png(8000, 80), exactly(56)],
    ['claude-haiku-4-5', image(Buffer.alloc(99)), { bound: 1_600, expected: 1_399 }],
    ['claude-opus-4-8', png(3840, 2160), exactly(4_784)],
    ['claude-opus-4-8', png(1920, 1080), exactly(2_765)],
    [
      'claude-haiku-4-5',
      { type: 'image_url', image_url: 'https://x.example/a.png' },
      { bound: 1_600, expected: 1_399 },
    ],
    // Their pages are empty: only the image of each is to be expected.
    ['claude-haiku-4-5', file(make.pdf(make.pages(2))), { bound: 2 * 4_600, expected: 2 * 1_600 }],
    // What can't be counted is the most Claude takes; usually a page has a hundred thousand bytes.
    ['claude-haiku-4-5', file('%PDF-1.3 packed'), { bound: 460_000, expected: 3_100 }],
    ['claude-opus-5', file('%PDF-1.3 packed'), { bound: 600 * 4_600, expected: 3_100 }],
    ['claude-haiku-4-5', file(`%PDF-1.3 ${'x'.repeat(299_000)}`), { bound: 460_000, expected: 3 * 3_100 }],
    ['claude-haiku-4-5', file('not a PDF'), { bound: 460_000, expected: 3_100 }],
    ['claude-haiku-4-5', file('a few words', 'text/plain'), { bound: 6, expected: 4 }],
    ['claude-haiku-4-5', { type: 'file', file: { file_id: 'f' } }, { bound: null, expected: 2_000 }],
    ['claude-haiku-4-5', { type: 'input_audio' }, { bound: null, expected: 1_500 }],
    ['claude-haiku-4-5', null, { bound: null, expected: 1_500 }],
  ])('Tokens of media are counted: %s.', (model, part, size) => {
    expect(anthropic.chat.mediaTokens(model)(part)).toEqual(size)
  })

  test('Tokens of media in the id of a call are those of the blocks it carries.', () => {
    const block = {
      type: 'web_search_tool_result',
      content: Array.from({ length: 5_000 }, (_, i) => `word ${i % 500}`).join(),
    }
    const id = idWithBlocks('toolu_1', [{ block, text: 0, tools: 0 }])
    expect(id).toContain('__sig_')
    expect(id.length).toBeLessThan(20_000)
    expect(anthropic.chat.unpackId(id)).toEqual({ id: 'toolu_1', carried: JSON.stringify([block]) })
    expect(anthropic.chat.unpackId('toolu_1__gsig_QUJD')).toEqual({ id: 'toolu_1', carried: '' })
    expect(openai.chat.unpackId(id)).toEqual({ id: 'toolu_1', carried: '' })
  })
})
