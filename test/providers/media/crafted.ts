/** Files that are what they seem and files that lie, and what is known of each. Null: nothing may be believed. */
import { deflateSync } from 'node:zlib'
import * as make from './build.ts'

const { join, pngChunk, frameHeader, segment, u16be } = make

export interface CraftedImage {
  name: string
  bytes: Buffer
  size: readonly [width: number, height: number] | null
}

const text = (value: string) => Buffer.from(value, 'latin1')

const PNGS: readonly CraftedImage[] = [
  { name: 'a PNG', bytes: make.png(40, 30), size: [40, 30] },
  { name: 'an interlaced PNG', bytes: make.png(40, 30, { interlaced: true }), size: [40, 30] },
  {
    name: 'a PNG with text in it',
    bytes: make.png(40, 30, { between: [pngChunk('tEXt', text('IHDR'))] }),
    size: [40, 30],
  },
  {
    name: 'a PNG with frames inside its canvas',
    bytes: make.png(40, 30, { between: [make.frameControl(20, 10, 5, 5)] }),
    size: [40, 30],
  },
  {
    name: 'a PNG with a frame beyond its canvas',
    bytes: make.png(40, 30, { between: [make.frameControl(40, 30, 1, 0)] }),
    size: null,
  },
  {
    name: 'a PNG with a chunk before its header',
    bytes: make.png(4_000, 3_000, { before: [pngChunk('tEXt', Buffer.alloc(13, 1))] }),
    size: null,
  },
  { name: 'a PNG with a second header', bytes: make.png(40, 30, { between: [make.ihdr(4_000, 3_000)] }), size: null },
  { name: 'a PNG that goes on after its end', bytes: make.png(40, 30, { after: [text('more')] }), size: null },
  { name: 'a PNG that is cut off', bytes: make.png(40, 30).subarray(0, -6), size: null },
  { name: 'a PNG without a side', bytes: make.png(0, 30), size: null },
  {
    name: 'a PNG without pixels',
    bytes: join([make.PNG_SIGN, make.ihdr(40, 30), pngChunk('IEND', Buffer.alloc(0))]),
    size: null,
  },
  {
    name: 'a PNG with a long header',
    bytes: join([
      make.PNG_SIGN,
      pngChunk('IHDR', Buffer.alloc(14, 1)),
      pngChunk('IDAT', Buffer.alloc(1)),
      pngChunk('IEND', Buffer.alloc(0)),
    ]),
    size: null,
  },
]

const THUMBNAIL = segment(0xe1, join([text('Exif\0\0'), make.jpeg(8, 8)]))

const JPEGS: readonly CraftedImage[] = [
  { name: 'a JPEG', bytes: make.jpeg(400, 300), size: [400, 300] },
  { name: 'a progressive JPEG', bytes: make.jpeg(400, 300, { marker: 0xc2 }), size: [400, 300] },
  { name: 'an arithmetic JPEG', bytes: make.jpeg(400, 300, { marker: 0xc9 }), size: [400, 300] },
  { name: 'a JPEG with a thumbnail', bytes: make.jpeg(400, 300, { before: [THUMBNAIL] }), size: [400, 300] },
  {
    name: 'a JPEG with a frame in a comment',
    bytes: make.jpeg(400, 300, { before: [segment(0xfe, frameHeader(8, 8))] }),
    size: [400, 300],
  },
  {
    name: 'a JPEG with fill bytes',
    bytes: make.jpeg(400, 300, { before: [Buffer.from([0xff, 0xff])] }),
    size: [400, 300],
  },
  {
    name: 'a JPEG with a second picture behind it',
    bytes: make.jpeg(400, 300, { after: [make.jpeg(8, 8)] }),
    size: [400, 300],
  },
  { name: 'a JPEG with two frames', bytes: make.jpeg(8, 8, { between: [frameHeader(4_000, 3_000)] }), size: null },
  { name: 'a JPEG with a frame behind its scan', bytes: make.jpeg(8, 8, { after: [] }).subarray(0, -2), size: null },
  {
    name: 'a JPEG whose height comes later',
    bytes: make.jpeg(400, 0, { between: [segment(0xdc, u16be(3_000))] }),
    size: null,
  },
  { name: 'a JPEG that begins twice', bytes: make.jpeg(400, 300, { before: [Buffer.from([0xff, 0xd8])] }), size: null },
  { name: 'a JPEG with bytes between its segments', bytes: make.jpeg(400, 300, { before: [text('x')] }), size: null },
  {
    name: 'a hierarchical JPEG',
    bytes: make.jpeg(400, 300, { before: [segment(0xde, frameHeader(8, 8).subarray(4))] }),
    size: null,
  },
]

