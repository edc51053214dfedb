/** Text completions: many texts for one prompt, a cap nobody states, a form of frames that chat completions do not have. */
import type { ReceivedRequest } from '../../support/upstream.ts'
import { jsonAnswer, rawStream, sse } from '../../support/upstream-answers.ts'
import type { Bill } from '../bill.ts'
import { greedy, openAiReader, usageOf } from '../provider.ts'
import { covered, disputed, exact, type Promised, type Provider, refused, type Trick } from '../trick.ts'

type Json = Record<string, unknown>

const PATH = '/v1/completions'
const MODEL = 'gpt-3.5-turbo-instruct'
const HELLO = { model: 'instruct', prompt: 'Say hello', max_tokens: 50 }
const HEAD = { id: 'c', object: 'text_completion', model: MODEL }

const ask = (more: Json = {}) => ({ path: PATH, text: JSON.stringify({ ...HELLO, ...more }) })
const billed = (input: number, output: number): Bill => ({ model: MODEL, input, output })
const frame = (text: string, more: Json = {}) =>
  sse({ ...HEAD, choices: [{ text, index: 0, finish_reason: null }], ...more })
const END = [sse({ ...HEAD, choices: [{ text: '', index: 0, finish_reason: 'stop' }] })]

/** Says hello, states this, and bills so much. */
const states =
  (usage: unknown, bill: Bill): Provider =>
  ({ json }) => {
    const choices = [{ text: 'Hello world', index: 0, finish_reason: 'stop' }]
    if (json?.stream !== true) return { script: jsonAnswer({ ...HEAD, choices, usage }), bill }
    const last = usage === undefined ? [] : [sse({ ...HEAD, choices: [], usage })]
    return { script: rawStream([frame('Hello'), frame(' world'), ...END, ...last, 'data: [DONE]\n\n']), bill }
  }

const numberIn = (value: unknown, otherwise: number) => (typeof value === 'number' ? value : otherwise)
const prompts = (prompt: unknown): unknown[] =>
  Array.isArray(prompt) && typeof prompt[0] !== 'number' ? prompt : [prompt]

/** Writes as much as it may in each text for each prompt, and takes a token a byte for what it reads. */
const writer: Provider = (request: ReceivedRequest, call) => {
  const { max_tokens: cap, n, best_of: best, prompt, suffix } = request.json ?? {}
  const texts = prompts(prompt)
  const written = Math.max(numberIn(n, 1), numberIn(best, 1)) * texts.length * numberIn(cap, 4_096)
  const sizeOf = (one: unknown) => (Array.isArray(one) ? one.length : Buffer.byteLength(String(one)))
  const read = texts.reduce<number>((sum, one) => sum + sizeOf(one) + sizeOf(suffix ?? ''), 0)
  return states(usageOf(read, written), billed(read, written))(request, call)
}

const isRefused = (name: string, more: Json, code = 'invalid_request'): Trick => ({
  name: `is refused: ${name}`,
  by: 'caller',
  act: ask(more),
  provider: writer,
  promise: refused(code),
})

const REFUSED: readonly Trick[] = [
  isRefused('a cap in another case', { Max_Tokens: 9_000 }),
  isRefused('the best of many in another case', { Best_Of: 20 }),
  isRefused('a prompt in another case', { Prompt: 'a long one' }),
  isRefused('texts among tokens', { prompt: [1, 'a long text'] }),
  isRefused('a number that is no token', { prompt: [2 ** 53 + 2] }),
  isRefused('lists in lists of lists', { prompt: [[[1, 2, 3]]] }),
  isRefused('more texts than are held', { n: 128, prompt: ['a', 'b'] }),
  isRefused('the best of a thousand', { best_of: 1_000 }),
  isRefused('the best of less than one', { best_of: 0 }),
  isRefused('messages that some server reads before the prompt', { messages: [] }, 'unsupported_parameter'),
  isRefused(
    'messages beside a prompt that a chat asks',
    { model: 'gpt-4o-mini', messages: [] },
    'unsupported_parameter',
  ),
  isRefused(
    'tools of the provider',
    { model: 'gpt-4o-mini', tools: [{ type: 'web_search' }] },
    'unsupported_parameter',
  ),
  isRefused('a prompt of tokens that nobody counts', { model: 'gpt-4o-mini', prompt: [1] }, 'unsupported_parameter'),
  {
    ...isRefused('a cap twice', {}),
    act: { path: PATH, text: '{"model":"instruct","prompt":"a","max_tokens":1,"max_tokens":900}' },
  },
]

