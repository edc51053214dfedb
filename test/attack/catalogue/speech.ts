/** Speech for less: letters that count as none, a stream that is left, a provider that states another length. $0.015 a thousand letters. */
import { jsonAnswer, rawStream, sse, textAnswer } from '../../support/upstream-answers.ts'
import { covered, exact, type Promised, type Provider, refused, type Trick } from '../trick.ts'

type Json = Record<string, unknown>

const PATH = '/v1/audio/speech'
/** Nano-dollars. */
const LETTER = 15_000n

/** Speaks every letter of what reaches it, and bills Unicode's. */
const speaks: Provider = ({ json }) => ({
  script: { ...textAnswer(200, 'ID3sound'), headers: { 'content-type': 'audio/mpeg' } },
  bill: { input: 0, output: 0, fees: BigInt([...String(json?.input)].length) * LETTER },
})

const says = (name: string, body: Json, promise: Promised = exact): Trick => ({
  name,
  by: 'caller',
  act: { path: PATH, text: JSON.stringify({ model: 'tts', voice: 'alloy', input: 'Hello', ...body }) },
  provider: speaks,
  promise,
})
const written = (name: string, members: string, code: string): Trick => ({
  ...says(name, {}, refused(code)),
  act: { path: PATH, text: `{"model":"tts","voice":"alloy",${members}}` },
})

const LETTERS: readonly Trick[] = [
  says('a thousand faces', { input: '😀'.repeat(1_000) }),
  says('a thousand letters with an accent of their own', { input: 'e\u0301'.repeat(500) }),
  says('letters of no width', { input: '\u200b'.repeat(1_000) }),
  says('nothing but blanks', { input: ' '.repeat(1_000) }),
  written('half a letter', '"input":"\\ud83d"', 'invalid_request'),
  written('a text twice', '"input":"a","input":"b"', 'invalid_request'),
  written('a text twice, once escaped', '"input":"a","\\u0069nput":"b"', 'invalid_request'),
  written('a text in capitals', '"input":"a","Input":"b"', 'invalid_request'),
  says('texts in a list', { input: ['Hello', 'world'] }, refused('invalid_request')),
  says('a format named as every object’s own', { response_format: 'constructor' }, refused('invalid_request')),
  says('no text', { input: '' }, refused('invalid_request')),
  {
    ...says('a book on money for a page', { input: 'x'.repeat(4_000) }, refused('insufficient_credits', 402)),
    credits: 10,
  },
]

/** Twenty-one tokens for each of ten seconds: 48 kbit/s of wav would be more bytes than a trick needs, so it is mp3. */
const sound = Buffer.concat(
  Array.from({ length: 383 }, () => Buffer.concat([Buffer.from('fffb9000', 'hex'), Buffer.alloc(413)])),
)
const TOKENS = 210
const BILL = { model: 'gpt-4o-mini-tts' as const, input: 2, output: TOKENS }
const event = (type: string, more: Json) => sse({ type, ...more })
const streamed = (name: string, usage: Json | null, promise: Promised): Trick => ({
  name,
  by: 'provider',
  act: {
    path: PATH,
    text: JSON.stringify({
      model: 'mini-tts',
      voice: 'alloy',
      input: 'Hello there, how do you do?',
      stream_format: 'sse',
    }),
  },
  provider: () => ({
    script: rawStream([
      event('speech.audio.delta', { audio: sound.toString('base64') }),
      event('speech.audio.done', usage === null ? {} : { usage }),
    ]),
    bill: BILL,
  }),
  promise,
})
const usageOf = (output: number): Json => ({ input_tokens: 2, output_tokens: output, total_tokens: output + 2 })

const STREAMS: readonly Trick[] = [
  { ...says('a caller who leaves a speech', { input: 'x'.repeat(1_000) }), act: leaves() },
  streamed('a speech that is stated', usageOf(TOKENS), exact),
  streamed('a speech that states nothing', null, covered),
  streamed('a speech that is stated as none', { input_tokens: 0, output_tokens: 0, total_tokens: 0 }, covered),
  streamed('a speech of a million tokens', usageOf(1_000_000), { kind: 'disputed', least: 'true', most: 'either' }),
  {
    name: 'a speech that is an error',
    by: 'provider',
    act: { path: PATH, text: JSON.stringify({ model: 'tts', voice: 'alloy', input: 'Hello' }) },
    provider: () => ({ script: jsonAnswer({ error: { message: 'No.' } }, { status: 400 }), bill: null }),
    promise: { kind: 'charged', least: 0n, most: 0n },
  },
]

function leaves() {
  return { path: PATH, text: JSON.stringify({ model: 'tts', voice: 'alloy', input: 'x'.repeat(1_000) }), leaveAfter: 0 }
}

export const SPEECH: readonly Trick[] = [...LETTERS, ...STREAMS]
