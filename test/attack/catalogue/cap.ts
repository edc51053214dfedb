/** Caps and choices: more output than was held for. */
import { greedy, honest, INPUT, openAiReader, readerOf, says, usageOf, words } from '../provider.ts'
import { between, covered, disputed, exact, refused, type Trick } from '../trick.ts'

type Body = Record<string, unknown>

const capped = (name: string, body: Body, provider = greedy()): Trick => ({
  name,
  by: 'caller',
  act: { body },
  provider,
  promise: covered,
})

const text = (rest: string) => `{"model":"gpt-4o-mini","messages":[{"role":"user","content":"Say hello"}]${rest}}`

const isNumber = (rest: string): Trick => ({
  name: `a number that servers read differently: ${rest.slice(1)}`,
  by: 'caller',
  act: { text: text(rest) },
  provider: greedy(),
  promise: refused('invalid_request'),
})

const NUMBERS = [
  ...[
    ',"n":1.5',
    ',"n":"2"',
    ',"n":1e400',
    ',"n":129',
    ',"n":0',
    ',"n":-1',
    ',"n":true',
    ',"n":[2]',
    ',"n":99999999999',
  ],
  ...[',"max_tokens":"9"', ',"max_tokens":-1', ',"max_tokens":0', ',"max_tokens":0.5', ',"max_tokens":1e400'],
  ...[',"max_tokens":2147483648', ',"max_tokens":[9]', ',"max_tokens":{"a":1}', ',"max_completion_tokens":false'],
  ...[',"stream":"true"', ',"stream":1', ',"stream_options":[]', ',"stream_options":"none"'],
]

const SAME_NUMBER = [
  ',"n":2.0',
  ',"n":2e0',
  ',"n":20e-1',
  ',"max_tokens":1e2',
  ',"max_tokens":100.0',
  ',"max_tokens":1E+2',
]

const BOTH = { max_tokens: 5, max_completion_tokens: 900 }
const READERS = [
  ['both caps, server takes the newer', openAiReader],
  ['both caps, server knows the older', readerOf('max_tokens')],
  ['both caps, server knows the newer', readerOf('max_completion_tokens')],
] as const

const STREAMED = [false, true]

export const CAP: readonly Trick[] = [
  ...NUMBERS.map(isNumber),
  ...SAME_NUMBER.map(
    (rest): Trick => ({
      name: `a number written oddly: ${rest.slice(1)}`,
      by: 'caller',
      act: { text: text(rest) },
      provider: greedy(),
      promise: covered,
    }),
  ),
  ...READERS.flatMap(([name, reader]) => [
    capped(name, BOTH, greedy(reader)),
    capped(`${name}, the other way`, { max_tokens: 900, max_completion_tokens: 5 }, greedy(reader)),
    capped(`${name}, one null`, { max_tokens: null, max_completion_tokens: 5 }, greedy(reader)),
    capped(`${name}, only the newer sent`, { max_completion_tokens: 5 }, greedy(reader)),
    capped(`${name}, only the older sent`, { max_tokens: 5 }, greedy(reader)),
  ]),
  capped('128 choices of one token', { n: 128, max_tokens: 1 }),
  capped('five choices, uncapped', { n: 5 }),
  capped('choices that the operator set', { model: 'chosen', max_tokens: 40 }),
  capped('choices that the operator set, null in the request', { model: 'chosen', n: null, max_tokens: 40 }),
  capped('choices that the operator set, one in the request', { model: 'chosen', n: 1, max_tokens: 40 }),
  capped('a cap that the operator set', { model: 'capped' }),
  capped('above the cap that the operator set', { model: 'capped', max_tokens: 4_000 }),
  capped('null for the cap that the operator set', { model: 'capped', max_tokens: null }),
  capped('more than the model writes', { max_tokens: 2_000_000_000 }),
  capped(
    'a prediction that is all wrong, beyond the cap',
    { max_tokens: 5, prediction: { type: 'content', content: ' word'.repeat(3_000) } },
    (request, call) => says(usageOf(INPUT, 3_005), { input: INPUT, output: 3_005 })(request, call),
  ),
  capped('a stop that never comes', { max_tokens: 300, stop: ['\u0000never', '', 'a'.repeat(10_000)] }),
  capped(
    'thoughts that a cap of the old name does not stop',
    { model: 'o4-mini', max_tokens: 50 },
    greedy(readerOf('max_completion_tokens'), { model: 'o4-mini', limit: 100_000 }),
  ),
  // The hold of a stream grows with it; this one was over before it could.
  { ...capped('usage is not wanted', { stream: true, stream_options: { include_usage: false } }), promise: exact },
  // The hold of a stream grows with it; this one was over before it could.
  { ...capped('usage is null', { stream: true, stream_options: null }), promise: exact },
  ...STREAMED.map(
    (stream): Trick => ({
      name: `a server that knows no cap writes 2,000 words for 10 (stream: ${stream})`,
      by: 'provider',
      act: { body: { max_tokens: 10, stream } },
      provider: says(usageOf(INPUT, 2_000), { input: INPUT, output: 2_000 }, { text: words(2_000) }),
      // A stream is stopped soon after the cap, and charged for what had passed; the rest is never written.
      promise: stream ? between(11_250n, 100_000n) : disputed,
    }),
  ),
  ...STREAMED.map(
    (stream): Trick => ({
      name: `money for a part of the output, greedy server (stream: ${stream})`,
      by: 'caller',
      act: { body: { max_tokens: 4_000, stream } },
      provider: greedy(),
      credits: 0.5,
      promise: covered,
    }),
  ),
  ...STREAMED.map(
    (stream): Trick => ({
      name: `money for nothing (stream: ${stream})`,
      by: 'caller',
      act: { body: { max_tokens: 4_000, stream } },
      provider: greedy(),
      credits: 0.001,
      promise: refused('insufficient_credits', 402),
    }),
  ),
  {
    name: 'one token of output, and money for just that',
    by: 'caller',
    act: { body: { max_tokens: 1 } },
    provider: greedy(),
    credits: 0.02,
    promise: exact,
  },
  {
    name: 'a cap of the operator’s, and a server that passes it',
    by: 'provider',
    act: { body: { model: 'capped' } },
    provider: honest({ input: INPUT, output: 51 }, { text: words(51) }),
    promise: { kind: 'disputed', least: 'true', most: 'either' },
  },
  {
    name: 'an answer that is shorter than its cap by much',
    by: 'caller',
    act: { body: { max_tokens: 16_000 } },
    provider: honest({ input: INPUT, output: 1 }, { text: ['Hi'] }),
    promise: between('true', 'true'),
  },
]
