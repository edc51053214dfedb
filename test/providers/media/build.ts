/** Media of every kind the walks know, made byte by byte: right ones, and ones that lie. */
import { crc32, deflateSync } from 'node:zlib'

export const u16be = (value: number) => Buffer.from([(value >> 8) & 255, value & 255])
export const u32be = (value: number) => Buffer.from([24, 16, 8, 0].map((shift) => (value >>> shift) & 255))
export const u16le = (value: number) => Buffer.from(u16be(value)).reverse()
export const u32le = (value: number) => Buffer.from(u32be(value)).reverse()
const u24le = (value: number) => u32le(value).subarray(0, 3)
const latin1 = (text: string) => Buffer.from(text, 'latin1')
export const join = Buffer.concat

export const PNG_SIGN = Buffer.from('89504e470d0a1a0a', 'hex')

export function pngChunk(type: string, body: Buffer): Buffer {
  const named = join([latin1(type), body])
  return join([u32be(body.length), named, u32be(crc32(named))])
}

export function ihdr(width: number, height: number, interlaced = false): Buffer {
  return pngChunk('IHDR', join([u32be(width), u32be(height), Buffer.from([8, 0, 0, 0, interlaced ? 1 : 0])]))
}

/** Gray pixels. `before` stands before IHDR, `between` behind it, `after` behind the end. */
export function png(
  width: number,
  height: number,
  {
    before = [],
    between = [],
    after = [],
    interlaced = false,
  }: Partial<Record<'before' | 'between' | 'after', Buffer[]>> & { interlaced?: boolean } = {},
): Buffer {
  const pixels = deflateSync(Buffer.alloc((width + 1) * height + (interlaced ? 16 * (width + height) : 0)))
  const parts = [PNG_SIGN, ...before, ihdr(width, height, interlaced), ...between, pngChunk('IDAT', pixels)]
  return join([...parts, pngChunk('IEND', Buffer.alloc(0)), ...after])
}

export function frameControl(width: number, height: number, x = 0, y = 0): Buffer {
  return pngChunk('fcTL', join([u32be(0), u32be(width), u32be(height), u32be(x), u32be(y), Buffer.alloc(6)]))
}

export function segment(marker: number, body: Buffer): Buffer {
  return join([Buffer.from([0xff, marker]), u16be(body.length + 2), body])
}

export function frameHeader(width: number, height: number, marker = 0xc0): Buffer {
  return segment(marker, join([Buffer.from([8]), u16be(height), u16be(width), Buffer.from([1, 1, 0x11, 0])]))
}

const SCAN = join([segment(0xda, Buffer.from([1, 1, 0, 0, 63, 0])), Buffer.from([0x12, 0xff, 0, 0xff, 0xd0, 0x34])])
const QUANTIZER = segment(0xdb, join([Buffer.from([0]), Buffer.alloc(64, 1)]))

/** Its structure; the scan holds no picture. */
export function jpeg(
  width: number,
  height: number,
  { before = [] as Buffer[], between = [] as Buffer[], after = [] as Buffer[], marker = 0xc0 } = {},
): Buffer {
  const end = Buffer.from([0xff, 0xd9])
  return join([
    Buffer.from([0xff, 0xd8]),
    ...before,
    QUANTIZER,
    frameHeader(width, height, marker),
    ...between,
    SCAN,
    end,
    ...after,
  ])
}

export function gif(
  screen: [number, number],
  frames: readonly [x: number, y: number, width: number, height: number][],
  { after = '' } = {},
): Buffer {
  const header = join([
    latin1('GIF89a'),
    u16le(screen[0]),
    u16le(screen[1]),
    Buffer.from([0x80, 0, 0, 0, 0, 0, 255, 255, 255]),
  ])
  const comment = Buffer.from([0x21, 0xfe, 2, 0x2c, 0x3b, 0])
  const images = frames.map((frame) =>
    join([Buffer.from([0x2c]), ...frame.map(u16le), Buffer.from([0, 2, 2, 0x4c, 1, 0])]),
  )
  return join([header, comment, ...images, Buffer.from([0x3b]), latin1(after)])
}

export function riff(kind: string, chunks: readonly Buffer[], length?: number): Buffer {
  const body = join([latin1(kind), ...chunks])
  return join([latin1('RIFF'), u32le(length ?? body.length), body])
}

