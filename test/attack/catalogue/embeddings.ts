/** Embeddings: only input is billed, so a caller makes it look small, and a server says it was large. */
import type { ReceivedRequest } from '../../support/upstream.ts'
import { jsonAnswer } from '../../support/upstream-answers.ts'
import type { Actor } from '../actor.ts'
import type { Bill } from '../bill.ts'
import { covered, disputed, exact, type Promised, type Provider, refused, type Trick } from '../trick.ts'

type Json = Record<string, unknown>

const PATH = '/v1/embeddings'
const MODEL = 'text-embedding-3-small'
const HELLO = { model: 'embedder', input: 'Say hello' }
const DATA = [{ object: 'embedding', index: 0, embedding: [0.5, 0.25] }]

const ask = (more: Json = {}) => ({ path: PATH, text: JSON.stringify({ ...HELLO, ...more }) })
const billed = (input: number): Bill => ({ model: MODEL, input, output: 0 })
const usageOf = (tokens: number): Json => ({ prompt_tokens: tokens, total_tokens: tokens })

/** States this, and bills so many tokens. */
const states =
  (usage: unknown, input: number, more: Json = {}): Provider =>
  () => ({ script: jsonAnswer({ object: 'list', data: DATA, model: MODEL, usage, ...more }), bill: billed(input) })

/** States and bills what it makes of the request. */
const reads =
  (tokensOf: (request: ReceivedRequest) => number): Provider =>
  (request, call) => {
    const tokens = tokensOf(request)
    return states(usageOf(tokens), tokens)(request, call)
  }

const inputOf = ({ json }: ReceivedRequest) => json?.input
/** A token a byte, which no vocabulary exceeds. */
const bytesOf = (request: ReceivedRequest) =>
  [inputOf(request)].flat().reduce<number>((sum, text) => sum + Buffer.byteLength(String(text)), 0)
/** A token a text, and two marks around it. */
const marked = (request: ReceivedRequest) => [inputOf(request)].flat().length * 3
const listed = (request: ReceivedRequest) => [inputOf(request)].flat(2).length

const isRefused = (name: string, more: Json, code = 'invalid_request'): Trick => ({
  name: `is refused: ${name}`,
  by: 'caller',
  act: ask(more),
  provider: states(usageOf(2), 2),
  promise: refused(code),
})

const REFUSED: readonly Trick[] = [
  isRefused('a text among tokens, which some server reads as both', { input: [1, 'and a long text'] }),
  isRefused('tokens among texts', { input: ['a', [1, 2, 3]] }),
  isRefused('lists in lists of lists, which some server flattens', { input: [[[1, 2, 3]]] }),
  isRefused('an object where a text belongs', { input: [{ text: 'a long text' }] }),
  isRefused('a number that is no token, and not what it was written as', { input: [2 ** 53 + 2] }),
  isRefused('a token below nothing', { input: [-1] }),
  isRefused('a token and a half', { input: [1.5] }),
  isRefused('tokens as texts', { input: [[1, '2']] }),
  isRefused('more texts than anybody takes', { input: Array(2_049).fill('a') }),
  isRefused('an input in another case', { Input: ['a long text'] }),
  isRefused('an input in full width', { '\uff49\uff4e\uff50\uff55\uff54': 'a long text' }),
  isRefused('messages beside the input', { messages: [{ role: 'user', content: 'a' }] }, 'unsupported_parameter'),
  isRefused('several at a time', { n: 8 }, 'unsupported_parameter'),
  isRefused('a stream', { stream: true }, 'unsupported_parameter'),
  isRefused('a call for later', { background: true }, 'unsupported_parameter'),
  isRefused('a model for chat, whose output would be free', { model: 'gpt-4o-mini' }, 'unsupported_endpoint'),
  {
    ...isRefused('an input twice', {}),
    act: { path: PATH, text: '{"model":"embedder","input":"a","input":"a long text"}' },
  },
  {
    ...isRefused('an input twice, once escaped', {}),
    act: { path: PATH, text: '{"model":"embedder","input":"a","\\u0069nput":"a long text"}' },
  },
  {
    ...isRefused('a chat with a model that embeds', {}, 'unsupported_endpoint'),
    act: { body: { model: 'embedder' } },
  },
  {
    ...isRefused('a message to a model that embeds', {}, 'unsupported_endpoint'),
    act: { path: '/v1/messages', body: { model: 'embedder', max_tokens: 5 } },
  },
]

/** Of 2 tokens that are billed for "Say hello". */
const lie = (name: string, usage: unknown, promise: Promised = exact): Trick => ({
  name: `a server states ${name}`,
  by: 'provider',
  act: ask(),
  provider: states(usage, 2),
  promise,
})

