/** Recordings that say they are short: what is heard is billed, $0.36 an hour. */
import {
  aac,
  extending,
  fragment,
  mp3,
  mp4,
  riff,
  riffChunk,
  track,
  wav,
  wavFormat,
} from '../../providers/media/build.ts'
import { jsonAnswer, textAnswer } from '../../support/upstream-answers.ts'
import { field, file, form } from '../form.ts'
import { between, covered, exact, type Promised, type Provider, refused, type Trick } from '../trick.ts'

const PATH = '/v1/audio/transcriptions'
/** Nano-dollars a second. */
const SECOND = 100_000n

/** Hears so many seconds and says so, where its answer can. */
const hears =
  (seconds: number): Provider =>
  ({ body }) => {
    const bill = { input: 0, output: 0, fees: BigInt(seconds) * SECOND }
    const isText = body.includes('name="response_format"\r\n\r\ntext')
    const usage = { type: 'duration', seconds }
    return { script: isText ? textAnswer(200, 'Hello.') : jsonAnswer({ text: 'Hello.', usage }), bill }
  }

const heard = (name: string, bytes: Buffer, seconds: number, promise: Promised = exact): Trick => ({
  name,
  by: 'caller',
  act: form(PATH, [field('model', 'whisper'), file('file', bytes)]),
  provider: hears(seconds),
  promise,
})

/** In an answer that states nothing: what was measured here is charged. */
const silent = (name: string, bytes: Buffer, seconds: number): Trick => ({
  ...heard(`${name}, answered by a text`, bytes, seconds, covered),
  act: form(PATH, [field('model', 'whisper'), field('response_format', 'text'), file('file', bytes)]),
})

/** 4,410 frames of AAC: 102.4 seconds, whatever the tables say. */
const SHORT_TABLES = mp4(1, { tracks: [track(1, { frames: 4_410, codec: aac(4) })] })
const SHORT_FRAGMENTS = mp4(0, {
  tracks: [extending([1, 1]), track(0, { id: 1, frames: 0, codec: aac(4) })],
  after: Array(10).fill(fragment({ count: 441, length: 1, at: 0 })),
})
const unbounded = (name: string, bytes: Buffer): Trick => ({
  ...heard(name, bytes, 3_600, refused('unbounded_input')),
})

const LENGTHS: readonly Trick[] = [
  heard('an MP4 whose tables say a second', SHORT_TABLES, 103),
  silent('an MP4 whose tables say a second', SHORT_TABLES, 102),
  heard('fragments that take hardly any time', SHORT_FRAGMENTS, 103),
  silent('fragments that take hardly any time', SHORT_FRAGMENTS, 102),
  heard('a wav whose head says no length', wav(60, { length: 0 }), 60),
  heard('a wav whose bytes a second are a lie', wav(60), 60),
  unbounded('a wav with two formats', wav(60, { before: [wavFormat({ rate: 192_000 })] })),
  unbounded('a wav that is compressed', wav(60, { format: wavFormat({ format: 17 }) })),
  heard('an mp3 whose head says one frame', mp3(2_297, { first: xing(1) }), 60),
  silent('an mp3 whose head says one frame', mp3(2_297, { first: xing(1) }), 60),
  unbounded('an MP4 with two tracks of one name', twins()),
  unbounded('an MP4 with a codec nobody knows', mp4(1, { tracks: [track(1, { frames: 9, codec: riff('qdm2', []) })] })),
  unbounded('two movies in one file', Buffer.concat([mp4(1), mp4(3_600)])),
]

function xing(frames: number) {
  const head = Buffer.alloc(44)
  head.write('Xing', 32, 'latin1')
  head.writeUInt32BE(1, 36)
  head.writeUInt32BE(frames, 40)
  return head
}

function twins(): Buffer {
  const tracks = [track(0, { id: 1 }), track(0, { id: 1 })]
  return mp4(1, { tracks: [extending([1, 1_000]), ...tracks], after: [fragment({ count: 3_600 })] })
}

const MONEY: readonly Trick[] = [
  {
    ...heard('an hour on money for a minute', wav(600), 600),
    credits: 9,
    promise: refused('insufficient_credits', 402),
  },
  {
    ...heard('a cheap model by a second name in the form', wav(60), 60, refused('invalid_form')),
    act: form(PATH, [field('model', 'whisper'), field('model[]', 'hearing'), file('file', wav(60))]),
  },
  {
    ...heard('a recording by its address', wav(1), 60, refused('invalid_request')),
    act: form(PATH, [field('model', 'whisper'), field('url', 'https://x.test/a.mp3'), file('file', wav(1))]),
  },
  {
    name: 'a provider that hears a day in a minute',
    by: 'provider',
    act: form(PATH, [field('model', 'whisper'), file('file', wav(60))]),
    provider: () => ({
      script: jsonAnswer({ text: 'Hello.', usage: { type: 'duration', seconds: 86_400 } }),
      bill: { input: 0, output: 0, fees: 60n * SECOND },
    }),
    promise: { kind: 'disputed', least: 'true', most: 'held' },
  },
  {
    name: 'a provider that hears nothing in a minute',
    by: 'provider',
    act: form(PATH, [field('model', 'whisper'), file('file', wav(60))]),
    provider: () => ({
      script: jsonAnswer({ text: 'Hello.', usage: { type: 'duration', seconds: 0 } }),
      bill: { input: 0, output: 0, fees: 60n * SECOND },
    }),
    promise: covered,
  },
  {
    name: 'a day of silence in tokens that nobody stated',
    by: 'caller',
    act: form(PATH, [field('model', 'hearing'), field('response_format', 'text'), file('file', wav(60))]),
    provider: () => ({ script: textAnswer(200, ''), bill: null }),
    promise: between(0n, 'held'),
  },
]

export const RECORDINGS: readonly Trick[] = [
  ...LENGTHS,
  ...MONEY,
  heard('a wav between other pieces', riff('WAVE', [wavFormat(), riffChunk('data', Buffer.alloc(1_920_000))]), 60),
]
