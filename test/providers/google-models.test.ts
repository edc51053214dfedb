import { describe, expect, it } from 'vitest'
import { google } from '../../providers/google.ts'

describe('models', () => {
  it.each([
    ['gemini-2.5-pro', 65_536, true],
    ['gemini-3.1-pro-preview', 65_536, true],
    ['gemini-4-argon', 65_536, true],
    ['gemini-flash-latest', 65_536, true],
    ['gemini-2.0-flash', 8_192, false],
    ['gemini-2.5-flash-image', 32_768, false],
    ['gemma-3-27b-it', 8_192, false],
  ])('%s', (name, most, thinks) => {
    const { maxOutputTokens, hiddenReasoning } = google.model(name)
    expect([maxOutputTokens, hiddenReasoning]).toEqual([most, thinks])
  })

  it('are priced by the version that served', () => {
    expect(google.pricedAs('gemini-3-pro-preview', 'models/gemini-3.1-pro-preview')).toBe('gemini-3.1-pro-preview')
    expect(google.pricedAs('models/gemini-2.5-pro', null)).toBe('gemini-2.5-pro')
    expect(google.listedAs('gemini-2.5-pro')).toEqual({ provider: 'google', model: 'gemini-2.5-pro' })
    expect(google.unpriced('gemini-flash-latest')).toContain('Ask for a model by its version.')
    expect(google.unpriced('gemini-2.5-pro')).toBeNull()
  })
})

function png(width: number, height: number): string {
  const header = Buffer.alloc(33)
  header.writeUInt32BE(0x89504e47)
  header.writeUInt32BE(width, 16)
  header.writeUInt32BE(height, 20)
  return `data:image/png;base64,${header.toString('base64')}`
}

function wav(seconds: number): string {
  const bytes = Buffer.alloc(44 + 16_000 * 2 * seconds)
  bytes.write('RIFF', 0, 'latin1')
  bytes.write('WAVEfmt ', 8, 'latin1')
  bytes.writeUInt16LE(1, 20)
  bytes.writeUInt16LE(1, 22)
  bytes.writeUInt32LE(16_000, 24)
  bytes.writeUInt16LE(16, 34)
  return bytes.toString('base64')
}

function film(seconds: number): string {
  const box = Buffer.alloc(400)
  box.write('mvhd', 40, 'latin1')
  box.writeUInt32BE(1_000, 56)
  box.writeUInt32BE(seconds * 1_000, 60)
  return `data:video/mp4;base64,${box.toString('base64')}`
}

const pdf = (pages: number) =>
  `data:application/pdf;base64,${Buffer.from(`%PDF-1.4 /Type /Pages /Count ${pages} ${'/Type /Page /Parent 1 '.repeat(pages)}`).toString('base64')}`

describe('media', () => {
  const image = (url: string) => ({ type: 'image_url', image_url: { url } })
  const file = (file_data: string) => ({ type: 'file', file: { file_data } })

  it.each([
    ['a small picture is one tile', image(png(384, 384)), 258],
    ['a wide one is two thirds of its shorter side at a time', image(png(960, 540)), 6 * 258],
    ['a photograph is 768 pixels at a time', image(png(4_032, 3_024)), 24 * 258],
    ['a picture of unknown size', image('https://a.example/x.png'), 32 * 258],
    [
      'two seconds of sound, and its header',
      { type: 'input_audio', input_audio: { data: wav(2), format: 'wav' } },
      3 * 32,
    ],
    ['a film of ten seconds', { type: 'video_url', video_url: { url: film(10) } }, 10 * 295],
    ['a document of three pages', file(pdf(3)), 3 * 258],
    ['a file of text is at most a token a byte', file('data:text/plain;base64,QUJDREVG'), 6],
    ['a film by its address', { type: 'video_url', video_url: { url: 'https://a.example/x.mp4' } }, null],
    ['nothing known', { type: 'hologram' }, null],
  ])('%s', (_, part, tokens) => {
    expect(google.mediaTokens('gemini-2.5-flash')(part)).toBe(tokens)
  })

  it('counts whole pictures and larger pages from generation 3 on', () => {
    const tokens = google.mediaTokens('gemini-3-flash-preview')
    expect([tokens(image(png(4_032, 3_024))), tokens(file(pdf(3)))]).toEqual([1_120, 3 * 560])
  })
})
