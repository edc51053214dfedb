/** What is stated is believed as far as the request makes it possible, and what is shown is what was booked. */
import { rawStream, sse } from '../../support/upstream-answers.ts'
import type { Actor, Seen } from '../actor.ts'
import type { Bill } from '../bill.ts'
import {
  chunk,
  DONE,
  FINISH,
  greedy,
  honest,
  INPUT,
  openAiReader,
  ROLE,
  says,
  streams,
  usageFrame,
  usageOf,
  wholeAnswer,
  words,
} from '../provider.ts'
import { between, disputed, exact, type Promised, type Provider, type Trick } from '../trick.ts'

type Json = Record<string, unknown>

const BILL = { input: INPUT, output: 2 }
const HEARD = { prompt_tokens_details: { audio_tokens: INPUT } }
const SPOKEN = { completion_tokens_details: { audio_tokens: 2 } }

const both = (name: string, body: Json, provider: Provider, promise: Promised): Trick[] =>
  [false, true].map((stream) => ({
    name: `${name} (stream: ${stream})`,
    by: 'provider',
    act: { body: { ...body, stream } },
    provider,
    promise,
  }))

const audio = (name: string, more: Json): Trick[] => {
  const bill = { model: 'gpt-audio-mini', ...BILL } as const
  return both(
    name,
    { model: 'audio', max_tokens: 5 },
    says(usageOf(INPUT, 2, more), bill, { model: 'gpt-audio-mini' }),
    disputed,
  )
}

/** Each frame names a model of its own, the last one with the usage. */
const naming = (names: readonly string[]): Provider =>
  streams(
    [
      ...names.map((model) => sse({ id: 'c', model, choices: [{ index: 0, delta: { content: ' word' } }] })),
      sse({ id: 'c', model: names.at(-1), choices: [{ index: 0, delta: {}, finish_reason: 'stop' }] }),
      sse({ id: 'c', model: names.at(-1), choices: [], usage: usageOf(INPUT, names.length) }),
      DONE,
    ],
    { input: INPUT, output: names.length },
  )

const POSSIBLE: readonly Trick[] = [
  ...both('the caps of three choices, to the token', { n: 3, max_tokens: 40 }, greedy(), exact),
  ...both(
    'a token above the caps of three choices',
    { n: 3, max_tokens: 40 },
    says(usageOf(INPUT, 121), { input: INPUT, output: 6 }),
    disputed,
  ),
  ...audio('sound that nobody sent, at seventeen times the price of text', HEARD),
  ...audio('speech that nobody asked for, at eight times the price of text', SPOKEN),
  ...both(
    'more input than its bytes, by the hidden prompts there may be',
    { max_tokens: 5 },
    (request, call) => {
      const input = request.body.length + 1_000
      return says(usageOf(input, 2), { input, output: 2 })(request, call)
    },
    exact,
  ),
  ...both(
    'uses of a tool that nobody offered',
    { model: 'routed', max_tokens: 5 },
    (request, call) => {
      const usage = usageOf(INPUT, 2, { server_tool_use: { web_search_requests: 1_000 } })
      return says(usage, BILL, { model: 'openai/gpt-4o-mini' })(request, call)
    },
    disputed,
  ),
  {
    name: 'the dearest model in the first frame, and the right one in the last',
    by: 'provider',
    act: { body: { stream: true, max_tokens: 5 } },
    provider: naming(['o1-pro', 'gpt-4o-mini', 'gpt-4o-mini']),
    promise: exact,
  },
  {
    name: 'a bill of 9,000 dollars in the middle, and its reader leaves',
    by: 'provider',
    act: { body: { model: 'routed', stream: true }, leaveAfter: 4 },
    provider: streams(
      [
        ROLE,
        ...words(3).map((content) => chunk({ content }, { usage: usageOf(INPUT, 3, { cost: 9_000 }) })),
        chunk({ content: ' word' }),
      ],
      { input: INPUT, output: 4 },
    ),
    promise: between('true', 20_000n),
  },
  ...[-5, 1.5, '9e9', [1], true].map(
    (ticks): Trick => ({
      name: `a bill of ${JSON.stringify(ticks)} ticks`,
      by: 'provider',
      act: { body: { model: 'grok', max_tokens: 100 } },
      provider: says(
        usageOf(INPUT, 2, { cost_in_usd_ticks: ticks }),
        { model: 'grok-3', ...BILL },
        { model: 'grok-3' },
      ),
      promise: exact,
    }),
  ),
]

