import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { createSseFrames, dataLine, isCanonical, parseFrame, type Verdict } from '../../providers/sse-frames.ts'
import { awkward, cutBefore, every, everyByte, type Split, seeded, whole } from '../support/splits.ts'

/** What comes out, and the frames that were judged. */
function read(
  pieces: readonly Buffer[],
  judge: (frame: string) => Verdict = () => true,
): { out: string; frames: string[] } {
  const frames: string[] = []
  const scanner = createSseFrames((frame) => {
    frames.push(frame.toString())
    return judge(frame.toString())
  })
  const out = pieces.map((piece) => scanner.push(piece))
  out.push(scanner.end())
  return { out: Buffer.concat(out.filter((bytes) => bytes !== null)).toString(), frames }
}

const FRAMES = [
  'data: {"a":"né 😀"}\n\n',
  ': comment\n\n',
  'data:x\r\n\r\n',
  'event: e\ndata: 1\ndata: 2\n\n',
  'data: [DONE]\n\n',
]
const STREAM = Buffer.from(FRAMES.join(''))
const SPLITS: [string, Split][] = [
  ['whole', whole],
  ['by byte', everyByte],
  ['by seven bytes', every(7)],
  ['where readers go wrong', awkward],
  ['at random', seeded(1, 5)],
]

describe('frames of a stream', () => {
  test.each(SPLITS)('Frames of a stream are the same however the stream is cut: %s.', (_, split) => {
    expect(read(split(STREAM))).toEqual({ out: STREAM.toString(), frames: FRAMES })
  })

  test('Frames of a stream are the same at every single cut.', () => {
    for (let at = 1; at < STREAM.length; at += 1) {
      expect(read(cutBefore([at])(STREAM))).toEqual({ out: STREAM.toString(), frames: FRAMES })
    }
  })

  test('Frames of a stream are forwarded, replaced or dropped one by one, in order.', () => {
    const judge = (frame: string): Verdict => {
      if (frame.startsWith(':')) return null
      return frame.startsWith('data:x') ? Buffer.from('data: y\n\n') : true
    }
    for (const [, split] of SPLITS) {
      expect(read(split(STREAM), judge).out).toBe([FRAMES[0], 'data: y\n\n', FRAMES[3], FRAMES[4]].join(''))
    }
  })

  test('Frames of a stream side by side and unchanged leave as one slice of what came in.', () => {
    const chunk = Buffer.from('data: 1\n\ndata: 2\n\n')
    const out = createSseFrames(() => true).push(chunk)
    expect(out?.buffer).toBe(chunk.buffer)
    expect(out?.length).toBe(chunk.length)
  })

  test('Frames of a stream wait until they are complete.', () => {
    const scanner = createSseFrames(() => true)
    expect(scanner.push(Buffer.from('data: 1\n'))).toBeNull()
    expect(scanner.push(Buffer.from('\ndata: 2'))?.toString()).toBe('data: 1\n\n')
    expect(scanner.push(Buffer.from('\r\n\r'))).toBeNull()
    expect(scanner.push(Buffer.from('\n'))?.toString()).toBe('data: 2\r\n\r\n')
    expect(scanner.end()).toBeNull()
  })

  test('Frames of a stream without an end are ended with the stream.', () => {
    expect(read([Buffer.from('data: 1\n\ndata: 2')])).toEqual({
      out: 'data: 1\n\ndata: 2\n\n',
      frames: ['data: 1\n\n', 'data: 2\n\n'],
    })
  })

  test('Frames of a stream may be huge.', () => {
    const frame = `data: ${'é'.repeat(1_000_000)}\n\n`
    expect(read(every(1000)(Buffer.from(`${frame}data: 2\n\n`))).frames).toEqual([frame, 'data: 2\n\n'])
  })

  test('Frames of a stream are not without limit.', () => {
    const scanner = createSseFrames(() => true)
    const megabyte = Buffer.alloc(1024 * 1024, 'x')
    for (let i = 0; i < 32; i += 1) expect(scanner.push(megabyte)).toBeNull()
    expect(() => scanner.push(megabyte)).toThrow('a frame of the stream is too large')
  })

  test('Frames of a stream are right for any stream and any cut.', () => {
    const line = fc
      .stringMatching(/^(data:|data: |event: |: )?[a-zé😀\r"{}]{0,6}$/u)
      .filter((text) => text !== '' && !text.endsWith('\r'))
    const frame = fc.tuple(fc.array(line, { minLength: 1, maxLength: 3 }), fc.constantFrom('\n', '\r\n'))
    fc.assert(
      fc.property(
        fc.array(frame),
        fc.integer({ min: 1, max: 1e9 }),
        fc.integer({ min: 1, max: 9 }),
        (parts, seed, mean) => {
          const frames = parts.map(([lines, end]) => lines.join(end) + end + end)
          const stream = Buffer.from(frames.join(''))
          expect(read(seeded(seed, mean)(stream))).toEqual({ out: frames.join(''), frames })
        },
      ),
    )
  })
})

describe('a frame', () => {
  test.each([
    ['data: {"a":1}\n\n', '{"a":1}'],
    ['data:{"a":1}\n\n', '{"a":1}'],
    ['data:{"a":1}\r\n\r\n', '{"a":1}'],
    ['data: [DONE]\n\n', '[DONE]'],
    ['data: {"a":1} \n\n', '{"a":1} '],
    [': comment\n\n', null],
    ['event: error\ndata: 1\n\n', null],
    ['data: 1\ndata: 2\n\n', null],
    ['data: 1\nid: 2\n\n', null],
    ['\ndata: 1\n\n', null],
    ['\n\n', null],
  ])('A frame is a single line of data, or not: %j.', (frame, payload) => {
    expect(dataLine(Buffer.from(frame))?.toString() ?? null).toBe(payload)
  })

  test('A frame of any form has an event and joined data.', () => {
    expect(parseFrame(Buffer.from(': c\r\nevent: error\r\ndata: {\r\ndata:}\r\n\r\n'))).toEqual({
      event: 'error',
      data: '{\n}',
    })
    expect(parseFrame(Buffer.from(': c\n\n'))).toEqual({ event: null, data: '' })
  })

  test.each([
    ['data: 1\n\n', true],
    ['data:12\n\n', false],
    ['data: 1\r\n\r\n', false],
    ['data: 1\n\r\n', false],
  ])('A frame is canonical or not: %j.', (frame, canonical) => {
    expect(isCanonical(Buffer.from(frame))).toBe(canonical)
  })
})
