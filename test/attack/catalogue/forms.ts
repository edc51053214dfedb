/** Ways of writing that some reader takes for something else: events of streams, names, ids, addresses, headers. */

import { rawStream } from '../../support/upstream-answers.ts'
import type { Bill } from '../bill.ts'
import {
  byteInput,
  chunk,
  DONE,
  FINISH,
  greedy,
  honest,
  INPUT,
  openAiReader,
  ROLE,
  usageFrame,
  usageOf,
  words,
} from '../provider.ts'
import { between, exact, free, type Promised, type Provider, refused, type Trick } from '../trick.ts'

type Json = Record<string, unknown>

const FIFTY = ' word'.repeat(50)
const BILL = { input: INPUT, output: 50 }
const frames = [ROLE, chunk({ content: FIFTY }), FINISH, DONE]

/** Fifty words and no usage: whoever reads the events otherwise counts none of them. */
const written = (name: string, write: (frame: string) => string, promise: Promised = exact): Trick => ({
  name: `fifty words in events ${name}`,
  by: 'provider',
  act: { body: { stream: true } },
  provider: () => ({ script: rawStream(frames.map(write)), bill: BILL }),
  promise,
})

const EVENTS: readonly Trick[] = [
  written('whose lines end as in Windows', (frame) => frame.replaceAll('\n', '\r\n')),
  // Read by nobody here, so nothing is passed on.
  written('whose lines end as on an old Mac', (frame) => frame.replaceAll('\n', '\r'), free),
  written('with a name', (frame) => `event: message\n${frame}`),
  written('with an id and a time to wait', (frame) => `id: 1\nretry: 10\n${frame}`),
  written('without a blank behind the colon', (frame) => frame.replace('data: ', 'data:')),
  written('between comments', (frame) => `: a comment\n\n${frame}: another\n\n`),
  written('behind a comment in the same event', (frame) => `: a comment\n${frame}`),
  written('in two lines of data', (frame) => frame.replace('"choices":', '\ndata: "choices":')),
  written('behind a byte order mark', (frame) => (frame === ROLE ? `\ufeff${frame}` : frame)),
  written('whose names are escaped', (frame) =>
    frame.replace('"delta"', '"d\\u0065lta"').replace('"choices"', '"ch\\u006fices"'),
  ),
  written('whose text is escaped', (frame) => frame.replaceAll(' word', '\\u0020w\\u006frd')),
]

/** 500 tokens that do not show, stated under a name no look at the bytes finds. */
const STATED: Trick = {
  name: 'hidden tokens in a usage whose name is escaped',
  by: 'provider',
  act: { body: { stream: true } },
  provider: () => {
    const usage = usageFrame(usageOf(INPUT, 550)).replace('"usage"', '"\\u0075sage"')
    return {
      script: rawStream([ROLE, chunk({ content: FIFTY }), FINISH, usage, DONE]),
      bill: { input: INPUT, output: 550 },
    }
  },
  promise: exact,
}

/** Text that no look at the bytes finds, on money for a part of it. */
const unseen = (name: string, write: (frame: string) => string): Trick => ({
  name: `an open stream on little money ends with it, in events ${name}`,
  by: 'provider',
  act: { body: { stream: true, model: 'exact' } },
  provider: () => {
    const pieces = [ROLE, ...words(8_000).map((content) => chunk({ content })), FINISH, DONE]
    return { script: rawStream(pieces.map(write)), bill: { model: 'exact', input: 0, output: 0 } as Bill }
  },
  credits: 200,
  overdraft: 20_000_000n,
  promise: between(150_000_000n, 220_000_000n),
})

const UNSEEN: readonly Trick[] = [
  unseen('whose names are escaped', (frame) =>
    frame.replace('"delta"', '"d\\u0065lta"').replace('"choices"', '"ch\\u006fices"'),
  ),
  unseen('with a name', (frame) => `event: message\n${frame}`),
  unseen('whose lines end as in Windows', (frame) => frame.replaceAll('\n', '\r\n')),
  unseen('as arguments of a call', (frame) =>
    frame.replace('{"content":" word"}', '{"tool_calls":[{"index":0,"function":{"arguments":" word"}}]}'),
  ),
  unseen('under a name nobody knows', (frame) => frame.replace('{"content":" word"}', '{"musings":" word"}')),
]

const LONG = 'x'.repeat(20_000)
const called = (id: string) => ({
  messages: [
    { role: 'user', content: 'Say hello' },
    {
      role: 'assistant',
      content: null,
      tool_calls: [{ id, type: 'function', function: { name: 'f', arguments: '{}' } }],
    },
    { role: 'tool', tool_call_id: id, content: 'ok' },
  ],
})

/** `_` in an id that carries something is escaped: whoever looks for the mark in the bytes does not find it. */
const idTrick = (name: string, mark: string, isEscaped: boolean): Trick => {
  const text = JSON.stringify({ model: 'gpt-4o-mini', max_tokens: 5, ...called(`call_1${mark}${LONG}`) })
  return {
    name: `an id that carries ${name}`,
    by: 'caller',
    act: { text: isEscaped ? text.replaceAll(mark, mark.replaceAll('_', '\\u005f')) : text },
    provider: greedy(openAiReader, { inputOf: byteInput }),
    // Enough for the call without them.
    credits: 0.5,
    promise: exact,
  }
}