export function riffChunk(type: string, body: Buffer): Buffer {
  return join([latin1(type), u32le(body.length), body, Buffer.alloc(body.length & 1)])
}

export function vp8(width: number, height: number): Buffer {
  return riffChunk(
    'VP8 ',
    join([Buffer.from([0x10, 0, 0, 0x9d, 0x01, 0x2a]), u16le(width), u16le(height), Buffer.alloc(4)]),
  )
}

export function vp8l(width: number, height: number): Buffer {
  return riffChunk('VP8L', join([Buffer.from([0x2f]), u32le((width - 1) | ((height - 1) << 14)), Buffer.alloc(3)]))
}

export function vp8x(width: number, height: number, flags = 0): Buffer {
  return riffChunk('VP8X', join([Buffer.from([flags, 0, 0, 0]), u24le(width - 1), u24le(height - 1)]))
}

export function webpFrame(x: number, y: number, width: number, height: number, picture: Buffer): Buffer {
  const place = [x / 2, y / 2, width - 1, height - 1].map(u24le)
  return riffChunk('ANMF', join([...place, Buffer.from([100, 0, 0, 0]), picture]))
}

interface WavFormat {
  format?: number
  channels?: number
  rate?: number
  bits?: number
  block?: number
  more?: Buffer
}

export function wavFormat({ format = 1, channels = 1, rate = 16_000, bits = 16, block, more }: WavFormat = {}): Buffer {
  // A byte rate that lies.
  const numbers = [
    u16le(format),
    u16le(channels),
    u32le(rate),
    u32le(1),
    u16le(block ?? (channels * bits) / 8),
    u16le(bits),
  ]
  return riffChunk('fmt ', join([...numbers, more ?? Buffer.alloc(0)]))
}

export function wav(
  seconds: number,
  { format = wavFormat(), before = [] as Buffer[], length = undefined as number | undefined } = {},
): Buffer {
  return riff('WAVE', [...before, format, riffChunk('data', Buffer.alloc(32_000 * seconds))], length)
}

/** Frames of 417 and 418 bytes: 128 kbit/s at 44,100 Hz, 1,152 samples each. */
export function mp3(
  frames: number,
  { before = [] as Buffer[], first = Buffer.alloc(0), after = [] as Buffer[], head = 0xfffb9000 } = {},
): Buffer {
  const frame = (body = Buffer.alloc(0)) => join([u32be(head), body, Buffer.alloc(413 - body.length)])
  const list = Array.from({ length: frames }, (_, index) => frame(index === 0 ? first : undefined))
  return join([...before, ...list, ...after])
}

export function box(type: string, ...parts: Buffer[]): Buffer {
  const body = join(parts)
  return join([u32be(body.length + 8), latin1(type), body])
}

const header = (type: string, scale: number, duration: number) =>
  box(type, Buffer.alloc(12), u32be(scale), u32be(duration), Buffer.alloc(80))

interface TrackOptions {
  scale?: number
  /** In its table, a second each. */
  samples?: number
  id?: number
  /** How many samples there are; makes it a track of sound. */
  frames?: number
  codec?: Buffer
}

export function track(seconds: number, options: TrackOptions = {}): Buffer {
  const { scale = 1_000, samples = seconds, id, frames, codec = aac(4) } = options
  const times = box('stts', Buffer.alloc(4), u32be(1), u32be(samples), u32be(scale))
  const head = id === undefined ? [] : [box('tkhd', Buffer.alloc(12), u32be(id), Buffer.alloc(68))]
  const sound = frames === undefined ? [] : [box('hdlr', Buffer.alloc(8), latin1('soun'), Buffer.alloc(12))]
  const kept =
    frames === undefined
      ? []
      : [box('stsd', Buffer.alloc(4), u32be(1), codec), box('stsz', Buffer.alloc(4), u32be(1), u32be(frames))]
  const media = box('mdia', header('mdhd', scale, seconds * scale), ...sound, box('minf', box('stbl', times, ...kept)))
  return box('trak', ...head, media)
}

const soundEntry = (type: string, ...inner: Buffer[]) => box(type, Buffer.alloc(28), ...inner)
const tagged = (tag: number, ...parts: Buffer[]): Buffer => {
  const body = join(parts)
  return join([Buffer.from([tag, 0x80, 0x80, body.length]), body])
}

