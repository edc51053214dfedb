/** What was delivered, in whatever member and form, is paid for; what delivered nothing is not. */
import { gzipSync } from 'node:zlib'
import {
  type Answer,
  chatAnswer,
  chatStream,
  errorAnswer,
  jsonAnswer,
  rawStream,
  type Script,
  sse,
  textAnswer,
} from '../../support/upstream-answers.ts'
import {
  chunk,
  DONE,
  FINISH,
  INPUT,
  inTurn,
  ROLE,
  streams,
  usageFrame,
  usageOf,
  wholeAnswer,
  words,
} from '../provider.ts'
import { atMostTrue, between, exact, free, type Promised, type Trick } from '../trick.ts'

type Json = Record<string, unknown>

const FIFTY = ' word'.repeat(50)
const BILL = { input: INPUT, output: 50 }

/** Fifty words in a member, as a message and as a delta, without any usage. */
const said = (name: string, member: Json, promise: Promised = exact, bill = BILL): Trick[] => [
  {
    name: `fifty words as ${name}`,
    by: 'provider',
    act: {},
    provider: wholeAnswer({ content: null, ...member }, null, bill),
    promise,
  },
  {
    name: `fifty words as ${name}, streamed`,
    by: 'provider',
    act: { body: { stream: true } },
    provider: streams([ROLE, chunk(member), FINISH, DONE], bill),
    promise,
  },
]

const MEMBERS: readonly Trick[] = [
  ...said('content', { content: FIFTY }),
  ...said('a refusal', { refusal: FIFTY }),
  ...said('reasoning', { reasoning: FIFTY }),
  ...said('reasoning_content', { reasoning_content: FIFTY }),
  ...said('thoughts under a name nobody knows', { thinking: FIFTY }),
  ...said('parts of content', { content: [{ type: 'text', text: FIFTY }] }),
  ...said('what is spoken', { audio: { id: 'a', data: 'AAAA', transcript: FIFTY } }),
  ...said('details of reasoning', { reasoning_details: [{ type: 'reasoning.text', text: FIFTY }] }),
  ...said('the same thought under two names', { reasoning: FIFTY, reasoning_content: FIFTY }),
  ...said('the same thought in full and in details', {
    reasoning: FIFTY,
    reasoning_details: [{ type: 'reasoning.text', text: FIFTY }],
  }),
  ...said('a call', {
    tool_calls: [{ index: 0, id: '1', type: 'function', function: { name: '', arguments: FIFTY } }],
  }),
  ...said('a call of one’s own kind', {
    tool_calls: [{ index: 0, id: '1', type: 'custom', custom: { name: '', input: FIFTY } }],
  }),
  ...said('a call in the old way', { function_call: { name: '', arguments: FIFTY } }),
]

const place = (name: string, choice: Json, promise: Promised = exact): Trick => ({
  name,
  by: 'provider',
  act: { body: { stream: true } },
  provider: streams(
    [ROLE, sse({ id: 'c', model: 'gpt-4o-mini', choices: [{ index: 0, ...choice }] }), FINISH, DONE],
    BILL,
  ),
  promise,
})

const PLACES: readonly Trick[] = [
  place('fifty words beside the delta, in the oldest way', { text: FIFTY, delta: {} }),
  place('fifty words in a message where a delta belongs', { message: { content: FIFTY } }),
  place('fifty words in a choice without a number', { index: null, delta: { content: FIFTY } }),
  place('fifty words in choice 99', { index: 99, delta: { content: FIFTY } }),
  place('fifty words with their end', { delta: { content: FIFTY }, finish_reason: 'stop' }),
  {
    name: 'fifty words in each of five choices that nobody asked for',
    by: 'provider',
    act: {},
    provider: () => {
      const choices = [0, 1, 2, 3, 4].map((index) => ({
        index,
        message: { role: 'assistant', content: FIFTY },
        finish_reason: 'stop',
      }))
      return { script: jsonAnswer({ id: 'c', model: 'gpt-4o-mini', choices }), bill: { input: INPUT, output: 250 } }
    },
    promise: exact,
  },
  {
    name: 'a thousand frames of one letter, a token each',
    by: 'provider',
    act: { body: { stream: true } },
    provider: streams([ROLE, ...Array.from({ length: 1_000 }, () => chunk({ content: 'a' })), FINISH, DONE], {
      input: INPUT,
      output: 1_000,
    }),
    promise: atMostTrue,
  },
  {
    name: 'one frame of 20,000 words',
    by: 'provider',
    act: { body: { stream: true } },
    provider: streams([ROLE, chunk({ content: ' word'.repeat(20_000) }), FINISH, DONE], {
      input: INPUT,
      output: 20_000,
    }),
    // More than the model writes at most, and counted here.
    promise: { kind: 'disputed', least: 'true', most: 'true' },
  },
  {
    name: 'a thousand frames that say nothing',
    by: 'provider',
    act: { body: { stream: true } },
    provider: streams([ROLE, ...Array.from({ length: 1_000 }, () => chunk({ content: '' })), FINISH, DONE], null),
    promise: free,
  },
  {
    name: 'two choices, one without an end',
    by: 'caller',
    act: { body: { stream: true, n: 2 } },
    provider: streams(
      [
        ROLE,
        ...words(5).map((content) => chunk({ content })),
        ...words(5).map((content) =>
          sse({ id: 'c', model: 'gpt-4o-mini', choices: [{ index: 1, delta: { content } }] }),
        ),
        FINISH,
        DONE,
      ],
      { input: INPUT, output: 10 },
    ),
    promise: exact,
  },
]

