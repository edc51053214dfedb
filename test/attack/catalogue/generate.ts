/** The same again on Gemini's own surface: two names for each member, what hides a cap, and what a server does in a stream that passes. */
import { jsonAnswer, rawStream } from '../../support/upstream-answers.ts'
import type { Actor } from '../actor.ts'
import type { Bill } from '../bill.ts'
import { greedy, openAiReader } from '../provider.ts'
import { between, covered, disputed, exact, free, type Promised, type Provider, refused, type Trick } from '../trick.ts'

type Json = Record<string, unknown>

const at = (method: string, model = 'flash') => `/v1beta/models/${model}:${method}`
const HELLO = {
  contents: [{ role: 'user', parts: [{ text: 'Say hello' }] }],
  generationConfig: { maxOutputTokens: 100 },
}
const GEMINI: Bill = { model: 'gemini-2.5-flash', input: 10, output: 5 }
const USAGE = { promptTokenCount: 10, candidatesTokenCount: 5, totalTokenCount: 15 }

const ask = (more: Json = {}, method = 'generateContent') => ({
  path: at(method),
  text: JSON.stringify({ ...HELLO, ...more }),
})
const configured = (generationConfig: Json) => ask({ generationConfig })

function says(usageMetadata: Json | null, bill: Bill = GEMINI, more: Json = {}): Provider {
  return ({ path }) => {
    const candidates = [
      { index: 0, content: { role: 'model', parts: [{ text: 'Hello world' }] }, finishReason: 'STOP', ...more },
    ]
    const body = { candidates, modelVersion: 'gemini-2.5-flash', ...(usageMetadata === null ? {} : { usageMetadata }) }
    const isStream = path.includes('streamGenerateContent')
    return { script: isStream ? rawStream([`data: ${JSON.stringify(body)}\r\n\r\n`]) : jsonAnswer(body), bill }
  }
}

const isRefused = (name: string, act: { path: string; text: string }, code = 'invalid_request'): Trick => ({
  name: `is refused: ${name}`,
  by: 'caller',
  act,
  provider: says(USAGE),
  promise: refused(code),
})

const REFUSED: readonly Trick[] = [
  isRefused('a cap in both spellings', configured({ maxOutputTokens: 1, max_output_tokens: 60_000 })),
  isRefused('a cap in both spellings, of settings in both', {
    path: at('generateContent'),
    text: JSON.stringify({ ...HELLO, generation_config: { max_output_tokens: 60_000 } }),
  }),
  isRefused('a cap in another case', configured({ MaxOutputTokens: 1 })),
  isRefused('a cap with a Kelvin sign', configured({ 'maxOutputTo\u212aens': 1 })),
  isRefused('a cap spelled half in each way', configured({ max_outputTokens: 1, 'max-output-tokens': 2 })),
  isRefused('a cap in quotes', configured({ maxOutputTokens: '60000' })),
  isRefused('a cap of 0, which is none', configured({ maxOutputTokens: 0 })),
  isRefused('a cap that is a list', configured({ maxOutputTokens: [5] })),
  isRefused('more candidates than fit, in quotes', configured({ candidateCount: '8' })),
  isRefused('no candidates', configured({ candidateCount: 0 })),
  isRefused('thoughts without an end, in quotes', configured({ thinkingConfig: { thinkingBudget: '24576' } })),
  isRefused('settings as a list', ask({ generationConfig: [{ maxOutputTokens: 5 }] })),
  isRefused('a kind of answer by its number', configured({ responseModalities: [3] })),
  isRefused('a tier by its number', ask({ serviceTier: 3 })),
  isRefused('another model in the body', ask({ model: 'models/gemini-2.5-pro' })),
  isRefused('another model in the settings', configured({ routingConfig: {} }), 'unsupported_parameter'),
  isRefused(
    'what lies in a cache of the operator',
    ask({ cached_content: 'cachedContents/1' }),
    'unsupported_parameter',
  ),
  isRefused('files of the operator', ask({ tools: [{ fileSearch: {} }] }), 'unsupported_parameter'),
  isRefused('servers of somebody else', ask({ tools: { mcp_servers: [{}] } }), 'unsupported_parameter'),
  isRefused(
    'a search in a tool with another',
    ask({ tools: [{ functionDeclarations: [], googleSearch: {} }] }),
    'unbounded_tool',
  ),
  isRefused('a search that is no list', ask({ tools: { google_search: {} } }), 'unbounded_tool'),
  isRefused('a page to be read', ask({ tools: [{ urlContext: {} }] }), 'unbounded_tool'),
  isRefused(
    'a member that nobody knows, behind an address of its own',
    ask({ secretMode: 1 }),
    'unsupported_parameter',
  ),
  {
    ...isRefused('a cap twice', ask()),
    act: {
      path: at('generateContent'),
      text: '{"contents":[{"parts":[{"text":"Say hello"}]}],"generationConfig":{"maxOutputTokens":5,"maxOutputTokens":60000}}',
    },
  },
]