/** @param rate its index: 4 is 44,100. */
export function aac(rate: number, type = 2): Buffer {
  const config = tagged(5, u16be((type << 11) | (rate << 7)))
  const decoder = tagged(4, Buffer.from([0x40]), Buffer.alloc(12), config)
  return soundEntry('mp4a', box('esds', Buffer.alloc(4), tagged(3, Buffer.alloc(3), decoder)))
}

export const otherSound = (type: string) => soundEntry(type)

/** What a movie in fragments says of them: the length of a sample of each track. */
export function extending(...tracks: readonly (readonly [id: number, usual: number])[]): Buffer {
  return box(
    'mvex',
    ...tracks.map(([id, usual]) => box('trex', Buffer.alloc(4), u32be(id), u32be(1), u32be(usual), Buffer.alloc(8))),
  )
}

interface Run {
  id?: number
  count: number
  /** Of each sample; the track's own where it is left out. */
  length?: number
  /** Where it begins. */
  at?: number
}

export function fragment({ id = 1, count, length, at }: Run): Buffer {
  const lengths = length === undefined ? [] : Array.from({ length: count }, () => u32be(length))
  const place = at === undefined ? [] : [box('tfdt', Buffer.alloc(4), u32be(at))]
  const run = box('trun', u32be(length === undefined ? 0 : 0x100), u32be(count), ...lengths)
  return join([
    box('moof', box('mfhd', Buffer.alloc(8)), box('traf', box('tfhd', u32be(0), u32be(id)), ...place, run)),
    box('mdat', Buffer.alloc(8)),
  ])
}

/** @param lengths of what it points to, in seconds. */
export function index(lengths: readonly number[]): Buffer {
  const entries = lengths.flatMap((seconds) => [u32be(1), u32be(seconds), u32be(0)])
  return box('sidx', Buffer.alloc(8), u32be(1), Buffer.alloc(8), u16be(0), u16be(lengths.length), ...entries)
}

export function mp4(
  seconds: number,
  {
    tracks = [track(seconds)] as Buffer[],
    before = [] as Buffer[],
    after = [] as Buffer[],
    inside = [] as Buffer[],
  } = {},
): Buffer {
  const movie = box('moov', header('mvhd', 600, seconds * 600), ...inside, ...tracks)
  return join([box('ftyp', latin1('isom'), u32be(0)), ...before, movie, box('mdat', Buffer.alloc(64)), ...after])
}

export type PdfObjects = readonly (readonly [number: number, text: string])[]

/** As the objects stand in a file without a table: readers rebuild it. */
export function pdf(objects: PdfObjects, { root = 1, more = '', streams = [] as Buffer[] } = {}): Buffer {
  const text = objects.map(([number, body]) => `${number} 0 obj\n${body}\nendobj\n`).join('')
  return join([latin1(`%PDF-1.7\n${text}`), ...streams, latin1(`trailer\n<< /Root ${root} 0 R ${more}>>\n%%EOF\n`)])
}

/** A catalog (1), a tree (2) and its pages (3 and on). */
export function pages(count: number, { stated = String(count) } = {}): PdfObjects {
  const kids = Array.from({ length: count }, (_, index) => `${index + 3} 0 R`)
  return [
    [1, '<< /Type /Catalog /Pages 2 0 R >>'],
    [2, `<< /Type /Pages /Kids [${kids.join(' ')}] /Count ${stated} >>`],
    ...kids.map((_, index): [number, string] => [index + 3, '<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] >>']),
  ]
}

export function objectStream(
  number: number,
  objects: PdfObjects,
  {
    type = '/Type /ObjStm',
    names = '/N COUNT /First FIRST',
    filter = '/FlateDecode',
    pack = deflateSync as (text: Buffer) => Buffer,
  } = {},
): Buffer {
  let at = 0
  const places = objects.map(([own, text]) => {
    const place = `${own} ${at}`
    at += text.length + 1
    return place
  })
  const head = `${places.join(' ')} `
  const body = pack(latin1(head + objects.map(([, text]) => `${text}\n`).join('')))
  const counted = names.replace('COUNT', String(objects.length)).replace('FIRST', String(head.length))
  return join([
    latin1(`${number} 0 obj\n<< ${type} ${counted} /Filter ${filter} /Length ${body.length} >>\nstream\n`),
    body,
    latin1('\nendstream\nendobj\n'),
  ])
}