/** The first answer, and after it, elsewhere, one that is well. */
const after = (name: string, script: Script, promise: Promised, bill: typeof BILL | null, stream: boolean): Trick => ({
  name: `${name} (stream: ${stream})`,
  by: 'provider',
  act: { body: { stream, model: 'twice' } },
  provider: inTurn(
    { script, bill },
    {
      script: stream ? chatStream({ usage: usageOf(INPUT, 2) }) : chatAnswer({ usage: usageOf(INPUT, 2) }),
      bill: { input: INPUT, output: 2 },
    },
  ),
  promise,
})

const cut = (frames: string[]): Answer => rawStream([...frames, 'x'], { cutAfter: Buffer.byteLength(frames.join('')) })
const paid = { error: { message: 'boom' }, choices: [], usage: usageOf(INPUT, 50) }
const packed = (answer: Answer): Answer => ({
  ...answer,
  headers: { ...answer.headers, 'content-encoding': 'gzip' },
  frames: [gzipSync(Buffer.from(answer.frames.map(String).join('')))],
})

const FAILURES: readonly Trick[] = [
  after('it breaks off after the role', cut([ROLE]), exact, null, true),
  after(
    'an error after the role',
    rawStream([ROLE, sse({ error: { message: 'boom', code: 500 } })]),
    exact,
    null,
    true,
  ),
  after('nothing but [DONE]', rawStream([DONE]), exact, null, true),
  after('an empty 200', textAnswer(200, ''), exact, null, true),
  after('an empty 200', textAnswer(200, ''), exact, null, false),
  after(
    'a page of HTML',
    textAnswer(200, '<html></html>', { headers: { 'content-type': 'text/html' } }),
    exact,
    null,
    false,
  ),
  after('a redirect', textAnswer(302, '', { headers: { location: 'http://127.0.0.1:9/' } }), exact, null, false),
  after('too many requests', errorAnswer(429, { message: 'later' }), exact, null, false),
  after('the request is wrong', errorAnswer(400, { message: 'no', type: 'invalid_request_error' }), free, null, false),
  after('an error that was paid for', rawStream([sse(paid)]), exact, BILL, true),
  after('an error that was paid for', jsonAnswer(paid), exact, BILL, false),
  after('an error of 500 that was paid for', jsonAnswer(paid, { status: 500 }), between(0n, 'true'), BILL, false),
  after('JSON where a stream was asked for', chatAnswer({ usage: usageOf(INPUT, 50) }), exact, BILL, true),
  after('a stream where JSON was asked for', chatStream({ usage: usageOf(INPUT, 50) }), exact, BILL, false),
  after(
    'a stream of nothing that was paid for',
    rawStream([ROLE, usageFrame(usageOf(INPUT, 50)), DONE]),
    exact,
    BILL,
    true,
  ),
  after(
    'no choices, and paid for',
    jsonAnswer({ id: 'c', choices: [], usage: usageOf(INPUT, 50) }),
    exact,
    BILL,
    false,
  ),
  after(
    'an error after fifty words',
    rawStream([ROLE, chunk({ content: FIFTY }), sse({ error: { message: 'boom' } })]),
    exact,
    BILL,
    true,
  ),
  after('it breaks off after fifty words', cut([ROLE, chunk({ content: FIFTY })]), exact, BILL, true),
  after(
    'it breaks off inside a frame',
    rawStream([ROLE, chunk({ content: FIFTY }), chunk({ content: FIFTY })], {
      cutAfter: Buffer.byteLength(ROLE + chunk({ content: FIFTY })) + 40,
    }),
    exact,
    BILL,
    true,
  ),
  after('status 201', chatAnswer({ status: 201, usage: usageOf(INPUT, 50) }), exact, BILL, false),
  after('status 202', chatStream({ status: 202, usage: usageOf(INPUT, 50) }), exact, BILL, true),
  after('packed though nobody asked', packed(chatAnswer({ usage: usageOf(INPUT, 50) })), exact, BILL, false),
  after('packed though nobody asked', packed(chatStream({ usage: usageOf(INPUT, 50) })), exact, BILL, true),
]

export const DELIVERY: readonly Trick[] = [...MEMBERS, ...PLACES, ...FAILURES]
