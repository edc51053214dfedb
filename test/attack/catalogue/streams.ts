/** Leaving, and money that runs out, at every moment of a stream or a burst. */
import { chatAnswer } from '../../support/upstream-answers.ts'
import {
  byteInput,
  chunk,
  DONE,
  FINISH,
  greedy,
  honest,
  INPUT,
  inTurn,
  openAiReader,
  ROLE,
  streams,
  streamsThenWaits,
  usageFrame,
  usageOf,
  words,
} from '../provider.ts'
import { between, covered, exact, free, type Promised, type Trick } from '../trick.ts'

type Json = Record<string, unknown>

/** The caller leaves after frame `at` of a stream of one token a frame. */
function left(name: string, frames: readonly string[], at: number, output: number, promise: Promised = exact): Trick {
  return {
    name: `leaves ${name}`,
    by: 'caller',
    act: { body: { stream: true }, leaveAfter: at },
    provider: streamsThenWaits(frames.slice(0, at), { input: INPUT, output }),
    promise,
  }
}

const of = (make: (word: string) => Json) => [ROLE, ...words(8).map((word) => chunk(make(word)))]
const texts = of((content) => ({ content }))
const whole = [...texts, FINISH, usageFrame(usageOf(INPUT, 8)), DONE]
const called = (word: string): Json => ({ tool_calls: [{ index: 0, function: { arguments: word } }] })

const LEFT: readonly Trick[] = [
  ...[2, 3, 5, 9].map((at) => left(`after word ${at - 1}`, whole, at, at - 1)),
  left('right before the usage', whole, 10, 8),
  left(
    'among thoughts',
    of((reasoning) => ({ reasoning })),
    5,
    4,
  ),
  left(
    'among thoughts under another name',
    of((reasoning_content) => ({ reasoning_content })),
    5,
    4,
  ),
  left(
    'among thoughts nobody knows',
    of((thinking) => ({ thinking })),
    5,
    4,
  ),
  left('among the arguments of a call', of(called), 5, 4),
  left(
    'among what is spoken',
    of((transcript) => ({ audio: { transcript } })),
    5,
    4,
  ),
  left(
    'among refusals',
    of((refusal) => ({ refusal })),
    5,
    4,
  ),
  left(
    'among details of reasoning',
    of((text) => ({ reasoning_details: [{ type: 'reasoning.text', text }] })),
    5,
    4,
  ),
  {
    name: 'leaves before anything came',
    by: 'caller',
    act: { body: { stream: true }, leaveAfter: 0 },
    provider: () => ({ script: 'silence', bill: { input: INPUT, output: 0 } }),
    promise: exact,
  },
  {
    name: 'leaves after the usage it did not see',
    by: 'caller',
    act: { body: { stream: true }, leaveAfter: 9 },
    provider: streams(whole, { input: INPUT, output: 8 }),
    promise: exact,
  },
  {
    name: 'leaves while a whole answer is made',
    by: 'caller',
    act: { leaveAfter: 0 },
    provider: async () => {
      await new Promise((resolve) => setTimeout(resolve, 100))
      return { script: chatAnswer({ usage: usageOf(INPUT, 2) }), bill: { input: INPUT, output: 2 } }
    },
    promise: exact,
  },
  {
    name: 'leaves one of two choices at its first word',
    by: 'caller',
    act: { body: { stream: true, n: 2 }, leaveAfter: 3 },
    provider: streamsThenWaits(texts.slice(0, 3), { input: INPUT, output: 2 }),
    promise: exact,
  },
]

const BODY = 'x'.repeat(2_000)

/** A token a byte, and what a payer must not get below. */
const bytes = (name: string, content: string): Trick => ({
  name: `a server that makes a token of every byte: ${name}`,
  by: 'caller',
  act: { body: { max_tokens: 5, messages: [{ role: 'user', content }] } },
  provider: greedy(openAiReader, { inputOf: byteInput }),
  promise: exact,
})

/** The whole request, as some server may put all of it before a model. */
const shapes = (name: string, body: Json): Trick => ({
  name: `a server that makes a token of every byte: ${name}`,
  by: 'caller',
  act: { body: { max_tokens: 5, ...body } },
  provider: greedy(openAiReader, { inputOf: byteInput }),
  promise: exact,
})

const many = <Value>(count: number, make: (index: number) => Value) => Array.from({ length: count }, (_, i) => make(i))
const tool = (index: number) => ({ type: 'function', function: { name: `f${index}`, description: '', parameters: {} } })

