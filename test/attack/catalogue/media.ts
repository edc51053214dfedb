/** Images, documents and sound that are larger than they say, and where they may stand. The provider bills what its decoder sees. */
import { frameHeader, gif, jpeg, mp4, pages, pdf, png, pngChunk, wav, wavFormat } from '../../providers/media/build.ts'
import { greedy, openAiReader } from '../provider.ts'
import { covered, exact, type Promised, refused, type Trick } from '../trick.ts'

type Json = Record<string, unknown>

/** gpt-4o-mini: 2,833 an image and 5,667 for each of its tiles of 512 pixels. */
const TILES = (count: number) => 2_833 + 5_667 * count
const dataUrl = (type: string, bytes: Buffer) => `data:${type};base64,${bytes.toString('base64')}`
const image = (url: unknown, more: Json = {}) => ({ type: 'image_url', image_url: { url, ...more } })

/** Beside "Say hello", what the server bills. */
function beside(
  name: string,
  part: Json | readonly Json[],
  tokens: number,
  promise: Promised = covered,
  model = 'gpt-4o-mini',
): Trick {
  const parts = Array.isArray(part) ? (part as Json[]) : [part as Json]
  return {
    name,
    by: 'caller',
    act: {
      body: {
        model,
        max_tokens: 5,
        messages: [{ role: 'user', content: [{ type: 'text', text: 'Say hello' }, ...parts] }],
      },
    },
    provider: greedy(openAiReader, { inputOf: () => 10 + tokens }),
    promise,
  }
}

const TEXT_CHUNK = pngChunk('tEXt', Buffer.alloc(13, 1))
const LARGE = TILES(4)

const IMAGES: readonly Trick[] = [
  beside(
    'a PNG with a chunk before its header',
    image(dataUrl('image/png', png(4_000, 3_000, { before: [TEXT_CHUNK] }))),
    LARGE,
  ),
  beside(
    'a GIF with a small screen and a large frame',
    image(dataUrl('image/gif', gif([1, 1], [[0, 0, 4_000, 3_000]]))),
    LARGE,
  ),
  beside(
    'a JPEG with a second, larger frame',
    image(dataUrl('image/jpeg', jpeg(8, 8, { between: [frameHeader(4_000, 3_000)] }))),
    LARGE,
  ),
  beside('a PNG that says it is a GIF', image(dataUrl('image/gif', png(2_000, 1_500))), LARGE),
  beside('an image of no known kind', image(dataUrl('image/avif', Buffer.alloc(200, 7))), TILES(8)),
  beside('an image by its address', image('https://example.com/a.png'), TILES(8)),
  {
    ...beside(
      'an image that only the second model of a list reads in tiles',
      image('https://example.com/a.png'),
      TILES(8),
    ),
    act: {
      body: {
        model: 'routed-google',
        models: ['openai/gpt-4o-mini'],
        max_tokens: 5,
        messages: [{ role: 'user', content: [image('https://example.com/a.png')] }],
      },
    },
  },
  {
    ...beside(
      'an image in little detail for a server that knows no detail',
      image(dataUrl('image/png', png(40, 30)), { detail: 'low' }),
      TILES(1),
    ),
    known: 'detail: low is held as if every server kept to it; charged in full (openai-models.ts knows no api_base)',
  },
  beside('detail of a name nobody knows', image(dataUrl('image/png', png(2_000, 1_500)), { detail: 'LOW' }), LARGE),
  beside('an address in place of an object', { type: 'image_url', image_url: 'https://example.com/a.png' }, TILES(8)),
  beside(
    'four images',
    Array.from({ length: 4 }, () => image('https://example.com/a.png')),
    4 * TILES(4),
  ),
  beside(
    'an image in a part that says it is text',
    { type: 'text', text: 'x', image_url: { url: 'https://example.com/a.png' } },
    TILES(8),
  ),
]

const inMessage = (name: string, message: Json, tokens: number, promise: Promised = covered): Trick => ({
  name,
  by: 'caller',
  act: { body: { max_tokens: 5, messages: [message, { role: 'user', content: 'Say hello' }] } },
  provider: greedy(openAiReader, { inputOf: () => 20 + tokens }),
  promise,
})

const FOUR = Array.from({ length: 4 }, () => image('https://example.com/a.png'))

const PLACES: readonly Trick[] = [
  inMessage('images in the system message', { role: 'system', content: FOUR }, 4 * LARGE),
  inMessage('images in the result of a tool', { role: 'tool', tool_call_id: '1', content: FOUR }, 4 * LARGE),
  inMessage(
    'an image that is the whole content, in no list',
    { role: 'user', content: FOUR[0] },
    LARGE,
    refused('invalid_request'),
  ),
  inMessage('images among what an assistant once made', { role: 'assistant', content: 'x', images: FOUR }, 4 * LARGE),
]

const file = (type: string, bytes: Buffer) => ({
  type: 'file',
  file: { filename: 'a.pdf', file_data: dataUrl(type, bytes) },
})

const DOCUMENTS: readonly Trick[] = [
  beside(
    'a PDF of 20 pages that says it has one',
    file('application/pdf', pdf(pages(20, { stated: '1' }))),
    20 * 1_500,
  ),
  beside('a PDF that says it is a text', file('text/plain', pdf(pages(20, { stated: '1' }))), 20 * 1_500),
  beside(
    'a PDF that says its count stands elsewhere',
    file('application/pdf', pdf(pages(20, { stated: '20 0 R' }))),
    20 * 1_500,
  ),
  beside('a text in a file, a token a byte', file('text/plain', Buffer.alloc(30_000, 'x ')), 30_000),
  beside('a file by its id', { type: 'file', file: { file_id: 'file-1' } }, 100_000),
  beside(
    'a part of a kind nobody knows',
    { type: 'hologram', hologram: { url: 'https://example.com/a' } },
    100_000,
    refused('unsupported_parameter'),
  ),
  beside('a film by its address', { type: 'video_url', video_url: { url: 'https://example.com/a.mp4' } }, 100_000),
]

const sound = (bytes: Buffer, format = 'wav') => ({
  type: 'input_audio',
  input_audio: { data: bytes.toString('base64'), format },
})

const SOUNDS: readonly Trick[] = [
  beside('sound, for a model whose sound has no price', sound(wav(2)), 20, refused('unknown_price')),
  {
    name: 'speech, from a model whose speech has no price',
    by: 'caller',
    act: { body: { modalities: ['text', 'audio'], audio: { voice: 'alloy', format: 'wav' } } },
    provider: greedy(),
    promise: refused('unknown_price'),
  },
  {
    name: 'a WAV that says it is one byte a second',
    by: 'caller',
    act: {
      body: {
        model: 'speaking',
        max_tokens: 5,
        messages: [{ role: 'user', content: [sound(wav(20, { format: wavFormat({ rate: 1 }) }))] }],
      },
    },
    provider: greedy(openAiReader, { inputOf: () => 210, model: 'gpt-4o' }),
    promise: covered,
  },
  {
    name: 'a film of ten minutes that says it is a WAV',
    by: 'caller',
    act: { body: { model: 'speaking', max_tokens: 5, messages: [{ role: 'user', content: [sound(mp4(600))] }] } },
    provider: greedy(openAiReader, { inputOf: () => 6_010, model: 'gpt-4o' }),
    promise: covered,
  },
]

const small: Trick = {
  ...beside('a small PNG, and no usage stated', image(dataUrl('image/png', png(40, 30))), TILES(1), exact),
}

export const MEDIA: readonly Trick[] = [...IMAGES, ...PLACES, ...DOCUMENTS, ...SOUNDS, small]
