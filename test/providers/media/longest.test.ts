import { describe, expect, test } from 'vitest'
import { longestSound } from '../../../providers/media/longest-sound.ts'
import { webmSeconds } from '../../../providers/media/webm-length.ts'
import { join, mp3, u16be, u16le, u32le, wav } from './build.ts'

const text = (value: string) => Buffer.from(value, 'latin1')

/** An element, or one without a stated end. */
const element = (id: string, body: Buffer, isOpen = false) =>
  join([
    Buffer.from(id, 'hex'),
    isOpen
      ? Buffer.from('01ffffffffffffff', 'hex')
      : join([
          Buffer.from([0x10 | (body.length >> 24)]),
          Buffer.from([body.length >> 16, body.length >> 8, body.length]),
        ]),
    body,
  ])

const HEAD = element('1a45dfa3', text('x'))
const TRACK = (codec = 'A_OPUS', more = Buffer.alloc(0)) =>
  element(
    '1654ae6b',
    element(
      'ae',
      join([element('d7', Buffer.from([1])), element('83', Buffer.from([2])), element('86', text(codec)), more]),
    ),
  )
/** A packet of 20 ms at a time in milliseconds. */
const block = (at: number, flags = 0x80) =>
  element('a3', join([Buffer.from([0x81]), u16be(at), Buffer.from([flags, 0x78, 1, 2])]))
const webm = (blocks: readonly Buffer[], tracks = TRACK(), isOpen = true) =>
  join([
    HEAD,
    element(
      '18538067',
      join([tracks, element('1f43b675', join([element('e7', Buffer.from([0])), ...blocks]), isOpen)]),
      isOpen,
    ),
  ])
const blocks = (count: number, step = 20) => Array.from({ length: count }, (_, i) => block(i * step))

describe('What browsers record', () => {
  test.for<[string, Buffer, number | null]>([
    ['is as long as its packets', webm(blocks(50)), 1],
    ['is as long with stated ends', webm(blocks(50), TRACK(), false), 1],
    ['is no shorter than its packets, whatever their times are', webm(blocks(50, 0)), 1],
    ['is as long as its times say, where that is more', webm(blocks(50, 200)), 9.8],
    ['is as long when its last packet is cut off', webm(blocks(50)).subarray(0, -1), 1],
    ['is unknown with several packets in a block', webm([block(0, 0x86)]), null],
    ['is unknown as Vorbis', webm(blocks(50), TRACK('A_VORBIS')), null],
    ['is unknown when packets are packed', webm(blocks(50), TRACK('A_OPUS', element('6d80', text('x')))), null],
    ['is unknown without a packet', webm([]), null],
    ['is unknown when it is something else', wav(1), null],
  ])('Its length is proved or unknown: it %s.', ([, bytes, seconds]) => {
    const found = webmSeconds(bytes)
    if (seconds === null) expect(found).toBeNull()
    else expect(found).toBeCloseTo(seconds, 9)
  })
})

describe('The longest that a recording can be', () => {
  const ogg = (granule: number, ...packets: Buffer[]) =>
    join([
      text('OggS\0\0'),
      u32le(granule),
      u32le(0),
      u32le(1),
      Buffer.alloc(8),
      Buffer.from([packets.length, ...packets.map(({ length }) => length)]),
      ...packets,
    ])
  const identification = join([
    text('\x01vorbis'),
    u32le(0),
    Buffer.from([1]),
    u32le(44_100),
    Buffer.alloc(12),
    Buffer.from([0xb8, 1]),
  ])
  const vorbis = (packets: number, granule: number) =>
    join([
      ogg(0, identification),
      ogg(0, text('c'), text('s')),
      ogg(granule, ...Array.from({ length: packets }, () => text('p'))),
    ])

  test('Plain samples, and frames without a gap, are exactly as long as they are.', () => {
    for (const [bytes, seconds] of [
      [wav(2), 64_044 / 32_000],
      [mp3(100), (100 * 1_152) / 44_100],
    ] as const)
      expect(longestSound(bytes)).toEqual({ bound: seconds, expected: seconds })
  })

  test('Vorbis is no longer than half of its largest block for each packet, and expected as long as its last page says.', () => {
    const most = (100 * 1_024) / 44_100
    expect(longestSound(vorbis(100, 88_200))).toEqual({ bound: most, expected: 2 })
    expect(longestSound(vorbis(100, 0))).toEqual({ bound: most, expected: most / 2 })
    expect(longestSound(vorbis(100, 441_000))).toEqual({ bound: 10, expected: 10 })
  })

  test('MPEG audio with gaps is no longer than at its lowest rate; what only begins like it is unknown.', () => {
    const gaps = join([mp3(10), text('x'), mp3(10)])
    expect(longestSound(gaps)).toEqual({ bound: gaps.length / 990, expected: gaps.length / 16_000 })
    expect(longestSound(join([mp3(2), Buffer.alloc(1_000)])).bound).toBeNull()
    expect(longestSound(Buffer.alloc(16_000))).toEqual({ bound: null, expected: 1 })
    expect(longestSound(u16le(7)).bound).toBeNull()
  })
})
