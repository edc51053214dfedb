/** Seconds of sound and film: what the frames prove, and nothing where they don't. */
import { describe, expect, test } from 'vitest'
import { flacSeconds } from '../../../providers/media/flac-length.ts'
import { mp4Seconds } from '../../../providers/media/mp4-length.ts'
import { soundLength, soundSeconds } from '../../../providers/media/sound-length.ts'
import { box, join, mp3, mp4, riff, riffChunk, track, u16le, u32be, u32le, wav, wavFormat } from './build.ts'

const text = (value: string) => Buffer.from(value, 'latin1')
const extensible = (format: number) =>
  wavFormat({ format: 0xfffe, more: join([u16le(22), u16le(16), u32le(4), u16le(format), Buffer.alloc(14)]) })

describe('a WAV file', () => {
  test.for<[string, Buffer, number | null]>([
    ['is as long as its bytes', wav(2), 2 + 44 / 32_000],
    [
      'is as long with lists before its data',
      wav(2, { before: [riffChunk('LIST', Buffer.alloc(300))] }),
      2 + 352 / 32_000,
    ],
    ['is as long in the extensible form', wav(2, { format: extensible(1) }), 2 + 68 / 32_000],
    ['is as long when it states no length', wav(2, { length: 0xffff_ffff }), 2 + 44 / 32_000],
    ['is longer at a lower rate', wav(2, { format: wavFormat({ rate: 8_000 }) }), 4 + 44 / 16_000],
    ['is unknown when compressed', wav(2, { format: wavFormat({ format: 17 }) }), null],
    ['is unknown when compressed in the extensible form', wav(2, { format: extensible(85) }), null],
    ['is unknown with two formats', wav(2, { before: [wavFormat({ rate: 1_000 })] }), null],
    ['is unknown when its blocks are not its samples', wav(2, { format: wavFormat({ block: 1_000 }) }), null],
    ['is unknown without a rate', wav(2, { format: wavFormat({ rate: 0 }) }), null],
    ['is unknown without data', riff('WAVE', [wavFormat()]), null],
    ['is unknown in the 64-bit form', join([text('RF64'), wav(2).subarray(4)]), null],
    [
      'is unknown where data stands before the format',
      riff('WAVE', [riffChunk('data', Buffer.alloc(9)), riffChunk('junk', wavFormat())]),
      null,
    ],
  ])('The length of a WAV file is proved or unknown: %s.', ([, bytes, seconds]) => {
    expect(soundSeconds(bytes)).toBe(seconds)
  })
})

describe('an MP3 file', () => {
  const frame = 1_152 / 44_100
  const tag = join([text('ID3\x04\0\0'), Buffer.from([0, 0, 1, 0]), Buffer.alloc(128, 0xff)])
  const xing = (count: number) => join([Buffer.alloc(32), text('Xing'), u32be(1), u32be(count)])
  test.for<[string, Buffer, number | null]>([
    ['is as long as its frames', mp3(100), 100 * frame],
    ['is as long behind a tag', mp3(100, { before: [tag, tag] }), 100 * frame],
    ['is as long before a tag', mp3(100, { after: [join([text('TAG'), Buffer.alloc(125)])] }), 100 * frame],
    ['is no shorter than its frames, whatever its head says', mp3(100, { first: xing(1) }), 100 * frame],
    ['is as long as its head says, where that is more', mp3(100, { first: xing(5_000) }), 5_000 * frame],
    ['is unknown in the free format', mp3(100, { head: 0xfffb0000 }), null],
    ['is unknown with bytes between its frames', join([mp3(50), text('x'), mp3(50)]), null],
    ['is unknown when a tag hides it', join([text('ID3\x04\0\0'), Buffer.from([0xff, 0, 0, 0]), mp3(100)]), null],
    ['is unknown when it is something else', Buffer.alloc(3_000), null],
    ['is unknown when there is nothing', Buffer.alloc(0), null],
  ])('The length of an MP3 file is proved or unknown: %s.', ([, bytes, seconds]) => {
    const found = soundSeconds(bytes)
    if (seconds === null) expect(found).toBeNull()
    else expect(found).toBeCloseTo(seconds, 9)
  })
})

