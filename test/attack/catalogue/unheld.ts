/**
 * Media on less money than they can cost at most. What is left unheld is bounded, and one call of an organization at a time may leave it:
 * each of these ends at most that far below zero, and what was true is charged.
 */
import { deflateSync } from 'node:zlib'
import { type PdfObjects, pages, pdf } from '../../providers/media/build.ts'
import { chatAnswer } from '../../support/upstream-answers.ts'
import type { Actor, Seen } from '../actor.ts'
import { chunk, greedy, INPUT, inTurn, openAiReader, ROLE, streamsThenWaits, usageOf } from '../provider.ts'
import { exact, free, type Trick } from '../trick.ts'

type Json = Record<string, unknown>

/** gpt-4o-mini: 2,833 an image and 5,667 for each of its tiles of 512 pixels: four usually, eight at most. */
const TILES = (count: number) => 2_833 + 5_667 * count
const BEYOND = TILES(8) - TILES(4)
/** Microcredits of so many tokens of input: 150 each, and half of it on top. What a hold leaves of output goes along. */
const costOf = (tokens: number) => BigInt(tokens * 225 + 10_000)
/** Credits for the image as it usually is. */
const LITTLE = 6

const image = { type: 'image_url', image_url: { url: 'https://example.com/a.png' } }
/** A deployment of its own: what others learned of tiers would make these holds larger, and refuse all of them. */
const say = (text: string, ...parts: Json[]) => ({
  model: 'little',
  max_tokens: 5,
  messages: [{ role: 'user', content: [{ type: 'text', text }, ...parts] }],
})

/** A refusal would keep every promise here, and show nothing. */
function expectServed(answers: readonly Seen[]): void {
  if (!answers.some(({ status }) => status === 200)) throw new Error('no call was served: the trick was not tried')
}

const served =
  (body: Json) =>
  async ({ call }: Actor): Promise<void> =>
    expectServed([await call({ body })])

const IMAGES: readonly Trick[] = [
  {
    name: 'ten users of one pool at once, each with an image twice as large as it seems',
    by: 'caller',
    act: async ({ call, keys }) => {
      expectServed(await Promise.all(keys.map((key) => call({ key, body: say('Say hello', image) }))))
    },
    provider: greedy(openAiReader, { inputOf: () => INPUT + 1 + TILES(8) }),
    credits: LITTLE,
    users: 10,
    overdraft: costOf(BEYOND),
    promise: exact,
  },
  {
    name: 'ten calls of one user at once, each with such an image',
    by: 'caller',
    act: async ({ call }) => {
      expectServed(await Promise.all(Array.from({ length: 10 }, () => call({ body: say('Say hello', image) }))))
    },
    provider: greedy(openAiReader, { inputOf: () => INPUT + 1 + TILES(8) }),
    credits: LITTLE,
    overdraft: costOf(BEYOND),
    promise: exact,
  },
  {
    name: 'such an image beside a long text of which every byte is a token',
    by: 'caller',
    act: served(say('ab'.repeat(20_000), image)),
    provider: greedy(openAiReader, { inputOf: () => 40_000 + INPUT + TILES(8) }),
    // Enough for the text at a token a byte, and for the image as it usually is.
    credits: 15,
    overdraft: costOf(BEYOND),
    promise: exact,
  },
  {
    name: 'such an image beside a long text, on money for the image alone',
    by: 'caller',
    act: { body: say('ab'.repeat(20_000), image) },
    provider: greedy(openAiReader, { inputOf: () => 40_000 + INPUT + TILES(8) }),
    credits: LITTLE,
    promise: free,
  },
  {
    name: 'such an image for a cheap model that fails, and a dear one behind it',
    by: 'caller',
    act: { body: { ...say('Say hello', image, image, image), model: 'stairs' } },
    provider: inTurn(
      { script: { status: 500, frames: [] }, bill: null },
      {
        script: chatAnswer({ model: 'gpt-4o', usage: usageOf(INPUT + 3 * 1_445, 5) }),
        bill: { model: 'gpt-4o', input: INPUT + 3 * 1_445, output: 5 },
      },
    ),
    credits: 18,
    promise: exact,
  },
  {
    name: 'such an image while streams of other users take the rest of the pool',
    by: 'caller',
    act: async ({ call, keys }) => {
      await Promise.all(
        keys.map((key, index) => call({ key, body: index === 0 ? say('Say hello', image) : { max_tokens: 4_000 } })),
      )
    },
    provider: (request, number) =>
      greedy(openAiReader, { inputOf: ({ body }) => (body.includes('image_url') ? INPUT + 1 + TILES(8) : INPUT) })(
        request,
        number,
      ),
    credits: LITTLE,
    users: 4,
    overdraft: costOf(BEYOND),
    promise: exact,
  },
]

