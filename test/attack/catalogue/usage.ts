/** What a provider states it used, and what that must not do. */
import {
  chunk,
  DONE,
  FINISH,
  honest,
  INPUT,
  ROLE,
  says,
  streams,
  usageFrame,
  usageOf,
  wholeAnswer,
  words,
} from '../provider.ts'
import { atMostTrue, between, disputed, exact, type Promised, type Trick } from '../trick.ts'

type Json = Record<string, unknown>

/** "Hello world": 2 tokens. */
const BILL = { input: INPUT, output: 2 }

/** In both shapes of an answer. */
function states(name: string, usage: Json | null, promise: Promised, bill = BILL, body: Json = {}): Trick[] {
  return [false, true].map((stream) => ({
    name: `${name} (stream: ${stream})`,
    by: 'provider',
    act: { body: { ...body, stream } },
    provider: says(usage, bill),
    promise,
  }))
}

const COUNTS: readonly Trick[] = [
  ...states('no usage', null, exact),
  ...states('0 + 0 beside a text', usageOf(0, 0), exact),
  ...states('a negative count', usageOf(INPUT, -2), exact),
  ...states('half a token', usageOf(INPUT, 1.5), exact),
  ...states('a count in text', { prompt_tokens: '1', completion_tokens: '1' }, exact),
  ...states('1e18 tokens', usageOf(INPUT, 1e18), exact),
  ...states('no output at all in its usage', { prompt_tokens: 1 }, exact),
  ...states('only a total', { total_tokens: 1 }, exact),
  ...states('usage that is a list', [1, 2] as unknown as Json, exact),
  ...states('usage that is a text', 'much' as unknown as Json, exact),
  ...states('a total of a million', usageOf(INPUT, 2, { total_tokens: 1e6 }), exact),
  ...states(
    'more cached than there was',
    usageOf(INPUT, 2, { prompt_tokens_details: { cached_tokens: 1e6 } }),
    atMostTrue,
  ),
  ...states('a negative cache', usageOf(INPUT, 2, { prompt_tokens_details: { cached_tokens: -1e6 } }), exact),
  ...states(
    'more thoughts than output',
    usageOf(INPUT, 2, { completion_tokens_details: { reasoning_tokens: 1e6 } }),
    exact,
  ),
  ...states('negative thoughts', usageOf(INPUT, 2, { completion_tokens_details: { reasoning_tokens: -1e6 } }), exact),
  ...states(
    'thoughts outside the output, by the total',
    usageOf(INPUT, 2, { total_tokens: INPUT + 2 + 1e6, completion_tokens_details: { reasoning_tokens: 1e6 } }),
    disputed,
    BILL,
    { max_tokens: 100 },
  ),
  ...states('sound that nobody made', usageOf(INPUT, 2, { completion_tokens_details: { audio_tokens: 1e6 } }), exact),
  ...states('a billion of output', usageOf(INPUT, 1e9), disputed, BILL, { max_tokens: 100 }),
  ...states('a window of input for nine bytes', usageOf(128_000, 2), disputed, BILL, { max_tokens: 100 }),
  ...states(
    'a window that is all cached',
    usageOf(128_000, 2, { prompt_tokens_details: { cached_tokens: 128_000 } }),
    disputed,
    BILL,
    { max_tokens: 100 },
  ),
  ...states('one token above the cap', usageOf(INPUT, 101), disputed, BILL, { max_tokens: 100 }),
  ...states(
    'a billion, and the operator counts',
    usageOf(INPUT, 1e9),
    { kind: 'disputed', least: 'true', most: 'true' },
    BILL,
    { model: 'counted', max_tokens: 100 },
  ),
  ...states('all of the cap, and the operator counts', usageOf(INPUT, 100), exact, BILL, {
    model: 'counted',
    max_tokens: 100,
  }),
]

const streamed = (
  name: string,
  frames: readonly string[],
  promise: Promised,
  bill = { input: INPUT, output: 6 },
): Trick => ({
  name,
  by: 'provider',
  act: { body: { stream: true } },
  provider: streams(frames, bill),
  promise,
})

const six = words(6).map((content) => chunk({ content }))
const huge = usageOf(INPUT, 1_000_000)
const midway = [ROLE, ...six.slice(0, 5), chunk({ content: ' word' }, { usage: huge })]
/** Six words of five bytes, at most a token a byte. */
const PASSED = ((10n * 150n + 30n * 600n) * 3n) / 2n