const INPUTS: readonly Trick[] = [
  shapes('2,000 empty parts', {
    messages: [{ role: 'user', content: many(2_000, () => ({ type: 'text', text: '' })) }],
  }),
  shapes('2,000 empty messages', { messages: many(2_000, () => ({ role: 'user', content: '' })) }),
  shapes('500 tools', { tools: many(500, tool) }),
  shapes('a schema', {
    response_format: { type: 'json_schema', json_schema: { name: 'n', schema: { enum: many(3_000, String) } } },
  }),
  shapes('metadata', { metadata: { note: 'x'.repeat(20_000) } }),
  shapes('who asks', { user: 'x'.repeat(20_000) }),
  shapes('biases', { logit_bias: Object.fromEntries(many(3_000, (index) => [index, 1])) }),
  bytes('one letter 20,000 times', 'a'.repeat(20_000)),
  bytes('spaces', ' '.repeat(20_000)),
  bytes('line ends', '\n'.repeat(20_000)),
  bytes('emoji', '👩‍👩‍👧‍👦'.repeat(800)),
  bytes('Chinese', '漢字'.repeat(3_000)),
  bytes('noise in base64', Buffer.from(Array.from({ length: 9_000 }, (_, i) => (i * 7_919) % 251)).toString('base64')),
  bytes('controls, escaped six times as long', '\u0001'.repeat(3_000)),
]

async function inParallel(count: number, call: () => Promise<unknown>): Promise<void> {
  await Promise.all(Array.from({ length: count }, call))
}

const MONEY: readonly Trick[] = [
  {
    name: '120 calls at once on money for 7, a token a byte',
    by: 'caller',
    act: ({ call }) =>
      inParallel(120, () => call({ body: { max_tokens: 5, messages: [{ role: 'user', content: BODY }] } })),
    provider: greedy(openAiReader, { inputOf: byteInput }),
    credits: 3.4,
    promise: exact,
  },
  {
    name: '40 streams at once on money for 3',
    by: 'caller',
    act: ({ call }) => inParallel(40, () => call({ body: { max_tokens: 500, stream: true } })),
    provider: greedy(),
    credits: 1.4,
    promise: exact,
  },
  {
    name: 'two streams with caps on money for one and a half',
    by: 'caller',
    act: ({ call }) => inParallel(2, () => call({ body: { max_tokens: 1_000, stream: true } })),
    provider: greedy(),
    credits: 1.35,
    promise: exact,
  },
  {
    name: 'an open stream on little money ends when that does',
    by: 'caller',
    act: { body: { stream: true, model: 'exact' } },
    provider: streams([ROLE, ...words(6_000).map((content) => chunk({ content })), FINISH, DONE], {
      model: 'exact',
      input: 0,
      output: 0,
    }),
    credits: 30,
    // What came in the piece that ended it is booked too.
    overdraft: 20_000_000n,
    // The server ignores the cap that was sent: stopped a little above it, and left to the operator.
    promise: { kind: 'disputed', least: 30_000_000n, most: 50_000_000n },
  },
  {
    name: 'an open stream that outgrows its first hold ends with its money',
    by: 'caller',
    act: { body: { stream: true, model: 'exact' } },
    provider: streams([ROLE, ...words(12_000).map((content) => chunk({ content })), FINISH, DONE], {
      model: 'exact',
      input: 0,
      output: 0,
    }),
    credits: 200,
    overdraft: 20_000_000n,
    promise: between(190_000_000n, 220_000_000n),
  },
  {
    name: 'the dearer one behind a cheap one that fails, on money for the cheap one',
    by: 'caller',
    act: { body: { model: 'stairs', max_tokens: 1_000 } },
    provider: inTurn(
      { script: { status: 500, frames: [] }, bill: null },
      {
        script: chatAnswer({ model: 'gpt-4o', usage: usageOf(INPUT, 1_000) }),
        bill: { model: 'gpt-4o', input: INPUT, output: 1_000 },
      },
    ),
    credits: 1,
    promise: free,
  },
  {
    name: 'the dearer one behind a cheap one that fails, on money enough',
    by: 'caller',
    act: { body: { model: 'stairs', max_tokens: 1_000 } },
    provider: inTurn(
      { script: { status: 500, frames: [] }, bill: null },
      {
        script: chatAnswer({ model: 'gpt-4o', usage: usageOf(INPUT, 1_000) }),
        bill: { model: 'gpt-4o', input: INPUT, output: 1_000 },
      },
    ),
    promise: covered,
  },
  {
    name: 'an open stream whose output shows in its usage alone, on money for a part of it',
    by: 'caller',
    act: { body: { stream: true } },
    provider: greedy(),
    credits: 6,
    // The most one such call is charged, as check-config prints it; held is what shows.
    overdraft: 9_000_000n,
    promise: exact,
  },
  {
    name: 'one call after another until nothing is left',
    by: 'caller',
    async act({ call }) {
      for (let i = 0; i < 12; i += 1) await call({ body: { max_tokens: 100 } })
    },
    provider: honest({ input: INPUT, output: 100 }),
    credits: 0.5,
    promise: exact,
  },
]

export const STREAMS: readonly Trick[] = [...LEFT, ...INPUTS, ...MONEY]
