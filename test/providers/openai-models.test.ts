import { describe, expect, test } from 'vitest'
import type { MediaSize } from '../../providers/media/media-size.ts'
import { openAiMediaTokens, openAiModel, serviceTierMultiplier } from '../../providers/openai-models.ts'
import * as make from './media/build.ts'

describe('the facts of a model', () => {
  test.each([
    ['gpt-3.5-turbo', 4_096, false, 'cl100k_base'],
    ['gpt-4', 8_192, false, 'cl100k_base'],
    ['gpt-4-0613', 8_192, false, 'cl100k_base'],
    ['gpt-4-turbo-2024-04-09', 4_096, false, 'cl100k_base'],
    ['gpt-4o-2024-05-13', 4_096, false, 'o200k_base'],
    ['gpt-4o', 16_384, false, 'o200k_base'],
    ['gpt-4o-mini', 16_384, false, 'o200k_base'],
    ['ft:gpt-4o-mini-2024-07-18:acme::abc', 16_384, false, 'o200k_base'],
    ['chatgpt-4o-latest', 16_384, false, 'o200k_base'],
    ['gpt-4.1-nano', 32_768, false, 'o200k_base'],
    ['gpt-4.5-preview', 16_384, false, 'o200k_base'],
    ['o1-mini', 65_536, true, 'o200k_base'],
    ['o1-preview-2024-09-12', 32_768, true, 'o200k_base'],
    ['o1', 100_000, true, 'o200k_base'],
    ['o3-2025-04-16', 100_000, true, 'o200k_base'],
    ['o4-mini', 100_000, true, 'o200k_base'],
    ['gpt-5', 128_000, true, 'o200k_base'],
    ['gpt-5-mini', 128_000, true, 'o200k_base'],
    ['gpt-5-chat-latest', 16_384, false, 'o200k_base'],
    ['gpt-5.1-chat-latest', 16_384, true, 'o200k_base'],
    ['gpt-5.4-2026-03-05', 128_000, true, 'o200k_base'],
    ['gpt-6-luna', 128_000, true, 'o200k_base'],
    ['something-else', null, false, 'o200k_base'],
  ])('The facts of a model are known: %s.', (name, maxOutputTokens, hiddenReasoning, encoding) => {
    expect(openAiModel(name)).toMatchObject({ maxOutputTokens, hiddenReasoning, encoding })
  })

  test('Service tiers multiply the price.', () => {
    expect(
      ['flex', 'priority', 'default', 'auto', 'scale', null, undefined, 'toString'].map(serviceTierMultiplier),
    ).toEqual([500_000n, 2_000_000n, 1_000_000n, 1_000_000n, 1_000_000n, 1_000_000n, 1_000_000n, 1_000_000n])
  })
})

const url = (bytes: Buffer, type = 'image/png') => `data:${type};base64,${bytes.toString('base64')}`
const png = (width: number, height: number) => url(make.png(width, height))
const exactly = (tokens: number) => ({ bound: tokens, expected: tokens })

function image(model: string, url: string, detail?: string): MediaSize {
  return openAiMediaTokens(model)({
    type: 'image_url',
    image_url: { url, ...(detail === undefined ? {} : { detail }) },
  })
}

describe('an image', () => {
  // The published examples: 1024 x 1024 is 765 tokens, 2048 x 4096 is 1105, any size in low detail 85.
  test.each([
    ['gpt-4o', png(1_024, 1_024), 'high', 765],
    ['gpt-4o', png(2_048, 4_096), 'high', 1_105],
    ['gpt-4o', png(4_096, 8_192), 'low', 85],
    ['gpt-4o', png(128, 64), 'high', 255],
    ['gpt-4o-mini', png(128, 64), 'high', 8_500],
    ['gpt-5', png(1_024, 1_024), 'high', 630],
    ['o3', png(128, 64), 'auto', 225],
    // 32 x 32 patches of 1024 x 1024 are 1,024; 1800 x 2400 are more than the cap of 1,536.
    ['gpt-4.1-mini', png(1_024, 1_024), 'high', 1_659],
    ['gpt-4.1-mini', png(1_800, 2_400), 'high', 2_489],
    ['gpt-4.1-mini', png(1_024, 1_024), 'low', 1_659],
    ['gpt-6-sol', png(1_024, 1_024), 'auto', 1_229],
  ])('The size of an image in the request is its price: %s.', (model, url, detail, tokens) => {
    expect(image(model, url, detail)).toEqual(exactly(tokens))
  })

  test.each([
    ['JPEG', make.jpeg(1_024, 1_024)],
    ['GIF', make.gif([1_024, 1_024], [[0, 0, 1_024, 1_024]])],
    ['WebP', make.riff('WEBP', [make.vp8(1_024, 1_024)])],
  ])('An image is measured as %s too.', (_, bytes) => {
    expect(image('gpt-4o', url(bytes))).toEqual(exactly(765))
  })

  test('An image of unknown size is held as the largest, and expected to be 1,024 pixels wide and high.', () => {
    for (const unknown of ['https://example.com/a.png', 'data:image/png;base64,AAAA', url(make.png(0, 0))])
      expect(image('gpt-4o', unknown)).toEqual({ bound: 1_445, expected: 765 })
    expect(image('gpt-4.1-nano', 'https://example.com/a.png')).toEqual({ bound: 3_779, expected: 2_520 })
    expect(image('gpt-5.4', 'https://example.com/a.png', 'high')).toEqual({ bound: 3_000, expected: 1_229 })
    expect(image('gpt-5.4', 'https://example.com/a.png')).toEqual({ bound: 12_000, expected: 1_229 })
    expect(openAiMediaTokens('gpt-4o')({ type: 'image_url' }).bound).toBe(1_445)
  })
})

describe('other media', () => {
  const tokens = openAiMediaTokens('gpt-audio')
  const sound = (data: string) => tokens({ type: 'input_audio', input_audio: { data, format: 'mp3' } })
  const file = (file_data: string) => openAiMediaTokens('gpt-4o')({ type: 'file', file: { file_data } })

  test('Audio is ten tokens a second: of what its frames prove, else of what its model can hear.', () => {
    expect(sound(make.wav(60).toString('base64'))).toEqual(exactly(601))
    expect(sound(url(make.wav(60), 'audio/wav'))).toEqual(exactly(601))
    expect(sound(make.mp3(1_000).toString('base64'))).toEqual(exactly(262))
    expect(sound(Buffer.alloc(48_000).toString('base64'))).toEqual({ bound: 128_000, expected: 30 })
    expect(tokens({ type: 'input_audio', input_audio: {} }).bound).toBeNull()
  })

  test('A document is the text and the image of its pages, a file by id is bounded by nothing.', () => {
    expect(file(url(make.pdf(make.pages(3)), 'application/pdf'))).toEqual({ bound: 3 * 4_445, expected: 3 * 765 })
    expect(file(url(Buffer.from('%PDF packed'), 'application/pdf'))).toEqual({ bound: 4_445_000, expected: 1_765 })
    expect(file('A'.repeat(40_000))).toEqual({ bound: 30_000, expected: 7_500 })
    expect(tokens({ type: 'file', file: { file_id: 'file-1' } })).toEqual({ bound: null, expected: 2_000 })
    for (const unknown of [{ type: 'video' }, 'text', null]) expect(tokens(unknown).bound).toBeNull()
  })
})