const LINES = Array.from(
  { length: 400 },
  (_, line) => `BT 1 0 0 1 9 ${line} Tm (words and words and words) Tj ET\n`,
).join('')

const stream = (id: number, dictionary: string, body: Buffer) =>
  Buffer.concat([Buffer.from(`${id} 0 obj\n<< ${dictionary} >>\nstream\n`), body, Buffer.from('\nendstream\nendobj\n')])

function fileOf(streams: readonly Buffer[], objects: PdfObjects = pages(1), more = ''): Json {
  const data = pdf(objects, { streams: [...streams], more }).toString('base64')
  return { type: 'file', file: { filename: 'a.pdf', file_data: `data:application/pdf;base64,${data}` } }
}

/** A page of 3,000 tokens of text and an image of eight tiles, whose file seems to hold next to nothing. */
function dense(name: string, streams: readonly Buffer[], objects: PdfObjects = pages(1), more = ''): Trick {
  const file = fileOf(streams, objects, more)
  return {
    name: `a dense page that seems to be empty: ${name}`,
    by: 'caller',
    act: served(say('Say hello', file)),
    provider: greedy(openAiReader, { inputOf: () => INPUT + 1 + TILES(8) + 3_000 }),
    credits: LITTLE,
    overdraft: costOf(BEYOND + 3_000),
    promise: exact,
  }
}

/** Held at all the pages there can be, so refused. */
function unknown(name: string, objects: PdfObjects, more = ''): Trick {
  return {
    ...dense(name, [], objects, more),
    act: { body: say('Say hello', fileOf([], objects, more)) },
    overdraft: 0n,
    promise: free,
  }
}

const packed = deflateSync(Buffer.from(LINES))

const DOCUMENTS: readonly Trick[] = [
  dense('its text is in a form', [stream(50, '/Type /XObject /Subtype /Form /Length 1', Buffer.from('q'))]),
  dense('its text says it is an image', [
    stream(50, `/Subtype /Image /Filter /FlateDecode /Length ${packed.length}`, packed),
  ]),
  dense('its text says it is a font', [stream(50, `/Length1 9 /Filter /FlateDecode /Length ${packed.length}`, packed)]),
  dense('its text is packed a hundred times', [
    stream(50, '/Filter [/FlateDecode /FlateDecode]', deflateSync(deflateSync(Buffer.from(LINES.repeat(20))))),
  ]),
  dense(
    'one stream stands many times in its contents',
    [stream(50, '/Length 40', Buffer.from(LINES.slice(0, 40)))],
    [
      ...pages(1).slice(0, 2),
      [3, `<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Contents [${'50 0 R '.repeat(500)}] >>`],
    ],
  ),
  dense('its picture stands in its text', [stream(50, '/Length 9', Buffer.from('BI /W 9000 /H 9000 ID x EI'))]),
  dense('its text has no length, and ends early', [stream(50, '', Buffer.from(`endstream ${LINES}`))]),
  unknown('it is locked', pages(1), '/Encrypt 9 0 R '),
  unknown('it was changed, and the last tree can not be read', [...pages(1), [2, '<< /Type /Pages /Kids 9 0 R >>']]),
  unknown('a second tree is larger', [...pages(1), ...pages(60)]),
]

/** Nobody stated usage, so the page is charged at what its file seems to hold. */
const HIDDEN = [stream(50, `/Subtype /Image /Filter /FlateDecode /Length ${packed.length}`, packed)]
const LEAVES: Trick = {
  ...dense('it says it is an image, and its reader leaves before the usage', HIDDEN),
  act: { body: { ...say('Say hello', fileOf(HIDDEN)), stream: true }, leaveAfter: 2 },
  provider: streamsThenWaits([ROLE, chunk({ content: 'Hello' })], { input: INPUT + 1 + TILES(4) + 3_000, output: 1 }),
  credits: 100,
  overdraft: 0n,
  known:
    'the text of a document is expected by its streams (docs/guarantees.md); read to its end, it is charged as stated',
}

export const UNHELD: readonly Trick[] = [...IMAGES, ...DOCUMENTS, LEAVES]
