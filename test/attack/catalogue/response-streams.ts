/** What a server does in a stream of a response that passes: how it says its text, how it ends, what it states. */
import { eventOf, message, responseEvents } from '../../support/response-answers.ts'
import { rawStream } from '../../support/upstream-answers.ts'
import { ask, frames, GREETING, says, TRUE, usageOf } from '../response-calls.ts'
import { between, disputed, exact, free, type Trick } from '../trick.ts'

const [CREATED = '', , ADDED = '', PART = ''] = responseEvents([GREETING], { usage: null })
const delta = (text: string, name = '"delta"') =>
  `event: response.output_text.delta\ndata: {"type":"response.output_text.delta","item_id":"msg_1","output_index":0,"content_index":0,${name}:${JSON.stringify(text)}}\n\n`
const place = (index: number) => ({ item_id: `msg_${index}`, output_index: index, content_index: 0 })

/** The model writes 4,000 words however its server says them, and the server never states what they cost. */
const unmetered = (name: string, frame: (text: string, index: number) => string): Trick => ({
  name: `a stream on little money ends with it: ${name}`,
  by: 'provider',
  act: ask({ stream: true, max_output_tokens: 16_000 }),
  provider: () => ({
    script: rawStream([
      CREATED,
      ADDED,
      PART,
      delta('Hello'),
      ...Array.from({ length: 400 }, (_, index) => frame(' word'.repeat(10), index + 1)),
    ]),
    bill: { input: 0, output: 0 },
  }),
  credits: 1,
  // What came in the piece that ended it is booked too; it is beyond the cap that was sent, so it is left to the operator.
  overdraft: 1_000_000n,
  promise: between(800_000n, 2_000_000n),
})

const STREAMS: readonly Trick[] = [
  unmetered('as it should', (text) => delta(text)),
  unmetered('under names that are written with escapes', (text) => delta(text, '"d\\u0065lta"')),
  unmetered('without a line for the event', (text) => delta(text).replace(/^event: .*\n/, '')),
  unmetered('in an object', (text) => eventOf('response.output_text.delta', { ...place(0), delta: { text } })),
  unmetered('as parts that end, one after the other', (text, index) =>
    eventOf('response.output_text.done', { ...place(index), text }),
  ),
  unmetered('as one part that ends again and again', (text) =>
    eventOf('response.output_text.done', { ...place(0), text }),
  ),
  unmetered('as items that end', (text, index) =>
    eventOf('response.output_item.done', { output_index: index, item: message(text, `msg_${index}`) }),
  ),
  unmetered('as one item that ends again and again', (text) =>
    eventOf('response.output_item.done', { output_index: 0, item: message(text) }),
  ),
  unmetered('as names of calls', (text, index) =>
    eventOf('response.output_item.added', {
      output_index: index,
      item: { type: 'function_call', id: 'f', name: text },
    }),
  ),
  unmetered('where the response is announced again', (text) =>
    eventOf('response.in_progress', { response: { id: 'resp_1', instructions: text, output: [] } }),
  ),
  unmetered('in events that nobody knows', (text) => eventOf('response.news', { output_index: 0, text })),
]

const SAID = responseEvents([GREETING], { usage: null }).slice(0, -1)

const ENDS: readonly Trick[] = [
  {
    name: 'a response that shows its text at its end only, and states no usage',
    by: 'provider',
    act: ask({ stream: true }),
    provider: frames(
      [
        CREATED,
        eventOf('response.completed', {
          response: { id: 'resp_1', status: 'completed', output: [message(' word'.repeat(50))] },
        }),
      ],
      { input: 9, output: 50 },
    ),
    promise: between(45_000n, 60_000n),
  },
  {
    name: 'usage of nothing beside what was said',
    by: 'provider',
    act: ask(),
    provider: says([message(' word'.repeat(50))], usageOf(0, 0), { input: 9, output: 50 }),
    promise: between(45_000n, 60_000n),
  },
  {
    name: 'usage under a name that is written with escapes',
    by: 'provider',
    act: ask({ stream: true }),
    provider: frames(
      responseEvents([GREETING], { usage: usageOf(10, 5) }).map((event) =>
        event.replace('"usage":{', '"us\\u0061ge":{'),
      ),
      TRUE,
    ),
    promise: exact,
  },
  {
    name: 'a statement of one token while it runs, and no end',
    by: 'provider',
    act: ask({ stream: true }),
    provider: frames(
      [
        ...responseEvents([message(' word'.repeat(50))], { usage: null }).slice(0, 40),
        eventOf('response.in_progress', { response: { id: 'resp_1', output: [], usage: usageOf(1, 1) } }),
      ],
      { input: 9, output: 36 },
    ),
    promise: between(30_000n, 60_000n),
  },
  {
    name: 'more than can be, at the end of a stream',
    by: 'provider',
    act: ask({ stream: true }),
    provider: says([GREETING], usageOf(10, 9_000_000), TRUE),
    promise: disputed,
  },
  {
    name: 'counts that are no counts',
    by: 'provider',
    act: ask(),
    provider: says([message(' word'.repeat(50))], { input_tokens: -4, output_tokens: 1.5 }, { input: 9, output: 50 }),
    promise: between(45_000n, 60_000n),
  },
  {
    name: 'a response that failed, said nothing, and states what it used',
    by: 'provider',
    act: ask({ stream: true }),
    provider: frames(
      [
        CREATED,
        eventOf('response.failed', {
          response: {
            id: 'resp_1',
            status: 'failed',
            error: { code: 'server_error', message: 'x' },
            usage: usageOf(10, 5),
          },
        }),
      ],
      TRUE,
    ),
    promise: exact,
  },
  {
    name: 'a stream that breaks off before it says anything costs nothing',
    by: 'provider',
    act: ask({ stream: true }),
    provider: frames([CREATED, ADDED, PART], null),
    promise: free,
  },
  {
    name: 'an end that is no end, before the usage',
    by: 'provider',
    act: ask({ stream: true }),
    provider: frames([...SAID, 'data: [DONE]\n\n'], { input: 9, output: 2 }),
    promise: between(1_000n, 8_000n),
  },
  {
    name: 'another response in the place of the one that was begun',
    by: 'provider',
    act: ask({ stream: true }),
    provider: frames([...SAID, CREATED.replace('resp_1', 'resp_2'), ...responseEvents([GREETING])], {
      input: 9,
      output: 2,
    }),
    promise: between(1_000n, 8_000n),
  },
]

export const RESPONSE_STREAMS: readonly Trick[] = [...STREAMS, ...ENDS]
