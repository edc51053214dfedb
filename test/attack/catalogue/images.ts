/** Images at the price of others: sizes and numbers in odd words, drafts, models that draw more than they are asked. */
import { jsonAnswer } from '../../support/upstream-answers.ts'
import { field, file, form } from '../form.ts'
import { covered, exact, free, type Promised, type Provider, refused, type Trick } from '../trick.ts'

type Json = Record<string, unknown>

const PATH = '/v1/images/generations'
const IMAGE = { b64_json: 'AAAA' }

/** The dearest that any reader may take the request for: the largest of high quality, as many as are asked for anyhow. */
const dearest: Provider = ({ json }) => {
  const count = Math.max(1, ...[json?.n].map(Number).filter((n) => n <= 10))
  const output = 6_240 * count
  const usage = { input_tokens: 2, output_tokens: output, total_tokens: output + 2 }
  return {
    script: jsonAnswer({ created: 1, data: Array(count).fill(IMAGE), usage }),
    bill: { model: 'gpt-image-1', input: 2, output },
  }
}

const asks = (name: string, body: Json, promise: Promised): Trick => ({
  name,
  by: 'caller',
  act: { path: PATH, text: JSON.stringify({ model: 'gpt-image-1', prompt: 'A cat', ...body }) },
  provider: dearest,
  promise,
})
const wrong = (name: string, body: Json, code = 'invalid_request') => asks(name, body, refused(code))
const written = (name: string, members: string, code = 'invalid_request'): Trick => ({
  ...asks(name, {}, refused(code)),
  act: { path: PATH, text: `{"model":"gpt-image-1","prompt":"A cat",${members}}` },
})

const WORDS: readonly Trick[] = [
  asks('the dearest without a word of it', {}, covered),
  written('images twice', '"n":1,"n":10'),
  written('images twice, once escaped', '"n":1,"\\u006e":10'),
  written('images in capitals', '"N":10'),
  written('images in a number with an exponent', '"n":1e1,"quality":"low","quality":"high"'),
  wrong('half an image', { n: 0.5 }),
  wrong('fewer than none', { n: -1 }),
  wrong('images in a list', { n: [10] }),
  wrong('a size in capitals', { size: '1024X1024', quality: 'low' }),
  wrong('a size with a cross', { size: '1024×1024' }),
  wrong('a size with a blank', { size: ' 1024x1024' }),
  wrong('a size with a zero in front of many', { size: '0000001024x1' }),
  wrong('a size of nothing', { size: '0x0' }),
  wrong('a size in a list', { size: ['1024x1024'] }),
  wrong('a quality in capitals', { quality: 'HIGH' }, 'unbounded_output'),
  wrong('a quality named as every object’s own', { quality: 'constructor' }, 'unbounded_output'),
  wrong('a quality that is no word', { quality: { low: true } }),
  written('a size under a name in capitals', '"Size":"1536x1024"'),
  wrong('drafts by the dozen', { stream: true, partial_images: 12 }),
  wrong('a format whose price nobody knows', { output_format: 'gif' }, 'unsupported_parameter'),
  { ...asks('ten images on money for one', { n: 10 }, refused('insufficient_credits', 402)), credits: 500 },
]

const gemini =
  (images: number, stated: number): Provider =>
  () => ({
    script: jsonAnswer({
      candidates: [
        {
          content: { parts: Array(images).fill({ inlineData: { mimeType: 'image/png', data: 'AAAA' } }) },
          finishReason: 'STOP',
        },
      ],
      usageMetadata: {
        promptTokenCount: 2,
        candidatesTokenCount: stated,
        totalTokenCount: stated + 2,
        candidatesTokensDetails: [{ modality: 'IMAGE', tokenCount: stated }],
      },
      modelVersion: 'gemini-2.5-flash-image',
    }),
    bill: { model: 'gemini-2.5-flash-image', input: 2, output: 1_290 * images },
  })

const draws = (name: string, body: Json, promise: Promised, path = PATH): Trick => ({
  name,
  by: 'caller',
  act: { path, text: JSON.stringify({ model: 'drawing', prompt: 'A cat', ...body }) },
  provider: gemini(1, 1_290),
  promise,
})
const CHAT = { messages: [{ role: 'user', content: 'A cat' }], prompt: undefined, max_tokens: 1 }
const NATIVE = '/v1beta/models/drawing:generateContent'
const CONTENTS = {
  contents: [{ role: 'user', parts: [{ text: 'A cat' }] }],
  generationConfig: { maxOutputTokens: 1 },
  model: undefined,
  prompt: undefined,
}
const PNG = Buffer.from('89504e470d0a1a0a0000000d49484452', 'hex')
const FILM = Buffer.from('0000001c667479706d703432000000006d7034326d703431', 'hex')
const edit = (bytes: Buffer) =>
  form('/v1/images/edits', [
    field('model', 'drawing'),
    field('prompt', 'A cat'),
    file('image', bytes, 'a.png', 'image/png'),
  ])

const DRAWERS: readonly Trick[] = [
  draws('an image of a model that writes', {}, exact),
  {
    ...draws('three images for one', {}, { kind: 'disputed', least: 'true', most: 'either' }),
    provider: gemini(3, 3_870),
    overdraft: 0n,
  },
  draws('an image for a cap of one token', CHAT, exact, '/v1/chat/completions'),
  {
    ...draws(
      'an image for a cap of one token, on money for that',
      CHAT,
      refused('insufficient_credits', 402),
      '/v1/chat/completions',
    ),
    credits: 50,
  },
  draws('an image for a cap of one token of Gemini’s own', CONTENTS, exact, NATIVE),
  {
    ...draws(
      'an image for a cap of one token of Gemini’s own, on money for that',
      CONTENTS,
      refused('insufficient_credits', 402),
      NATIVE,
    ),
    credits: 50,
  },
  draws(
    'members of Gemini’s own among those of OpenAI',
    { generationConfig: { candidateCount: 8 } },
    refused('unsupported_parameter'),
  ),
  draws('two images of one that makes one', { n: 2 }, refused('unsupported_parameter')),
  draws('an image as large as the model has none', { size: '4096x4096' }, refused('unsupported_parameter')),
  { ...draws('a picture to be changed', {}, exact), act: edit(PNG) },
  { ...draws('a film that is called a picture', {}, refused('unsupported_parameter')), act: edit(FILM) },
  {
    ...draws('an image that nobody states', {}, covered),
    by: 'provider',
    provider: (request, call) => {
      const { script, bill } = gemini(1, 1_290)(request, call) as { script: { frames: string[] }; bill: null }
      return {
        script: { ...script, frames: script.frames.map((text) => text.replace('usageMetadata', 'x')) } as never,
        bill,
      }
    },
  },
  {
    ...draws('an image that is stated as none', {}, covered),
    by: 'provider',
    provider: gemini(1, 0),
  },
  {
    name: 'an image that was filtered',
    by: 'provider',
    act: { path: PATH, text: JSON.stringify({ model: 'imagen', prompt: 'A cat', n: 4 }) },
    provider: () => ({ script: jsonAnswer({ predictions: [{ raiFilteredReason: 'No.' }] }), bill: null }),
    promise: free,
  },
]

export const IMAGES: readonly Trick[] = [...WORDS, ...DRAWERS]