const both = (name: string, provider: Provider, promise: Promised): Trick[] =>
  ['generateContent', 'streamGenerateContent?alt=sse', 'streamGenerateContent'].map((method) => ({
    name: `${name} (${method})`,
    by: 'provider' as const,
    act: ask({}, method),
    provider,
    promise,
  }))

const COUNTED = between(1n, 'held')

const STATED: readonly Trick[] = [
  ...both('the truth', says(USAGE), exact),
  ...both('a billion of thoughts', says({ ...USAGE, thoughtsTokenCount: 1e9 }), disputed),
  ...both('a window of input', says({ ...USAGE, promptTokenCount: 1_000_000 }), disputed),
  ...both('nothing', says(null), COUNTED),
  ...both('0 + 0', says({ promptTokenCount: 0, candidatesTokenCount: 0 }), COUNTED),
  ...both('less than nothing', says({ promptTokenCount: -10, candidatesTokenCount: -5 }), COUNTED),
  ...both(
    'a hundred searches that nobody asked for',
    says(USAGE, GEMINI, {
      groundingMetadata: { webSearchQueries: Array.from({ length: 100 }, (_, index) => `q${index}`) },
    }),
    disputed,
  ),
]

/** Gemini writes 4,000 words however it writes them, and never states what they cost. */
const unmetered = (name: string, part: (text: string) => Json): Trick => ({
  name: `a stream on little money ends with it: ${name}`,
  by: 'provider',
  act: {
    path: at('streamGenerateContent?alt=sse'),
    text: JSON.stringify({ ...HELLO, generationConfig: { maxOutputTokens: 60_000 } }),
  },
  provider: () => ({
    script: rawStream(
      Array.from({ length: 400 }, () => {
        const candidates = [{ index: 0, content: { role: 'model', parts: [part(' word'.repeat(10))] } }]
        return `data: ${JSON.stringify({ candidates, modelVersion: 'gemini-2.5-flash' })}\r\n\r\n`
      }),
    ),
    bill: { model: 'gemini-2.5-flash', input: 0, output: 0 },
  }),
  credits: 5,
  // Google bills what is abandoned, so it is read on; what came is booked, and beyond the cap it is left to the operator.
  overdraft: 18_000_000n,
  promise: { kind: 'disputed', least: 3_000_000n, most: 22_600_000n },
})

export const GENERATE: readonly Trick[] = [
  ...REFUSED,
  ...STATED,
  unmetered('as text', (text) => ({ text })),
  unmetered('as thoughts', (text) => ({ text, thought: true })),
  unmetered('as arguments', (text) => ({ functionCall: { name: 'f', args: { text } } })),
  {
    name: 'settings spelled the other way bound what is written',
    by: 'caller',
    act: {
      path: at('generateContent'),
      text: '{"contents":{"parts":{"text":"Say hello"}},"generation_config":{"max_output_tokens":5}}',
    },
    provider: says(USAGE),
    promise: exact,
  },
  {
    name: 'counting is free, and asks nobody',
    by: 'caller',
    act: ({ call }: Actor) => call(ask({}, 'countTokens')).then(() => {}),
    provider: () => {
      throw new Error('the provider was called')
    },
    credits: 0,
    promise: free,
  },
  {
    name: 'a cap on another provider’s model, which writes as much as it may',
    by: 'caller',
    act: {
      path: at('generateContent', 'gpt-4o-mini'),
      text: JSON.stringify({ ...HELLO, generationConfig: { maxOutputTokens: 5 } }),
    },
    provider: greedy(openAiReader),
    promise: covered,
  },
]