const FRAMES: readonly Trick[] = [
  // With nothing said since, it is the last word of a stream that ended: a bill, and no possible one.
  streamed('a million in frame 6, and no other', [...midway, FINISH, DONE], disputed),
  streamed(
    'a million in frame 5, and no other',
    [...midway.slice(0, 5), midway[6] ?? '', six[5] ?? '', FINISH, DONE],
    between('true', PASSED),
  ),
  streamed('a million in frame 6, then it breaks off', midway, between('true', PASSED)),
  streamed('a million in frame 6, then the truth', [...midway, FINISH, usageFrame(usageOf(INPUT, 6)), DONE], exact),
  streamed(
    'a million before anything is said',
    [chunk({ role: 'assistant' }, { usage: huge }), ...six, FINISH, DONE],
    exact,
  ),
  streamed(
    'nothing in frame 6, and no other',
    [ROLE, ...six.slice(0, 5), chunk({ content: ' word' }, { usage: usageOf(0, 0) }), FINISH, DONE],
    exact,
  ),
  streamed(
    'usage that shrinks',
    [
      ROLE,
      ...six.map((frame, i) => frame.replace('}]}', `}],"usage":${JSON.stringify(usageOf(INPUT, 600 - i))}}`)),
      FINISH,
      usageFrame(usageOf(INPUT, 6)),
      DONE,
    ],
    exact,
  ),
  streamed(
    'two usages, the last one counts',
    [ROLE, ...six, FINISH, usageFrame(usageOf(INPUT, 5_000)), usageFrame(usageOf(INPUT, 6)), DONE],
    exact,
  ),
  streamed(
    'a text behind its usage',
    [ROLE, FINISH, usageFrame(usageOf(INPUT, 1)), ...six, DONE],
    between('true', 1_000_000n),
  ),
  streamed('usage behind [DONE]', [ROLE, ...six, FINISH, DONE, usageFrame(usageOf(INPUT, 1_000))], exact),
  streamed(
    'a text behind [DONE]',
    [ROLE, ...six, FINISH, DONE, ...words(500).map((content) => chunk({ content }))],
    exact,
  ),
  streamed('usage in a comment', [ROLE, ...six, `: ${usageFrame(huge)}`, FINISH, DONE], exact),
  streamed(
    'usage under an escaped name, which is the same name',
    [ROLE, ...six, FINISH, usageFrame(usageOf(INPUT, 6)).replace('"usage"', '"\\u0075sage"'), DONE],
    exact,
  ),
  streamed(
    'usage beside an error at the end',
    [
      ROLE,
      ...six,
      `data: ${JSON.stringify({ error: { message: 'boom' }, choices: [], usage: usageOf(INPUT, 6) })}\n\n`,
    ],
    exact,
  ),
  streamed(
    'an error of a million at the end',
    [ROLE, ...six, `data: ${JSON.stringify({ error: { message: 'boom' }, choices: [], usage: huge })}\n\n`],
    { kind: 'disputed', least: 'true', most: 'either' },
  ),
]

const WHOLE: readonly Trick[] = [
  {
    name: 'usage twice in one answer: the last, as every reader takes it',
    by: 'provider',
    act: {},
    provider: () => {
      const body = `{"id":"c","object":"chat.completion","model":"gpt-4o-mini","choices":[{"index":0,"message":{"role":"assistant","content":"Hello world"},"finish_reason":"stop"}],"usage":${JSON.stringify(usageOf(INPUT, 9_000))},"usage":${JSON.stringify(usageOf(INPUT, 2))}}`
      return { script: { headers: { 'content-type': 'application/json' }, frames: [body] }, bill: BILL }
    },
    promise: exact,
  },
  {
    name: 'calls alone, and no usage',
    by: 'provider',
    act: {},
    provider: wholeAnswer(
      {
        content: null,
        tool_calls: [{ id: '1', type: 'function', function: { name: 'weather', arguments: ' word'.repeat(50) } }],
      },
      null,
      { input: INPUT, output: 51 },
    ),
    promise: exact,
  },
  {
    name: 'a call in the old way, and no usage',
    by: 'provider',
    act: {},
    provider: wholeAnswer({ content: null, function_call: { name: 'weather', arguments: ' word'.repeat(50) } }, null, {
      input: INPUT,
      output: 51,
    }),
    promise: exact,
  },
  {
    name: 'a thousand words of thought, and no usage',
    by: 'provider',
    act: {},
    provider: wholeAnswer({ content: 'Hi', reasoning_content: ' word'.repeat(1_000) }, null, {
      input: INPUT,
      output: 1_001,
    }),
    promise: exact,
  },
  {
    name: 'every token with its twenty likeliest',
    by: 'caller',
    act: { body: { logprobs: true, top_logprobs: 20, max_tokens: 100 } },
    provider: honest(BILL),
    promise: exact,
  },
]

export const USAGE: readonly Trick[] = [...COUNTS, ...FRAMES, ...WHOLE]
