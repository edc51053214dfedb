import { describe, expect, test } from 'vitest'
import { claudeFacts, claudeModel } from '../../providers/anthropic/models.ts'
import { anthropic } from '../../providers/anthropic.ts'

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
  ])('%s', (name, maxOutputTokens, thinking) => {
    expect(claudeModel(name)).toMatchObject({ maxOutputTokens, thinking })
  })

  test('hides thoughts from 4.0 on, where the request lets it think', () => {
    expect(claudeFacts('claude-3-7-sonnet-20250219').hiddenReasoning).toBe(false)
    expect(claudeFacts('claude-sonnet-4-5').hiddenReasoning).toBe(true)
    expect(claudeFacts('claude-sonnet-4-5', {}).hiddenReasoning).toBe(false)
    expect(claudeFacts('claude-sonnet-4-5', { reasoning_effort: 'none' }).hiddenReasoning).toBe(false)
    expect(claudeFacts('claude-sonnet-4-5', { reasoning_effort: 'low' }).hiddenReasoning).toBe(true)
    expect(claudeFacts('claude-sonnet-4-5', { thinking: {} }).hiddenReasoning).toBe(true)
    expect(claudeFacts('claude-opus-5', {}).hiddenReasoning).toBe(true)
  })

  test('adds hidden prompts for what the request asks for', () => {
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
  ])('in tier %s of %s', (tier, model, millionths) => {
    expect(anthropic.tierMultiplier(tier, model)).toBe(millionths)
  })

  test('is priced as the one that served', () => {
    expect(anthropic.pricedAs('claude-haiku-4-5', 'claude-haiku-4-5-20251001')).toBe('claude-haiku-4-5-20251001')
    expect(anthropic.pricedAs('claude-haiku-4-5', null)).toBe('claude-haiku-4-5')
  })
})

describe('tokens of media', () => {
  const png = (width: number, height: number) => {
    const bytes = Buffer.alloc(33)
    Buffer.from('89504e470d0a1a0a0000000d49484452', 'hex').copy(bytes)
    bytes.writeUInt32BE(width, 16)
    bytes.writeUInt32BE(height, 20)
    return { type: 'image_url', image_url: { url: `data:image/png;base64,${bytes.toString('base64')}` } }
  }
  const file = (text: string, type = 'application/pdf') => ({
    type: 'file',
    file: { file_data: `data:${type};base64,${Buffer.from(text).toString('base64')}` },
  })

  test.each<[string, unknown, number | null]>([
    ['claude-haiku-4-5', png(50, 50), 4],
    ['claude-haiku-4-5', png(1000, 1000), 1_334],
    ['claude-haiku-4-5', png(8000, 8000), 1_600],
    ['claude-opus-4-8', png(3840, 2160), 4_784],
    ['claude-opus-4-8', png(1920, 1080), 2_765],
    ['claude-haiku-4-5', { type: 'image_url', image_url: { url: 'https://x.example/a.png' } }, 1_600],
    ['claude-haiku-4-5', { type: 'image_url', image_url: 'https://x.example/a.png' }, 1_600],
    ['claude-haiku-4-5', file('%PDF-1.3 /Type /Pages /Count 2 /Type /Page x /Type/Page '), 2 * 4_600],
    ['claude-opus-5', file('%PDF-1.3 compressed'), 7_784],
    ['claude-haiku-4-5', file('a few words', 'text/plain'), 6],
    ['claude-haiku-4-5', { type: 'file', file: { file_id: 'f' } }, null],
    ['claude-haiku-4-5', { type: 'input_audio' }, null],
    ['claude-haiku-4-5', null, null],
  ])('of %s', (model, part, tokens) => {
    expect(anthropic.mediaTokens(model)(part)).toBe(tokens)
  })
})