describe('a film', () => {
  test.for<[string, Buffer, number | null]>([
    ['is as long as it says', mp4(10), 10],
    ['is as long as its longest track', mp4(10, { tracks: [track(10), track(3_600)] }), 3_600],
    ['is as long as its samples', mp4(10, { tracks: [track(10, { samples: 500 })] }), 500],
    [
      'is as long with a decoy before it',
      mp4(3_600, { before: [box('free', text('mvhd'), Buffer.alloc(100, 1))] }),
      3_600,
    ],
    [
      'is as long with a decoy inside',
      mp4(3_600, { inside: [box('udta', text('mvhd'), Buffer.alloc(100, 1))] }),
      3_600,
    ],
    ['is unknown with two movies', join([mp4(1), mp4(3_600)]), null],
    ['is unknown in fragments', mp4(1, { after: [box('moof', Buffer.alloc(8))] }), null],
    ['is unknown when it may be extended', mp4(1, { inside: [box('mvex', Buffer.alloc(8))] }), null],
    ['is unknown when cut off', mp4(10).subarray(0, -1), null],
    ['is unknown when another kind', Buffer.alloc(100, 1), null],
  ])('The length of a film is proved or unknown: %s.', ([, bytes, seconds]) => {
    expect(mp4Seconds(bytes)).toBe(seconds)
  })
})

describe('other sound', () => {
  /** One frame's header (4,096 samples at the stream's rate) and its checksum, by the definition. */
  const flac = (frames: number, stated = 0) => {
    const info = join([Buffer.alloc(10), u32be(((44_100 << 12) | 0x0f0) >>> 0), u32be(stated), Buffer.alloc(16)])
    const head = Buffer.from([0xff, 0xf8, 0xc0, 0x08, 0, 0])
    let sum = 0
    for (const byte of head.subarray(0, 5)) {
      sum ^= byte
      for (let bit = 0; bit < 8; bit++) sum = sum & 0x80 ? ((sum << 1) ^ 7) & 0xff : sum << 1
    }
    head[5] = sum
    const list = Array.from({ length: frames }, () => join([head, Buffer.alloc(200, 7)]))
    return join([text('fLaC'), Buffer.from([0x80, 0, 0, 34]), info, ...list])
  }
  const ogg = (serial: number, granule: number, ...packets: Buffer[]) =>
    join([
      text('OggS\0\0'),
      u32le(granule),
      u32le(0),
      u32le(serial),
      Buffer.alloc(8),
      Buffer.from([packets.length, ...packets.map(({ length }) => length)]),
      ...packets,
    ])
  const opus = (count: number, granule = 0) =>
    join([
      ogg(1, 0, text('OpusHead')),
      ogg(1, 0, text('OpusTags')),
      ogg(1, granule, ...Array.from({ length: count }, () => Buffer.from([0x78, 1, 2]))),
    ])

  test('Sound as FLAC is as long as its frames, or as it says where that is more.', () => {
    expect(flacSeconds(flac(10))).toBeCloseTo((10 * 4_096) / 44_100, 9)
    expect(flacSeconds(flac(10, 441_000))).toBeCloseTo(10, 9)
    expect(flacSeconds(flac(0))).toBeNull()
  })

  test('Sound as Opus is as long as its packets, or as its pages say where that is more.', () => {
    expect(soundSeconds(opus(50))).toBeCloseTo(50 * 0.02, 9)
    expect(soundSeconds(opus(50, 480_000))).toBe(10)
    expect(soundSeconds(join([opus(5), ogg(2, 0, text('x'))]))).toBeNull()
    expect(soundSeconds(ogg(1, 0, text('\x01vorbis')))).toBeNull()
  })

  test('Sound as AAC is as long as its frames.', () => {
    const frame = Buffer.from([0xff, 0xf1, 0x50, 0x80, 0x02, 0x1f, 0xfc, 0, 0, 0, 0, 0, 0, 0, 0, 0])
    expect(soundSeconds(join(Array(10).fill(frame)))).toBeCloseTo((10 * 1_024) / 44_100, 9)
    expect(soundSeconds(join([frame, text('x'), frame]))).toBeNull()
  })

  test('Sound of unknown length is expected to have the usual rate of its container.', () => {
    expect(soundLength(Buffer.alloc(48_000).toString('base64'))).toEqual({ bound: null, expected: 3 })
    expect(soundLength(join([text('OggS'), Buffer.alloc(23_996)]).toString('base64'))).toEqual({
      bound: null,
      expected: 3,
    })
    expect(soundLength(`-${wav(2).toString('base64')}`).bound).toBeNull()
  })
})
