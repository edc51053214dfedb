import { describe, expect, it } from 'vitest'
import { google } from '../../providers/google.ts'
import type { MediaSize } from '../../providers/media/media-size.ts'
import * as make from './media/build.ts'

describe('models', () => {
  it.each([
    ['gemini-2.5-pro', 65_536, true],
    ['gemini-3.1-pro-preview', 65_536, true],
    ['gemini-4-argon', 65_536, true],
    ['gemini-flash-latest', 65_536, true],
    ['gemini-2.0-flash', 8_192, false],
    ['gemini-2.5-flash-image', 32_768, false],
    ['gemma-3-27b-it', 8_192, false],
  ])('A model of Google is known by its name: %s.', (name, most, thinks) => {
    const { maxOutputTokens, hiddenReasoning } = google.model(name)
    expect([maxOutputTokens, hiddenReasoning]).toEqual([most, thinks])
  })

  it('Models are priced by the version that served.', () => {
    expect(google.pricedAs('gemini-3-pro-preview', 'models/gemini-3.1-pro-preview')).toBe('gemini-3.1-pro-preview')
    expect(google.pricedAs('models/gemini-2.5-pro', null)).toBe('gemini-2.5-pro')
    expect(google.listedAs('gemini-2.5-pro')).toEqual({ provider: 'google', model: 'gemini-2.5-pro' })
    expect(google.unpriced('gemini-flash-latest')).toContain('Ask for a model by its version.')
    expect(google.unpriced('gemini-2.5-pro')).toBeNull()
  })
})

describe('media', () => {
  const image = (url: string) => ({ type: 'image_url', image_url: { url } })
  const file = (file_data: string) => ({ type: 'file', file: { file_data } })

  const data = (type: string, bytes: Buffer) => `data:${type};base64,${bytes.toString('base64')}`
  const png = (width: number, height: number) => data('image/png', make.png(width, height))
  const sound = (bytes: Buffer) => ({
    type: 'input_audio',
    input_audio: { data: bytes.toString('base64'), format: 'wav' },
  })
  const film = (bytes: Buffer) => ({ type: 'video_url', video_url: { url: data('video/mp4', bytes) } })
  const document = (pages: number) => make.pdf(make.pages(pages))
  const packed = Buffer.from('%PDF-1.7 packed')
  const exactly = (tokens: number) => ({ bound: tokens, expected: tokens })

  it.each<[string, unknown, MediaSize]>([
    ['a small picture is one tile', image(png(384, 384)), exactly(258)],
    ['a wide one is two thirds of its shorter side at a time', image(png(960, 540)), exactly(6 * 258)],
    ['a photograph is 768 pixels at a time', image(png(4_032, 3_024)), exactly(24 * 258)],
    [
      'a picture of unknown size',
      image('https://a.example/x.png'),
      { bound: 144 * 258, expected: 4 * 258, least: 4 * 258 },
    ],
    ['two seconds of sound, and its header', sound(make.wav(2)), exactly(3 * 32)],
    ['sound of unknown length', sound(Buffer.alloc(48_000)), { bound: 1_048_576, expected: 3 * 32 }],
    ['a film of ten seconds', film(make.mp4(10)), exactly(10 * 295)],
    ['a film of unknown length', film(Buffer.alloc(249_000)), { bound: 1_048_576, expected: 2 * 295 }],
    ['a document of three pages', file(data('application/pdf', document(3))), exactly(3 * 258)],
    ['a document of unknown pages', file(data('application/pdf', packed)), { bound: 258_000, expected: 258 }],
    ['a file of text is at most a token a byte', file('data:text/plain;base64,QUJDREVG'), { bound: 6, expected: 2 }],
    [
      'a document that says it is a picture',
      image(data('image/png', document(30))),
      { bound: 144 * 258, expected: 1_032 },
    ],
    ['a document that says it is text', file(data('text/plain', packed)), { bound: 258_000, expected: 4 }],
    [
      'a film by its address',
      { type: 'video_url', video_url: { url: 'https://a.example/x.mp4' } },
      { bound: null, expected: 1_500, least: 1_500 },
    ],
    ['nothing known', { type: 'hologram' }, { bound: null, expected: 1_500 }],
  ])('Media for Google are counted: %s.', (_, part, size) => {
    expect(google.chat.mediaTokens('gemini-2.5-flash')(part)).toEqual(size)
  })

  it('From generation 3 on, media for Google are counted by whole pictures and larger pages.', () => {
    const tokens = google.chat.mediaTokens('gemini-3-flash-preview')
    expect([tokens(image(png(4_032, 3_024))), tokens(file(data('application/pdf', document(3))))]).toEqual([
      exactly(1_120),
      exactly(3 * 560),
    ])
  })

  it('A medium in the id of a call counts what it carries for Gemini.', () => {
    expect(google.chat.unpackId('call_1__gsig_QUJD')).toEqual({ id: 'call_1', carried: 'QUJD' })
    expect(google.chat.unpackId('call_1__sig_QUJD')).toEqual({ id: 'call_1', carried: '' })
  })
})
