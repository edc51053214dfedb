/** The same again over POST /v1/responses: what a caller says in this dialect, and what a server does in a stream that passes. */
import { eventOf, message, responds, responseEvents } from '../../support/response-answers.ts'
import { rawStream } from '../../support/upstream-answers.ts'
import type { Actor } from '../actor.ts'
import type { Bill } from '../bill.ts'
import { greedy, openAiReader } from '../provider.ts'
import { type Ask, between, covered, disputed, exact, free, type Provider, refused, type Trick } from '../trick.ts'

type Json = Record<string, unknown>

const PATH = '/v1/responses'
const HELLO = { model: 'answering', max_output_tokens: 100, input: 'Say hello' }

const ask = (more: Json = {}): Ask => ({ path: PATH, text: JSON.stringify({ ...HELLO, ...more }) })

const usageOf = (input: number, output: number, reasoning = 0): Json => ({
  input_tokens: input,
  input_tokens_details: { cached_tokens: 0 },
  output_tokens: output,
  output_tokens_details: { reasoning_tokens: reasoning },
  total_tokens: input + output,
})
const TRUE: Bill = { input: 10, output: 5 }
const GREETING = message('Hello world')

/** Says these items, states this, bills that. */
const says =
  (output: readonly Json[], usage: Json | null, bill: Bill | null, more: Json = {}): Provider =>
  async (request) => {
    const model = bill?.model ?? 'gpt-4o-mini'
    return { script: await responds(output, { usage, model, more })(request), bill }
  }
const honest = says([GREETING], usageOf(10, 5), TRUE)

const isRefused = (name: string, more: Json, code = 'invalid_request', status = 400): Trick => ({
  name: `is refused: ${name}`,
  by: 'caller',
  act: ask(more),
  provider: honest,
  promise: refused(code, status),
})

const REFUSED: readonly Trick[] = [
  isRefused('a cap in another case', { Max_Output_Tokens: 5 }),
  isRefused('a cap with a Kelvin sign', { 'max_output_to\u212aens': 5 }),
  isRefused('a cap that is no number', { max_output_tokens: '100' }),
  isRefused('a cap of nothing', { max_output_tokens: 0 }),
  isRefused('uses of tools that are no number', { max_tool_calls: '1' }),
  isRefused('the content of an item in another case', { input: [{ role: 'user', content: 'a', Content: 'b' }] }),
  isRefused('a list of lists in an item', { input: [{ role: 'user', content: [[{ type: 'input_image' }]] }] }),
  isRefused('tools that are no list', { tools: { type: 'code_interpreter' } }),
  isRefused('a tool without a type', { tools: [{ name: 'web_search' }] }),
  isRefused('a member that nobody knows, behind an address of its own', { secret_mode: 1 }, 'unsupported_parameter'),
  isRefused('the cap of chat completions', { max_tokens: 5 }, 'unsupported_parameter'),
  isRefused('a tier whose price nobody knows', { service_tier: 'ultrafast' }, 'unsupported_parameter'),
  isRefused('several who think at once', { reasoning: { mode: 'pro' } }, 'unsupported_parameter'),
  isRefused('what is answered later', { background: true }, 'unsupported_parameter'),
  isRefused('a conversation that is kept elsewhere', { conversation: 'conv_1' }, 'unsupported_parameter'),
  isRefused('a response that somebody else may have got', { previous_response_id: 'resp_1' }, 'unsupported_parameter'),
  isRefused('a template whose size nobody knows', { prompt: { id: 'pmpt_1' } }, 'unsupported_parameter'),
  isRefused('an item by its id', { input: [{ type: 'item_reference', id: 'msg_1' }] }, 'unsupported_parameter'),
  isRefused('an item by its id, without saying so', { input: [{ id: 'msg_1' }] }, 'unsupported_parameter'),
  isRefused('code that the provider runs', { tools: [{ type: 'code_interpreter', container: {} }] }, 'unknown_price'),
  isRefused(
    'a server of tools',
    { tools: [{ type: 'mcp', server_label: 'x', server_url: 'https://x' }] },
    'unbounded_tool',
  ),
  isRefused(
    'a server of tools in an item',
    { input: [{ type: 'additional_tools', role: 'developer', tools: [{ type: 'mcp', server_label: 'x' }] }] },
    'unbounded_tool',
  ),
  isRefused(
    'a server of tools in a namespace',
    { tools: [{ type: 'namespace', name: 'n', description: 'd', tools: [{ type: 'mcp' }] }] },
    'unbounded_tool',
  ),
  isRefused(
    'a shell in a container of the provider',
    { tools: [{ type: 'shell', environment: {} }] },
    'unbounded_tool',
  ),
  isRefused('a search at the price of another one', { tools: [{ type: 'web_search_preview' }] }, 'unknown_price'),
  isRefused('a compaction nobody sees', { context_management: [{ type: 'compaction' }] }, 'unbounded_tool'),
  isRefused('a compaction in an item', { input: [{ type: 'compaction_trigger' }] }, 'unbounded_tool'),
  {
    ...isRefused('a thousand searches on money for a hundred', {}, 'insufficient_credits', 402),
    act: ask({ tools: [{ type: 'web_search' }], max_tool_calls: 1_000 }),
    credits: 1_500,
  },
  {
    ...isRefused('a cap twice', {}),
    act: { path: PATH, text: `${JSON.stringify(HELLO).slice(0, -1)},"max_output_tokens":9000}` },
  },
]

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

/** Hello world, in these frames. */
const frames =
  (all: readonly string[], bill: Bill | null): Provider =>
  () => ({ script: rawStream(all), bill })
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

