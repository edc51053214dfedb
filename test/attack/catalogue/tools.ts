/** Tools the provider runs itself: fees and input that nothing in the request bounds. And caches that live longer. */
import { jsonAnswer, rawStream } from '../../support/upstream-answers.ts'
import { greedy, INPUT, says, usageOf } from '../provider.ts'
import { covered, exact, type Provider, refused, type Trick } from '../trick.ts'

type Json = Record<string, unknown>

/** What a search bills: a fee, and 8,000 tokens of what it found. */
const searches: Provider = says(usageOf(INPUT + 8_000, 5), { input: INPUT + 8_000, output: 5, fees: 10_000_000n })

const unbounded = (name: string, body: Json, code = 'unbounded_tool'): Trick => ({
  name,
  by: 'caller',
  act: { body },
  provider: searches,
  promise: refused(code),
})

const OPTIONS: readonly Trick[] = [true, [], '', 'high', 0, [{}]].map((options) => ({
  name: `a search asked for in another form: ${JSON.stringify(options)}`,
  by: 'caller',
  act: { body: { web_search_options: options, max_tokens: 5 } },
  provider: says(usageOf(INPUT, 5), { input: INPUT, output: 5, fees: 10_000_000n }),
  promise: refused('invalid_request'),
}))

/** Lists that are objects and objects that are lists: some server takes the one for the other. */
const FORMS: readonly Trick[] = (
  [
    ['tools in no list', { tools: { type: 'web_search' } }],
    ['a tool that is a word', { tools: ['web_search'] }],
    ['a tool whose type is a list', { tools: [{ type: ['web_search'] }] }],
    ['a search of xAI in a list', { model: 'grok', search_parameters: [{ mode: 'on' }] }],
    ['a search of xAI by a word', { model: 'grok', search_parameters: 'on' }],
    ['plugins in no list', { model: 'routed', plugins: { id: 'web' } }],
    ['a plugin that is a word', { model: 'routed', plugins: ['web'] }],
    ['other models in a word', { model: 'routed', models: 'openai/gpt-4o' }],
    ['speech by a word', { model: 'gpt-4o-mini', modalities: 'audio' }],
    ['speech in capitals', { model: 'gpt-4o-mini', modalities: ['Audio'] }],
  ] as const
).map(([name, body]) => ({
  name,
  by: 'caller',
  act: { body },
  provider: searches,
  promise: refused('invalid_request'),
}))

const TYPES: readonly Trick[] = ['web_search', 'web_search_preview', 'code_interpreter', 'file_search', 'mcp'].map(
  (type) => unbounded(`a tool that the server runs, by its type: ${type}`, { tools: [{ type }] }),
)

const claudeUsage = {
  input_tokens: 10,
  output_tokens: 5,
  cache_creation_input_tokens: 4_000,
  cache_creation: { ephemeral_5m_input_tokens: 0, ephemeral_1h_input_tokens: 4_000 },
}
const claude: Provider = ({ json }) => {
  const message = {
    id: 'm',
    type: 'message',
    role: 'assistant',
    model: 'claude-haiku-4-5',
    content: [{ type: 'text', text: 'Hello' }],
    stop_reason: 'end_turn',
    usage: claudeUsage,
  }
  const bill = { model: 'claude-haiku-4-5', input: 10, written1h: 4_000, output: 5 } as const
  if (json?.stream !== true) return { script: jsonAnswer(message), bill }
  const event = (type: string, members: Json) => `event: ${type}\ndata: ${JSON.stringify({ type, ...members })}\n\n`
  const frames = [
    event('message_start', { message: { ...message, content: [], stop_reason: null } }),
    event('content_block_start', { index: 0, content_block: { type: 'text', text: '' } }),
    event('content_block_delta', { index: 0, delta: { type: 'text_delta', text: 'Hello' } }),
    event('content_block_stop', { index: 0 }),
    event('message_delta', { delta: { stop_reason: 'end_turn' }, usage: { output_tokens: 5 } }),
    event('message_stop', {}),
  ]
  return { script: rawStream(frames), bill }
}

const cached = (ttl: unknown) => [
  { role: 'user', content: [{ type: 'text', text: 'word '.repeat(4_000), cache_control: { type: 'ephemeral', ttl } }] },
]

export const TOOLS: readonly Trick[] = [
  ...OPTIONS,
  ...FORMS,
  ...TYPES,
  unbounded('a plugin of the router', { model: 'routed', plugins: [{ id: 'web' }] }),
  unbounded('a search of Claude', {
    model: 'claude',
    tools: [{ type: 'web_search_20250305', name: 'web_search', max_uses: 1 }],
  }),
  unbounded('a live search', { model: 'grok', search_parameters: { mode: 'on', max_search_results: 1 } }),
  unbounded(
    'a search by the name of the model',
    { model: 'routed', models: ['openai/gpt-4o-mini:online'] },
    'unknown_price',
  ),
  {
    name: 'a dearer model in the list of those that may serve',
    by: 'caller',
    act: { body: { model: 'routed', models: ['openai/gpt-4o'], max_tokens: 100 } },
    provider: greedy(undefined, { model: 'gpt-4o', more: { cost: 0.001025 } }),
    promise: covered,
  },
  ...[false, true].map(
    (stream): Trick => ({
      name: `a cache that lives an hour (stream: ${stream})`,
      by: 'caller',
      act: { body: { model: 'claude', max_tokens: 5, stream, messages: cached('1h') } },
      provider: claude,
      promise: covered,
    }),
  ),
  {
    name: 'a cache that lives an hour, where a server takes what was not asked for',
    by: 'provider',
    act: { body: { model: 'claude', max_tokens: 5, messages: cached('5m') } },
    provider: claude,
    promise: exact,
  },
]
