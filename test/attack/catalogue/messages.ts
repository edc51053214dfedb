/** The same again over POST /v1/messages: what a caller says in Anthropic's dialect, and what a server does in a stream that passes. */
import { errorAnswer, jsonAnswer, rawStream } from '../../support/upstream-answers.ts'
import type { Actor } from '../actor.ts'
import type { Bill } from '../bill.ts'
import { greedy, honest, INPUT, openAiReader, says, usageOf } from '../provider.ts'
import { covered, exact, free, type Provider, refused, type Trick } from '../trick.ts'

type Json = Record<string, unknown>

const PATH = '/v1/messages'
const HELLO = { model: 'claude', max_tokens: 100, messages: [{ role: 'user', content: 'Say hello' }] }
const CLAUDE: Bill = { model: 'claude-haiku-4-5', input: 10, output: 5 }
const MESSAGE = { id: 'm', type: 'message', role: 'assistant', model: 'claude-haiku-4-5', stop_reason: 'end_turn' }

const ask = (more: Json = {}) => ({ path: PATH, text: JSON.stringify({ ...HELLO, ...more }) })

/** Says hello, and states what it bills. */
const claude: Provider = () => ({
  script: jsonAnswer({
    ...MESSAGE,
    content: [{ type: 'text', text: 'Hello world' }],
    usage: { input_tokens: 10, output_tokens: 5 },
  }),
  bill: CLAUDE,
})

const isRefused = (name: string, more: Json, code = 'invalid_request'): Trick => ({
  name: `is refused: ${name}`,
  by: 'caller',
  act: ask(more),
  provider: claude,
  promise: refused(code),
})

const REFUSED: readonly Trick[] = [
  isRefused('a cap in another case', { Max_Tokens: 5 }),
  isRefused('a cap with a Kelvin sign', { 'max_to\u212aens': 5 }),
  isRefused('the content of a message in another case', { messages: [{ role: 'user', content: 'a', Content: 'b' }] }),
  isRefused('a member that nobody knows, behind an address of its own', { secret_mode: 1 }, 'unsupported_parameter'),
  isRefused('a thread whose size nobody knows', { thread: { type: 'new' } }, 'unsupported_parameter'),
  isRefused('a speed that costs six times as much', { speed: 'fast' }, 'unsupported_parameter'),
  isRefused('an account of somebody else', { workspace_id: 'w' }, 'unsupported_parameter'),
  isRefused(
    'a tool of the provider nobody has priced',
    { tools: [{ type: 'browser_toolset_20260801' }] },
    'unbounded_tool',
  ),
  isRefused(
    'a compaction nobody sees',
    { context_management: { edits: [{ type: 'compact_20260112' }] } },
    'unbounded_tool',
  ),
  isRefused('a cap that is no number', { max_tokens: '100' }),
  isRefused('a cap below nothing', { max_tokens: -1 }),
  {
    ...isRefused('a cap twice', {}),
    act: { path: PATH, text: `${JSON.stringify(HELLO).slice(0, -1)},"max_tokens":9000}` },
  },
]

const event = (type: string, data: string) => `event: ${type}\ndata: ${data}\n\n`
const START = event(
  'message_start',
  JSON.stringify({
    type: 'message_start',
    message: { ...MESSAGE, content: [], usage: { input_tokens: 10, output_tokens: 1 } },
  }),
)
const OPEN = event(
  'content_block_start',
  '{"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}',
)
const delta = (text: string) =>
  event(
    'content_block_delta',
    `{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":${JSON.stringify(text)}}}`,
  )

/** Claude writes 4,000 words however it writes them, and never states what they cost. */
const unmetered = (name: string, frame: (text: string) => string): Trick => ({
  name: `a stream on little money ends with it: ${name}`,
  by: 'provider',
  act: ask({ stream: true, max_tokens: 60_000 }),
  provider: () => ({
    script: rawStream([START, OPEN, delta('Hello'), ...Array.from({ length: 400 }, () => frame(' word'.repeat(10)))]),
    bill: { model: 'claude-haiku-4-5', input: 0, output: 0 },
  }),
  credits: 9,
  // What came in the piece that ended it is booked too; it is beyond the cap that was sent, so it is left to the operator.
  overdraft: 9_000_000n,
  promise: { kind: 'disputed', least: 7_000_000n, most: 18_000_000n },
})

