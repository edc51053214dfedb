/** Seconds of sound and film: what the frames prove, and nothing where they don't. */
import { describe, expect, test } from 'vitest'
import { flacSeconds } from '../../../providers/media/flac-length.ts'
import { longestSound } from '../../../providers/media/longest-sound.ts'
import { mp4Seconds } from '../../../providers/media/mp4-length.ts'
import { soundLength, soundSeconds } from '../../../providers/media/sound-length.ts'
import {
  aac,
  box,
  extending,
  fragment,
  index,
  join,
  mp3,
  mp4,
  otherSound,
  riff,
  riffChunk,
  track,
  u16le,
  u32be,
  u32le,
  wav,
  wavFormat,
} from './build.ts'

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
    ['is unknown when cut off', mp4(10).subarray(0, -1), null],
    ['is unknown when another kind', Buffer.alloc(100, 1), null],
  ])('The length of a film is proved or unknown: %s.', ([, bytes, seconds]) => {
    expect(mp4Seconds(bytes)).toBe(seconds)
  })
})

/** A movie in fragments: its head says nothing of its length. */
const inFragments = (...after: Buffer[]) => mp4(0, { tracks: [extending([1, 1_000]), track(0, { id: 1 })], after })

describe('a film in fragments', () => {
  test.for<[string, Buffer, number | null]>([
    ['is as long as its samples', inFragments(fragment({ count: 3, length: 500 }), fragment({ count: 2 })), 3.5],
    [
      'is as long as its last fragment says',
      inFragments(fragment({ count: 1, at: 0 }), fragment({ count: 1, at: 59_000 })),
      60,
    ],
    [
      'is as long as all samples of fragments that all begin at once',
      inFragments(...Array(9).fill(fragment({ count: 1, at: 0 }))),
      9,
    ],
    ['is as long as its index says', inFragments(index([10, 20]), fragment({ count: 1 })), 30],
    ['is as long as its movie says', mp4(0, { tracks: [box('mvex', box('mehd', Buffer.alloc(4), u32be(6_000)))] }), 10],
    [
      'is as long as where players may begin',
      inFragments(
        fragment({ count: 1 }),
        box(
          'mfra',
          box('tfra', Buffer.alloc(4), u32be(1), u32be(0), u32be(1), u32be(7_000), u32be(0), Buffer.alloc(3)),
        ),
      ),
      7,
    ],
    ['is as long as its head says', mp4(90, { tracks: [extending([1, 1_000]), track(0, { id: 1 })] }), 90],
    ['is unknown where a fragment has another track', inFragments(fragment({ id: 2, count: 1 })), null],
    [
      'is unknown where two tracks have one id',
      mp4(0, { tracks: [track(0, { id: 1 }), track(0, { id: 1 })], after: [fragment({ count: 1 })] }),
      null,
    ],
    [
      'is unknown where a run is cut off',
      inFragments(box('moof', box('traf', box('tfhd', u32be(0), u32be(1)), box('trun', u32be(0x100), u32be(9))))),
      null,
    ],
    [
      'is unknown where a run has no track',
      inFragments(box('moof', box('traf', box('trun', u32be(0), u32be(9))))),
      null,
    ],
  ])('The length of a film in fragments is proved or unknown: %s.', ([, bytes, seconds]) => {
    expect(mp4Seconds(bytes)).toBe(seconds)
  })
})

describe('sound in an MP4', () => {
  const withSound = (codec: Buffer) => mp4(1, { tracks: [track(1, { frames: 4_410, codec })] })
  const fragmented = (codec: Buffer) =>
    mp4(0, {
      tracks: [extending([1, 1]), track(0, { id: 1, frames: 0, codec })],
      after: Array(10).fill(fragment({ count: 441, length: 1 })),
    })
  test.for<[string, Buffer, number | null]>([
    ['is as long as its frames', withSound(aac(4)), 102.4],
    ['is longer at the lowest rate', withSound(aac(11)), 564.48],
    ['is as long as its frames in fragments that take hardly any time', fragmented(aac(4)), 102.4],
    ['is at most 120 ms a packet of Opus', withSound(otherSound('Opus')), 4_410 * 0.12],
    ['has large frames in kinds of AAC that nobody knows', withSound(aac(4, 30)), 409.6],
    ['is unknown in other codecs', withSound(otherSound('qdm2')), null],
    ['is unknown without a configuration', withSound(otherSound('mp4a')), null],
  ])(
    'The length of sound in an MP4 is proved by its frames, whatever its tables say, or unknown: %s.',
    ([, bytes, seconds]) => {
      expect(soundSeconds(bytes)).toBe(seconds)
    },
  )

  test('Packets of Opus in an MP4 are expected to be 20 ms long, and held at 120.', () => {
    expect(longestSound(withSound(otherSound('Opus')))).toEqual({ bound: 4_410 * 0.12, expected: 4_410 * 0.02 })
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