const GIFS: readonly CraftedImage[] = [
  { name: 'a GIF', bytes: make.gif([40, 30], [[0, 0, 40, 30]]), size: [40, 30] },
  {
    name: 'a GIF with small frames',
    bytes: make.gif(
      [40, 30],
      [
        [5, 5, 10, 10],
        [0, 0, 3, 3],
      ],
    ),
    size: [40, 30],
  },
  { name: 'a GIF with a small screen', bytes: make.gif([1, 1], [[0, 0, 4_000, 3_000]]), size: [4_000, 3_000] },
  {
    name: 'a GIF with a later frame beyond its screen',
    bytes: make.gif(
      [40, 30],
      [
        [0, 0, 40, 30],
        [100, 200, 40, 30],
      ],
    ),
    size: [140, 230],
  },
  { name: 'a GIF without frames', bytes: make.gif([40, 30], []), size: null },
  { name: 'a GIF that goes on after its end', bytes: make.gif([40, 30], [[0, 0, 40, 30]], { after: 'x' }), size: null },
  { name: 'a GIF without an end', bytes: make.gif([40, 30], [[0, 0, 40, 30]]).subarray(0, -1), size: null },
]

const WEBPS: readonly CraftedImage[] = [
  { name: 'a WebP', bytes: make.riff('WEBP', [make.vp8(40, 30)]), size: [40, 30] },
  { name: 'a lossless WebP', bytes: make.riff('WEBP', [make.vp8l(40, 30)]), size: [40, 30] },
  { name: 'an extended WebP', bytes: make.riff('WEBP', [make.vp8x(40, 30), make.vp8(40, 30)]), size: [40, 30] },
  {
    name: 'a WebP with a small canvas',
    bytes: make.riff('WEBP', [make.vp8x(1, 1), make.vp8(4_000, 3_000)]),
    size: [4_000, 3_000],
  },
  {
    name: 'an animated WebP',
    bytes: make.riff('WEBP', [make.vp8x(40, 30, 2), make.webpFrame(0, 0, 40, 30, make.vp8l(40, 30))]),
    size: [40, 30],
  },
  {
    name: 'a WebP with a frame beyond its canvas',
    bytes: make.riff('WEBP', [make.vp8x(4, 3, 2), make.webpFrame(100, 200, 40, 30, make.vp8l(40, 30))]),
    size: [140, 230],
  },
  {
    name: 'a WebP with two pictures',
    bytes: make.riff('WEBP', [make.vp8(40, 30), make.vp8(400, 300)]),
    size: [400, 300],
  },
  { name: 'a WebP of another length', bytes: make.riff('WEBP', [make.vp8(40, 30)], 1_000), size: null },
  { name: 'a WebP without a picture', bytes: make.riff('WEBP', [make.vp8x(40, 30)]), size: null },
]

export const IMAGES: readonly CraftedImage[] = [
  ...PNGS,
  ...JPEGS,
  ...GIFS,
  ...WEBPS,
  { name: 'a BMP', bytes: join([text('BM'), Buffer.alloc(60, 1)]), size: null },
  { name: 'a TIFF', bytes: join([text('II*\0'), Buffer.alloc(60, 1)]), size: null },
  {
    name: 'a HEIC',
    bytes: join([make.box('ftyp', text('heic'), make.u32be(0)), make.box('meta', Buffer.alloc(40))]),
    size: null,
  },
  { name: 'nothing', bytes: Buffer.alloc(0), size: null },
]

export interface CraftedPdf {
  name: string
  bytes: Buffer
  pages: number | null
}

const hidden = make.pages(7)
const CATALOG = hidden[0]!
const packed = (more: Parameters<typeof make.objectStream>[2] = {}) =>
  make.pdf([CATALOG], { streams: [make.objectStream(90, hidden.slice(1), more)] })
const tree = (kids: string): make.PdfObjects => [CATALOG, [2, `<< /Type /Pages ${kids} >>`], ...hidden.slice(2)]
/** Each node has the next one twice: 2 to the power of ten pages of a few objects. */
const SHARED: make.PdfObjects = [
  CATALOG,
  ...Array.from({ length: 10 }, (_, n): [number, string] => [
    n + 2,
    `<< /Type /Pages /Count 2 /Kids [${n + 3} 0 R ${n + 3} 0 R] >>`,
  ]),
  [12, '<< /Type /Page /MediaBox [0 0 9 9] >>'],
]
const LOOP: make.PdfObjects = [
  CATALOG,
  [2, '<< /Type /Pages /Count 1 /Kids [3 0 R] >>'],
  [3, '<< /Type /Pages /Count 1 /Kids [2 0 R] >>'],
]