const STREAMS: readonly Trick[] = [
  unmetered('as it should', delta),
  unmetered('under names that are written with escapes', (text) => delta(text).replace('"delta"', '"d\\u0065lta"')),
  unmetered('in a block beside an empty delta', (text) =>
    event(
      'content_block_delta',
      `{"type":"content_block_start","index":0,"delta":{},"content_block":{"type":"text","text":"${text}"}}`,
    ),
  ),
  unmetered('beside a signature', (text) => delta(text).replace('"text_delta"', '"text_delta","x":"signature_delta"')),
  unmetered('in events that nobody knows', (text) =>
    event('content_block_news', `{"type":"news","delta":{"text":"${text}"}}`),
  ),
]

const WORDS: Trick = {
  name: 'a server that says of a word of the caller’s what it would say of our question is asked for usage all the same',
  by: 'caller',
  act: async ({ call }: Actor) => {
    const messages = [{ role: 'user', content: 'stream_options' }]
    await call(ask({ model: 'little', stream: true, messages }))
    await call({ body: { model: 'little', stream: true, max_tokens: 5 } })
  },
  provider: (request, call) => {
    const asks = (request.json?.stream_options as Json | undefined)?.include_usage === true
    if (call === 1) return { script: errorAnswer(400, { message: 'I do not know stream_options' }), bill: null }
    // The same call may be tried once more without the question; others are asked.
    if (!asks && !request.body.includes('"content":"stream_options"')) throw new Error('usage was not asked for')
    return says(usageOf(INPUT, 2), { input: INPUT, output: 2 })(request, call)
  },
  promise: exact,
}

export const MESSAGES: readonly Trick[] = [
  { name: 'an honest call', by: 'caller', act: ask(), provider: claude, promise: exact },
  ...REFUSED,
  ...STREAMS,
  WORDS,
  {
    name: 'counting is free, and asks nobody',
    by: 'caller',
    act: ({ call }: Actor) => call({ ...ask(), path: `${PATH}/count_tokens` }).then(() => {}),
    provider: () => {
      throw new Error('the provider was called')
    },
    credits: 0,
    promise: free,
  },
  {
    name: 'a cap on another provider’s model, which writes as much as it may',
    by: 'caller',
    act: ask({ model: 'gpt-4o-mini', max_tokens: 5 }),
    provider: greedy(openAiReader),
    promise: covered,
  },
  {
    name: 'an hour of cache at the price of five minutes',
    by: 'caller',
    act: ask({
      messages: [
        {
          role: 'user',
          content: [{ type: 'text', text: 'a'.repeat(8_000), cache_control: { type: 'ephemeral', ttl: '1h' } }],
        },
      ],
    }),
    provider: () => ({
      script: jsonAnswer({
        ...MESSAGE,
        content: [{ type: 'text', text: 'Hello world' }],
        usage: {
          input_tokens: 0,
          cache_creation_input_tokens: 2_000,
          cache_creation: { ephemeral_1h_input_tokens: 2_000, ephemeral_5m_input_tokens: 0 },
          output_tokens: 5,
        },
      }),
      bill: { model: 'claude-haiku-4-5', input: 0, written1h: 2_000, output: 5 },
    }),
    promise: covered,
  },
  {
    name: 'a quote for a chat completion, sent with the same body as a message',
    by: 'caller',
    async act({ call, post }: Actor) {
      const body = { ...HELLO, model: 'gpt-4o-mini' }
      const quote = JSON.parse((await post('/v1/quotes', body)).body) as { quote_id: string }
      await call({ path: PATH, text: JSON.stringify(body), headers: { 'x-tollgate-quote': quote.quote_id } })
    },
    provider: honest({ input: INPUT, output: 2 }),
    promise: refused('quote_of_another_request'),
  },
]