const lie = (name: string, usage: unknown, promise: Promised = exact): readonly Trick[] =>
  [false, true].map((stream) => ({
    name: `a server states ${name} (stream: ${stream})`,
    by: 'provider',
    act: ask({ stream }),
    // 2 tokens in, and 2 out.
    provider: states(usage, billed(2, 2)),
    promise,
  }))

/** Writes 4,000 words however it writes them, and never states what they cost. */
const unmetered = (name: string, write: (text: string) => string): Trick => ({
  name: `a stream on little money ends with it: ${name}`,
  by: 'provider',
  act: ask({ stream: true, max_tokens: 60_000 }),
  provider: () => ({
    script: rawStream([frame('Hello'), ...Array.from({ length: 400 }, () => write(' word'.repeat(10)))]),
    bill: billed(0, 0),
  }),
  credits: 4,
  overdraft: 4_000_000n,
  promise: { kind: 'charged', least: 3_000_000n, most: 8_000_000n },
})

export const COMPLETIONS: readonly Trick[] = [
  { name: 'an honest call', by: 'caller', act: ask(), provider: states(usageOf(2, 2), billed(2, 2)), promise: exact },
  ...REFUSED,
  ...lie('nothing', undefined),
  ...lie('zero', usageOf(0, 0)),
  ...lie('less than nothing', usageOf(-1, -1)),
  ...lie('a billion', usageOf(2, 1_000_000_000), disputed),
  unmetered('as it should', frame),
  unmetered('under a name that is written with escapes', (text) => frame(text).replace('"text"', '"te\\u0078t"')),
  unmetered('beside an empty delta', (text) => frame(text).replace('"text"', '"delta":{},"text"')),
  unmetered('beside a small delta', (text) => frame(text).replace('"text"', '"delta":{"content":"."},"text"')),
  unmetered('as deltas of a chat', (text) => sse({ ...HEAD, choices: [{ index: 0, delta: { content: text } }] })),
  {
    name: 'no cap, which some server takes for none at all',
    by: 'caller',
    act: ask({ max_tokens: undefined }),
    provider: writer,
    promise: exact,
  },
  {
    name: 'eight texts for each of four prompts, each as long as it may be',
    by: 'caller',
    act: ask({ n: 8, prompt: ['a', 'b', 'c', 'd'] }),
    provider: writer,
    promise: covered,
  },
  {
    name: 'the best of twenty, of which one is shown',
    by: 'caller',
    act: ask({ best_of: 20 }),
    provider: writer,
    promise: exact,
  },
  {
    name: 'the best of twenty on too little money for them',
    by: 'caller',
    act: ask({ best_of: 20, max_tokens: 4_000 }),
    provider: writer,
    credits: 50,
    promise: covered,
  },
  {
    name: 'a suffix longer than the prompt, after each of three, on little money',
    by: 'caller',
    act: ask({ suffix: '\u200d'.repeat(1_000), prompt: ['a', 'b', 'c'] }),
    provider: writer,
    credits: 22,
    promise: covered,
  },
  {
    name: 'a thousand tokens that are only rated, on little money',
    by: 'caller',
    act: ask({ prompt: Array(1_000).fill(1), max_tokens: 0, echo: true, logprobs: 1 }),
    provider: writer,
    credits: 2.3,
    promise: covered,
  },
  {
    name: 'a cap on a model for chat, which writes as much as it may',
    by: 'caller',
    act: ask({ model: 'gpt-4o-mini', max_tokens: 5, n: 3 }),
    provider: greedy(openAiReader),
    promise: covered,
  },
]