export const PDFS: readonly CraftedPdf[] = [
  { name: 'a PDF', bytes: make.pdf(make.pages(7)), pages: 7 },
  { name: 'a PDF that says it has fewer pages', bytes: make.pdf(make.pages(7, { stated: '1' })), pages: 7 },
  { name: 'a PDF that says it has more pages', bytes: make.pdf(make.pages(7, { stated: '50' })), pages: 50 },
  { name: 'a PDF with a count elsewhere', bytes: make.pdf(make.pages(7, { stated: '20 0 R' })), pages: null },
  { name: 'a PDF with a count that is no number', bytes: make.pdf(make.pages(7, { stated: '700.5' })), pages: null },
  { name: 'a PDF whose pages are packed', bytes: packed(), pages: 7 },
  { name: 'a PDF whose pages are packed under no type', bytes: packed({ type: '' }), pages: 7 },
  { name: 'a PDF packed with an escaped name', bytes: packed({ names: '/#4e COUNT /First FIRST' }), pages: null },
  {
    name: 'a PDF packed with another filter',
    bytes: packed({ filter: '/ASCIIHexDecode', pack: (body) => Buffer.from(`${body.toString('hex')}>`) }),
    pages: null,
  },
  { name: 'a PDF packed with a predictor', bytes: packed({ type: '/DecodeParms << /Predictor 12 >>' }), pages: null },
  {
    name: 'a PDF packed beyond reason',
    bytes: packed({ pack: (body) => deflateSync(join([body, Buffer.alloc(9_000_000)])) }),
    pages: null,
  },
  {
    name: 'a PDF whose packing shows, and seems to end early',
    bytes: packed({ pack: (body) => deflateSync(join([body, text('endstream')]), { level: 0 }) }),
    pages: null,
  },
  { name: 'a PDF with an escaped tree', bytes: make.pdf(tree('/K#69ds [3 0 R 4 0 R] /Count 2')), pages: null },
  {
    name: 'a PDF with an escaped font',
    bytes: make.pdf([...make.pages(7), [80, '<< /Type /Font /BaseFont /#46unt >>']]),
    pages: 7,
  },
  { name: 'a PDF with a comment in its tree', bytes: make.pdf(tree('/Kids %\n[3 0 R 4 0 R] /Count 2')), pages: null },
  {
    name: 'a PDF with a comment in front of a node',
    bytes: make.pdf([
      CATALOG,
      [
        2,
        '<< /Type /Pages /Kids [50 0 R] /Count 1 >>\nendobj\n50 %\n0 obj << /Type /Pages /Kids [3 0 R 4 0 R 5 0 R] /Count 3 >>',
      ],
      ...hidden.slice(2),
    ]),
    pages: null,
  },
  {
    name: 'a PDF with its tree in the catalog',
    bytes: make.pdf([[1, '<< /Type /Catalog /Pages << /Kids [3 0 R] /Count 1 >> >>'], ...hidden.slice(2)]),
    pages: null,
  },
  {
    name: 'a PDF with a list elsewhere',
    bytes: make.pdf([...tree('/Kids 70 0 R /Count 2'), [70, '[3 0 R 4 0 R]']]),
    pages: null,
  },
  {
    name: 'a PDF with two lists in a node',
    bytes: make.pdf(tree('/Kids [3 0 R] /Kids [3 0 R 4 0 R] /Count 2')),
    pages: null,
  },
  {
    name: 'a PDF with pages inside its list',
    bytes: make.pdf(tree('/Kids [<< /Type /Page >> << /Type /Page >>] /Count 2')),
    pages: null,
  },
  { name: 'a PDF whose tree is only a count', bytes: make.pdf(tree('/Count 50')), pages: 50 },
  { name: 'a PDF that shares its nodes', bytes: make.pdf(SHARED), pages: 1_024 },
  { name: 'a PDF that contains itself', bytes: make.pdf(LOOP), pages: null },
  { name: 'a PDF that was changed', bytes: make.pdf([...make.pages(7), ...make.pages(9).slice(1)]), pages: 9 },
  { name: 'a PDF that was changed to less', bytes: make.pdf([...make.pages(9), ...make.pages(7).slice(1)]), pages: 9 },
  {
    name: 'a PDF whose tree lies in a stream',
    bytes: make.pdf([
      CATALOG,
      [80, `<< /Length 999 >>\nstream\n2 0 obj ${hidden[1]?.[1]} endobj\nendstream`],
      ...hidden.slice(2),
    ]),
    pages: 7,
  },
  {
    name: 'a PDF with a form',
    bytes: make.pdf([...make.pages(7), [60, '<< /T (a) /Kids [61 0 R 62 0 R] >>'], [61, '<< /Kids [60 0 R] >>']]),
    pages: 7,
  },
  {
    name: 'a PDF with an outline',
    bytes: make.pdf([...make.pages(7), [60, '<< /Type /Outlines /First 61 0 R /Last 61 0 R /Count 1 >>']]),
    pages: 7,
  },
  { name: 'an encrypted PDF', bytes: make.pdf(make.pages(7), { more: '/Encrypt 9 0 R ' }), pages: null },
  { name: 'a PDF without pages', bytes: make.pdf([[1, '<< /Type /Catalog >>']]), pages: null },
  { name: 'no PDF', bytes: text('%PDF-1.4 /Type /Page /Type /Page /Count 2'), pages: null },
]