const IDS: readonly Trick[] = ['__sig_', '__gsig_', '__gsigt_'].flatMap((mark) => [
  idTrick(`20,000 letters behind ${mark}`, mark, false),
  idTrick(`20,000 letters behind an escaped ${mark}`, mark, true),
])

/** Every byte may be a token, wherever it stands; there is money for half of that. */
const dense = (name: string, body: Json): Trick => ({
  name: `money for half of the bytes: ${name}`,
  by: 'caller',
  act: { body: { max_tokens: 5, ...body } },
  provider: greedy(openAiReader, { inputOf: byteInput }),
  credits: 2.2,
  promise: refused('insufficient_credits', 402),
})
const NOISE = Buffer.from(Array.from({ length: 15_000 }, (_, i) => (i * 7_919) % 251)).toString('base64')

const BYTES: readonly Trick[] = [
  dense('a schema', {
    response_format: { type: 'json_schema', json_schema: { name: 'n', schema: { description: NOISE } } },
  }),
  dense('the name of a member in a schema', {
    tools: [{ type: 'function', function: { name: 'f', parameters: { properties: { [NOISE]: {} } } } }],
  }),
  dense('an id', called(NOISE)),
  dense('the arguments of a call', {
    messages: [
      { role: 'user', content: 'x' },
      { role: 'assistant', tool_calls: [{ id: '1', type: 'function', function: { name: 'f', arguments: NOISE } }] },
    ],
  }),
  dense('a name', { messages: [{ role: 'user', name: NOISE, content: 'x' }] }),
  dense('thoughts of an earlier turn', {
    messages: [
      { role: 'assistant', content: 'x', reasoning_content: NOISE },
      { role: 'user', content: 'x' },
    ],
  }),
  dense('a text in a file that is not base64', {
    messages: [
      {
        role: 'user',
        content: [{ type: 'file', file: { filename: 'a.txt', file_data: `data:text/plain,${NOISE}` } }],
      },
    ],
  }),
  dense('a member of a message named as every object’s own', {
    model: 'everything',
    messages: [JSON.parse(`{"role":"user","content":"x","__proto__":{"content":"${NOISE}"}}`)],
  }),
]

const isRefused = (name: string, rest: string, code: string): Trick => ({
  name,
  by: 'caller',
  act: { text: `{"model":"gpt-4o-mini","messages":[{"role":"user","content":"Say hello"}],${rest}}` },
  provider: greedy(),
  promise: refused(code),
})

const NAMES: readonly Trick[] = [
  isRefused('a cap with a space of no width in its name', '"max_tokens\u200b":9000', 'invalid_request'),
  isRefused('a cap with a hyphen nobody sees', '"max\u00ad_tokens":9000', 'invalid_request'),
  isRefused('a cap with an accent', '"max_tokens\u0301":9000', 'unsupported_parameter'),
  isRefused('a cap in Cyrillic', '"m\u0430x_tokens":9000', 'unsupported_parameter'),
  isRefused('a cap turned around', '"\u202emax_tokens":9000', 'invalid_request'),
  isRefused('choices in mathematical letters', '"\ud835\udc5b":8', 'invalid_request'),
  ...[
    'gemini-2.5-flash/../gemini-2.5-pro',
    'gemini-2.5-flash:streamGenerateContent?x=',
    'gemini-2.5-flash%2f..%2fgemini-2.5-pro',
    'models/../gemini-2.5-pro',
    'tunedModels/x',
  ].map(
    (model): Trick => ({
      name: `a name that is an address: ${model}`,
      by: 'caller',
      act: { body: { model: `gem/${model}` } },
      provider: greedy(),
      promise: refused('unknown_price'),
    }),
  ),
]

/** Nothing of how a call is addressed goes along with it. */
const clean =
  (bill: Bill, options = {}): Provider =>
  (request, call) => {
    const { path, headers } = request
    if (path.includes('?')) throw new Error(`the caller's query went along: ${path}`)
    const stray = Object.keys(headers).filter((name) =>
      /^(?:anthropic-beta|openai-beta|x-goog|x-api-version|x-stainless|cookie|forwarded)/.test(name),
    )
    if (stray.length > 0) throw new Error(`the caller's headers went along: ${stray.join(', ')}`)
    return honest(bill, options)(request, call)
  }
const STRAY = {
  'anthropic-beta': 'context-1m-2025-08-07',
  'openai-beta': 'assistants=v2',
  'x-goog-user-project': 'other',
  'x-api-version': '1',
  cookie: 'a=b',
}

const ADDRESSED: readonly Trick[] = [
  {
    name: 'a cap and choices in the address',
    by: 'caller',
    act: { path: '/v1/chat/completions?max_tokens=9000&n=5&model=o1-pro&stream=true' },
    provider: clean({ input: INPUT, output: 2 }),
    promise: exact,
  },
  {
    name: 'wishes of other servers in the headers',
    by: 'caller',
    act: { headers: STRAY },
    provider: clean({ input: INPUT, output: 2 }),
    promise: exact,
  },
]

export const FORMS: readonly Trick[] = [...EVENTS, STATED, ...UNSEEN, ...IDS, ...BYTES, ...NAMES, ...ADDRESSED]
