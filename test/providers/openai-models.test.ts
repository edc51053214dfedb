import { describe, expect, test } from 'vitest'
import { openAiMediaTokens, openAiModel, serviceTierMultiplier } from '../../providers/openai-models.ts'

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
  ])('%s', (name, maxOutputTokens, hiddenReasoning, encoding) => {
    expect(openAiModel(name)).toMatchObject({ maxOutputTokens, hiddenReasoning, encoding })
  })

  test('service tiers multiply the price', () => {
    expect(
      ['flex', 'priority', 'default', 'auto', 'scale', null, undefined, 'toString'].map(serviceTierMultiplier),
    ).toEqual([500_000n, 2_000_000n, 1_000_000n, 1_000_000n, 1_000_000n, 1_000_000n, 1_000_000n, 1_000_000n])
  })
})

function png(width: number, height: number): string {
  const header = Buffer.alloc(33)
  header.writeUInt32BE(0x89504e47, 0)
  header.writeUInt32BE(width, 16)
  header.writeUInt32BE(height, 20)
  return `data:image/png;base64,${header.toString('base64')}`
}

function jpeg(width: number, height: number): string {
  const metadata = Buffer.concat([Buffer.from([0xff, 0xd8, 0xff, 0xe1, 0x40, 0x00]), Buffer.alloc(0x3ffe)])
  const frame = Buffer.from([
    0xff,
    0xc0,
    0,
    17,
    8,
    height >> 8,
    height & 255,
    width >> 8,
    width & 255,
    3,
    1,
    0x22,
    0,
    2,
    0x11,
    1,
    3,
    0x11,
    1,
  ])
  return `data:image/jpeg;base64,${Buffer.concat([metadata, frame]).toString('base64')}`
}

function gif(width: number, height: number): string {
  const header = Buffer.alloc(32)
  header.write('GIF89a', 'latin1')
  header.writeUInt16LE(width, 6)
  header.writeUInt16LE(height, 8)
  return `data:image/gif;base64,${header.toString('base64')}`
}

function webp(kind: 'VP8 ' | 'VP8L' | 'VP8X', width: number, height: number): string {
  const header = Buffer.alloc(40)
  header.write('RIFF', 0, 'latin1')
  header.write(`WEBP${kind}`, 8, 'latin1')
  if (kind === 'VP8 ') {
    header.writeUInt16LE(width, 26)
    header.writeUInt16LE(height, 28)
  } else if (kind === 'VP8X') {
    header.writeUIntLE(width - 1, 24, 3)
    header.writeUIntLE(height - 1, 27, 3)
  } else header.writeUInt32LE((width - 1) | ((height - 1) << 14), 21)
  return `data:image/webp;base64,${header.toString('base64')}`
}

function image(model: string, url: string, detail?: string): number | null {
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
  ])('of %s with its size in the request', (model, url, detail, tokens) => {
    expect(image(model, url, detail)).toBe(tokens)
  })

  test.each([
    ['JPEG', jpeg(1_024, 1_024)],
    ['GIF', gif(1_024, 1_024)],
    ['WebP', webp('VP8 ', 1_024, 1_024)],
    ['lossless WebP', webp('VP8L', 1_024, 1_024)],
    ['extended WebP', webp('VP8X', 1_024, 1_024)],
  ])('is measured as %s too', (_, url) => {
    expect(image('gpt-4o', url)).toBe(765)
  })

  test('of unknown size counts as the largest', () => {
    expect(image('gpt-4o', 'https://example.com/a.png')).toBe(1_445)
    expect(image('gpt-4o', 'data:image/png;base64,AAAA')).toBe(1_445)
    expect(image('gpt-4o', png(0, 0))).toBe(1_445)
    expect(image('gpt-4.1-nano', 'https://example.com/a.png')).toBe(3_779)
    expect(image('gpt-5.4', 'https://example.com/a.png', 'high')).toBe(3_000)
    expect(image('gpt-5.4', 'https://example.com/a.png')).toBe(12_000)
    expect(openAiMediaTokens('gpt-4o')({ type: 'image_url' })).toBe(1_445)
  })
})

describe('other media', () => {
  const tokens = openAiMediaTokens('gpt-audio')

  function wav(seconds: number, format = 1): string {
    const header = Buffer.alloc(44)
    header.write('RIFF', 0, 'latin1')
    header.write('WAVEfmt ', 8, 'latin1')
    header.writeUInt16LE(format, 20)
    header.writeUInt16LE(1, 22)
    header.writeUInt32LE(16_000, 24)
    header.writeUInt32LE(1, 28) // a byte rate that lies
    header.writeUInt16LE(16, 34)
    return Buffer.concat([header, Buffer.alloc(32_000 * seconds)]).toString('base64')
  }

  test('audio is ten tokens a second: of what its format says, or of the thinnest MP3', () => {
    expect(tokens({ type: 'input_audio', input_audio: { data: wav(60), format: 'wav' } })).toBe(601)
    expect(
      tokens({ type: 'input_audio', input_audio: { data: Buffer.alloc(3_000).toString('base64'), format: 'mp3' } }),
    ).toBe(30)
    // compressed WAV: its bytes a second are not known
    expect(tokens({ type: 'input_audio', input_audio: { data: wav(1, 17), format: 'wav' } })).toBe(321)
    expect(tokens({ type: 'input_audio', input_audio: {} })).toBeNull()
  })

  test('an inline file is bounded by its bytes, a file by id by nothing', () => {
    expect(openAiMediaTokens('gpt-4o')({ type: 'file', file: { file_data: 'A'.repeat(40_000) } })).toBe(30_000)
    expect(openAiMediaTokens('gpt-4o')({ type: 'file', file: { file_data: 'AAAA' } })).toBe(1_445)
    expect(tokens({ type: 'file', file: { file_id: 'file-1' } })).toBeNull()
    expect(tokens({ type: 'video' })).toBeNull()
    expect(tokens('text')).toBeNull()
    expect(tokens(null)).toBeNull()
  })
})
