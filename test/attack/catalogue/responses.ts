/** The same again over POST /v1/responses: what a caller says in this dialect, what tools cost, and how much may be written. */
import { message, responds, responseEvents } from '../../support/response-answers.ts'
import type { Actor } from '../actor.ts'
import { greedy, openAiReader } from '../provider.ts'
import { ask, frames, GREETING, HELLO, honest, PATH, says, TRUE, usageOf } from '../response-calls.ts'
import { between, covered, exact, type Provider, refused, type Trick } from '../trick.ts'
import { RESPONSE_STREAMS } from './response-streams.ts'

type Json = Record<string, unknown>

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
  ...RESPONSE_STREAMS,
  ...TOOLS,
  ...CAPS,
  ...INPUT,
]