const LIES: readonly Trick[] = [
  lie('nothing', undefined),
  lie('zero', usageOf(0)),
  lie('less than nothing', usageOf(-5)),
  lie('a part of a token', usageOf(1.5)),
  lie('a number in letters', { prompt_tokens: '2', total_tokens: '2' }),
  lie('a billion', usageOf(1_000_000_000), disputed),
  lie('more than there are numbers', usageOf(1e300)),
  lie('a billion tokens that it wrote', { ...usageOf(2), completion_tokens: 1_000_000_000 }),
  lie('a total beyond its parts', { prompt_tokens: 2, total_tokens: 1_000_000_000 }),
  lie('a bill in a member of others', { ...usageOf(2), cost: 1_000_000 }),
  {
    ...lie('a few hundred tokens too many, where it is believed as far as it was counted', usageOf(300)),
    act: ask({ model: 'embedder-counted' }),
  },
  {
    name: 'a router states a bill of a thousand dollars',
    by: 'provider',
    act: ask({ model: 'embedder-routed' }),
    provider: states({ ...usageOf(2), cost: 1_000 }, 2),
    promise: disputed,
  },
  {
    name: 'a server bills for no embedding at all',
    by: 'provider',
    act: ask(),
    provider: states(usageOf(2), 2, { data: [] }),
    promise: exact,
  },
]

/** Zero-width joiners: three bytes each, and in old vocabularies three tokens. */
const DENSE = '\u200d'.repeat(2_700)

export const EMBEDDINGS: readonly Trick[] = [
  { name: 'an honest call', by: 'caller', act: ask(), provider: states(usageOf(2), 2), promise: exact },
  ...REFUSED,
  ...LIES,
  {
    name: 'a text of which every byte is a token, on little money',
    by: 'caller',
    act: ask({ input: DENSE }),
    provider: reads(bytesOf),
    credits: 0.25,
    promise: covered,
  },
  {
    name: 'two thousand such texts, on little money',
    by: 'caller',
    act: ask({ input: Array(2_000).fill('\u200d\u200d') }),
    provider: reads(bytesOf),
    credits: 0.5,
    promise: covered,
  },
  {
    name: 'two thousand texts of a letter, each in marks, on little money',
    by: 'caller',
    act: ask({ input: Array(2_000).fill('a') }),
    provider: reads(marked),
    credits: 0.2,
    promise: covered,
  },
  {
    name: 'a list of eight thousand tokens counts eight thousand',
    by: 'caller',
    act: ask({ input: Array(8_000).fill(1) }),
    provider: reads(listed),
    credits: 0.25,
    promise: exact,
  },
  {
    name: 'lists of tokens of which nothing is stated are counted to the token',
    by: 'caller',
    act: ask({ input: Array(100).fill(Array(100).fill(7)) }),
    provider: states(undefined, 10_000),
    promise: exact,
  },
  {
    name: 'so many calls at once that only some are covered',
    by: 'caller',
    async act({ call }: Actor) {
      await Promise.all(Array.from({ length: 8 }, () => call(ask({ input: Array(8_000).fill(1) }))))
    },
    provider: reads(listed),
    credits: 1,
    promise: covered,
  },
  {
    name: 'a caller who leaves before the embeddings are there',
    by: 'caller',
    act: { ...ask(), leaveAfter: 0 },
    provider: states(usageOf(2), 2),
    promise: exact,
  },
  {
    name: 'a caller of a router who would pay its servers more than was held',
    by: 'caller',
    act: ask({ model: 'embedder-routed', provider: { max_price: { prompt: 1_000 } } }),
    provider: ({ json }) => {
      const bound = (json?.provider as { max_price?: Json } | undefined)?.max_price?.prompt
      if (bound !== 0.02) throw new Error(`the router may take ${String(bound)}`)
      return { script: jsonAnswer({ data: DATA, model: MODEL, usage: { ...usageOf(2), cost: 4e-8 } }), bill: billed(2) }
    },
    promise: exact,
  },
  {
    name: 'a quote for a chat completion, sent with the same body for embeddings',
    by: 'caller',
    async act({ call, post }: Actor) {
      const body = { model: 'gpt-4o-mini', messages: [{ role: 'user', content: 'a' }] }
      const quote = JSON.parse((await post('/v1/quotes', body)).body) as { quote_id: string }
      await call({ ...ask(), headers: { 'x-tollgate-quote': quote.quote_id } })
    },
    provider: states(usageOf(2), 2),
    promise: refused('quote_of_another_request'),
  },
  {
    name: 'a quote for a short text, sent with a long one',
    by: 'caller',
    async act({ call, post }: Actor) {
      const quote = JSON.parse((await post('/v1/quotes?endpoint=/v1/embeddings', HELLO)).body) as { quote_id: string }
      await call({ ...ask({ input: 'a'.repeat(9_000) }), headers: { 'x-tollgate-quote': quote.quote_id } })
    },
    provider: states(usageOf(2), 2),
    promise: refused('quote_of_another_request'),
  },
]