/** Headers, the usage of the body or its frame: each says what the books say. */
function expectShown({ headers, body }: Seen, charged: bigint): void {
  const frames = body.split('\n\n').filter((frame) => frame.includes('"usage"'))
  const last = headers['content-type']?.startsWith('text/event-stream') ? frames.at(-1)?.slice('data: '.length) : body
  const { usage } = JSON.parse(last ?? '{}') as { usage?: Record<string, number> }
  if (usage === undefined) throw new Error(`no usage is shown: ${body.slice(-300)}`)
  // A cost in dollars has nine digits behind the point: a microcredit is one of the last.
  const cost = BigInt(Math.round(Number(usage.cost) * 1e9))
  if (cost !== charged) throw new Error(`usage says ${cost} microcredits, booked are ${charged}`)
  if (usage.total_tokens !== Number(usage.prompt_tokens) + Number(usage.completion_tokens))
    throw new Error(`usage does not add up: ${JSON.stringify(usage)}`)
  const header = headers['x-credits-used']
  if (header !== undefined && BigInt(Math.round(Number(header) * 1e6)) !== charged)
    throw new Error(`the header says ${header} credits, booked are ${charged} microcredits`)
}

const shown = (name: string, body: Json, provider: Provider, promise: Promised = exact): Trick => ({
  name: `shown as booked: ${name}`,
  by: 'provider',
  act: async ({ call, charged }: Actor) => {
    const seen = await call({ body: { ...body, ...(body.stream === true ? USAGE_WANTED : {}) } })
    expectShown(seen, await charged())
  },
  provider,
  promise,
})
const USAGE_WANTED = { stream_options: { include_usage: true } }

const six = words(6).map((content) => chunk({ content }))
const SIX: Bill = { input: INPUT, output: 6 }
const huge = usageOf(INPUT, 1_000_000)

const SHOWN: readonly Trick[] = [
  ...[false, true].flatMap((stream) => [
    shown(`as stated (stream: ${stream})`, { stream }, honest(BILL)),
    shown(`0 + 0 beside a text (stream: ${stream})`, { stream }, says(usageOf(0, 0), BILL)),
    shown(`no usage (stream: ${stream})`, { stream }, says(null, BILL)),
    shown(
      `a billion, where the call was capped (stream: ${stream})`,
      { stream, max_tokens: 100 },
      says(usageOf(INPUT, 1e9), BILL),
      disputed,
    ),
    shown(
      `more than was counted, where the operator counts (stream: ${stream})`,
      { stream, model: 'counted', max_tokens: 100 },
      says(usageOf(INPUT, 90), BILL),
    ),
    shown(
      `a bill of the provider's own (stream: ${stream})`,
      { stream, model: 'routed', max_tokens: 100 },
      says(
        usageOf(INPUT, 2, { cost: 0.0000054 }),
        { input: 0, output: 0, fees: 5_400n },
        { model: 'openai/gpt-4o-mini' },
      ),
    ),
  ]),
  shown(
    'a million in the middle, and the truth at the end',
    { stream: true },
    streams(
      [
        ROLE,
        ...six.slice(0, 5),
        chunk({ content: ' word' }, { usage: huge }),
        FINISH,
        usageFrame(usageOf(INPUT, 6)),
        DONE,
      ],
      SIX,
    ),
  ),
  shown(
    'ten in the middle, and nothing at the end',
    { stream: true },
    streams([ROLE, chunk({ content: ' word' }, { usage: usageOf(INPUT, 1) }), ...six.slice(0, 5), FINISH, DONE], SIX),
  ),
  shown(
    'a stream that its money ends',
    { stream: true, model: 'exact', max_tokens: 4_000 },
    (request) => {
      const count = Math.min(openAiReader.cap(request.json ?? {}) ?? 5_000, 5_000)
      const frames = [ROLE, ...words(count).map((content) => chunk({ content })), FINISH, DONE]
      return { script: rawStream(frames), bill: { model: 'exact', input: 0, output: count } }
    },
    exact,
  ),
  shown(
    'a call and no text',
    {},
    wholeAnswer(
      { content: null, tool_calls: [{ id: '1', type: 'function', function: { name: 'weather', arguments: '{}' } }] },
      usageOf(INPUT, 12),
      { input: INPUT, output: 12 },
    ),
  ),
]

export const STATEMENTS: readonly Trick[] = [...POSSIBLE, ...SHOWN]