const search = (index: number) => ({
  id: `ws_${index}`,
  type: 'web_search_call',
  status: 'completed',
  action: { type: 'search', query: 'hello' },
})
const searches = (count: number) => Array.from({ length: count }, (_, index) => search(index))
const SEARCHING = { tools: [{ type: 'web_search' }] }
const FEES = 10_000_000n

const TOOLS: readonly Trick[] = [
  {
    name: 'as many searches as are held for',
    by: 'caller',
    act: ask(SEARCHING),
    provider: says([...searches(5), GREETING], usageOf(10, 5), { ...TRUE, fees: 5n * FEES }),
    promise: exact,
  },
  {
    name: 'a search that was only possible costs nothing',
    by: 'caller',
    act: ask(SEARCHING),
    provider: says([GREETING], usageOf(10, 5), TRUE),
    promise: exact,
  },
  {
    name: 'searches that were made before the stream broke off',
    by: 'provider',
    act: ask({ ...SEARCHING, stream: true }),
    provider: frames(responseEvents([...searches(2), message(' word'.repeat(50))], { usage: null }).slice(0, -1), {
      input: 9,
      output: 50,
      fees: 2n * FEES,
    }),
    promise: between(30_040_000n, 30_060_000n),
  },
  {
    name: 'more searches than were allowed',
    by: 'provider',
    act: ask(SEARCHING),
    provider: says([...searches(40), GREETING], usageOf(10, 5), { ...TRUE, fees: 40n * FEES }),
    promise: { kind: 'disputed', least: 0n, most: 'true' },
  },
]

/** Writes as much as it may, as it reads the request. */
const writesAll =
  (model: 'gpt-4o-mini' | 'o4-mini', limit: number): Provider =>
  async (request) => {
    const cap = Number(request.json?.max_output_tokens ?? limit)
    const output = Math.min(cap, limit)
    const options = { usage: usageOf(9, output, model === 'o4-mini' ? output - 3 : 0), model }
    return { script: await responds([GREETING], options)(request), bill: { model, input: 9, output } }
  }

const CAPS: readonly Trick[] = [
  {
    name: 'a cap that is kept',
    by: 'caller',
    act: ask(),
    provider: writesAll('gpt-4o-mini', 16_384),
    promise: covered,
  },
  {
    name: 'no cap at all, and a server that writes as much as it can',
    by: 'caller',
    act: ask({ max_output_tokens: null }),
    provider: writesAll('gpt-4o-mini', 16_384),
    promise: covered,
  },
  {
    name: 'thoughts that do not show, without a cap, on little money',
    by: 'caller',
    act: ask({ model: 'pondering', stream: true, max_output_tokens: null }),
    provider: writesAll('o4-mini', 100_000),
    credits: 10,
    promise: covered,
  },
  {
    name: 'a cap on another provider’s model, which writes as much as it may',
    by: 'caller',
    act: ask({ model: 'gpt-4o-mini', max_output_tokens: 5 }),
    provider: greedy(openAiReader),
    promise: covered,
  },
]

const INPUT: readonly Trick[] = [
  {
    name: 'an image that says it is a text',
    by: 'caller',
    act: ask({
      input: [{ role: 'user', content: [{ type: 'input_text', text: 'a', image_url: 'https://example.com/a.png' }] }],
    }),
    provider: says([GREETING], usageOf(2_833 + 8 * 5_667 + 10, 5), { input: 2_833 + 8 * 5_667 + 10, output: 5 }),
    promise: covered,
  },
  {
    name: 'a thought that nobody can read, as long as it is',
    by: 'caller',
    act: ask({ input: [{ type: 'reasoning', id: 'r', summary: [], encrypted_content: 'gAAAA'.repeat(4_000) }] }),
    provider: says([GREETING], usageOf(16_000, 5), { input: 16_000, output: 5 }),
    promise: covered,
  },
  {
    name: 'a result of a tool that is an image',
    by: 'caller',
    act: ask({
      input: [
        {
          type: 'function_call_output',
          call_id: 'c',
          output: [{ type: 'input_image', image_url: 'https://example.com/a.png' }],
        },
      ],
    }),
    provider: says([GREETING], usageOf(2_833 + 8 * 5_667, 5), { input: 2_833 + 8 * 5_667, output: 5 }),
    promise: covered,
  },
  {
    name: 'a file by its id, as large as the model reads',
    by: 'caller',
    act: ask({ input: [{ role: 'user', content: [{ type: 'input_file', file_id: 'file-1' }] }] }),
    provider: says([GREETING], usageOf(120_000, 5), { input: 120_000, output: 5 }),
    promise: covered,
  },
  {
    name: 'a quote for a short text, sent with a long one',
    by: 'caller',
    async act({ call, post }: Actor) {
      const quote = JSON.parse((await post(`/v1/quotes?endpoint=${PATH}`, HELLO)).body) as { quote_id: string }
      await call({ ...ask({ input: 'a'.repeat(9_000) }), headers: { 'x-tollgate-quote': quote.quote_id } })
    },
    provider: honest,
    promise: refused('quote_of_another_request'),
  },
]

export const RESPONSES: readonly Trick[] = [
  { name: 'an honest call', by: 'caller', act: ask(), provider: honest, promise: exact },
  { name: 'an honest stream', by: 'caller', act: ask({ stream: true }), provider: honest, promise: exact },
  ...REFUSED,
  ...STREAMS,
  ...ENDS,
  ...TOOLS,
  ...CAPS,
  ...INPUT,
]
