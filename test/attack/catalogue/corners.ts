/** Corners of the dialects that are translated, of lists and headers, and the most that one call can overdraw. */
import { jsonAnswer, rawStream } from '../../support/upstream-answers.ts'
import type { Actor } from '../actor.ts'
import type { Bill } from '../bill.ts'
import { chunk, greedy, honest, INPUT, inTurn, openAiReader, ROLE, says, usageOf } from '../provider.ts'
import { between, covered, disputed, exact, free, type Promised, type Provider, refused, type Trick } from '../trick.ts'

type Json = Record<string, unknown>

/** Writes as much as the request lets it, in Claude's dialect. */
const greedyClaude: Provider = ({ json }) => {
  const output = Number(json?.max_tokens)
  const bill: Bill = { model: 'claude-haiku-4-5', input: 20, output }
  const message = { id: 'm', type: 'message', role: 'assistant', model: 'claude-haiku-4-5', stop_reason: 'max_tokens' }
  const content = [{ type: 'text', text: 'Hello world' }]
  return { script: jsonAnswer({ ...message, content, usage: { input_tokens: 20, output_tokens: output } }), bill }
}

/** The same of Gemini: thoughts count against the cap. */
const greedyGemini: Provider = ({ json }) => {
  const config = json?.generationConfig as { maxOutputTokens?: number; candidateCount?: number } | undefined
  const most = (config?.maxOutputTokens ?? 65_536) * (config?.candidateCount ?? 1)
  const bill: Bill = { model: 'gemini-2.5-flash', input: 4, output: most }
  return {
    script: jsonAnswer({
      candidates: [{ index: 0, content: { role: 'model', parts: [{ text: 'Hello' }] }, finishReason: 'MAX_TOKENS' }],
      modelVersion: 'gemini-2.5-flash',
      usageMetadata: { promptTokenCount: 4, candidatesTokenCount: 5, thoughtsTokenCount: most - 5 },
    }),
    bill,
  }
}

const translated = (name: string, body: Json, more: Partial<Trick> = {}): Trick => ({
  name: `a translated cap: ${name}`,
  by: 'caller',
  act: { body },
  provider: body.model === 'claude' ? greedyClaude : greedyGemini,
  promise: covered,
  ...more,
})

const THINKING = { type: 'enabled', budget_tokens: 16_000 }
const TRANSLATED: readonly Trick[] = [
  translated('none, on Claude', { model: 'claude' }),
  translated('a small one', { model: 'claude', max_tokens: 5 }),
  translated(
    'a budget of thoughts above it',
    { model: 'claude', max_tokens: 2_000, thinking: THINKING },
    {
      promise: between(0n, 'held'),
    },
  ),
  translated('much effort below it', { model: 'claude', max_tokens: 1_500, reasoning_effort: 'high' }),
  translated('a budget, on little money', { model: 'claude', max_tokens: 32_000, thinking: THINKING }, { credits: 60 }),
  translated('none, on Gemini', { model: 'flash' }),
  translated('a small one, on Gemini', { model: 'flash', max_tokens: 5 }),
  translated('three choices', { model: 'flash', max_tokens: 500, n: 3 }),
  translated('much effort below it, on Gemini', { model: 'flash', max_tokens: 500, reasoning_effort: 'high' }),
  translated('none, on little money', { model: 'flash' }, { credits: 2 }),
]

const CLAUDE_STATES: readonly [string, Json, Bill, Promised][] = [
  [
    'an hour of cache in its parts alone',
    { cache_creation_input_tokens: 0, cache_creation: { ephemeral_1h_input_tokens: 40 } },
    { model: 'claude-haiku-4-5', input: 10, output: 5 },
    between('true', 'held'),
  ],
  [
    'more of it in its parts than in all',
    {
      cache_creation_input_tokens: 10,
      cache_creation: { ephemeral_5m_input_tokens: 1e6, ephemeral_1h_input_tokens: 0 },
    },
    { model: 'claude-haiku-4-5', input: 10, written: 10, output: 5 },
    between('true', 'either'),
  ],
  [
    'searches below nothing',
    { server_tool_use: { web_search_requests: -5 } },
    { model: 'claude-haiku-4-5', input: 10, output: 5 },
    exact,
  ],
]

const GEMINI_STATES: readonly [string, Json, Bill, Promised][] = [
  [
    'a million tokens of what tools read, and no tools',
    { toolUsePromptTokenCount: 1e6 },
    { model: 'gemini-2.5-flash', input: 10, output: 5 },
    disputed,
  ],
  [
    'more cached than there was',
    { cachedContentTokenCount: 1e6 },
    { model: 'gemini-2.5-flash', input: 0, cached: 10, output: 5 },
    between('true', 'held'),
  ],
  [
    'sound in a text',
    { promptTokensDetails: [{ modality: 'AUDIO', tokenCount: 10 }] },
    { model: 'gemini-2.5-flash', input: 10, output: 5 },
    disputed,
  ],
]

const STATED: readonly Trick[] = [
  ...CLAUDE_STATES.map(
    ([name, more, bill, promise]): Trick => ({
      name: `Claude states ${name}`,
      by: 'provider',
      act: { body: { model: 'claude', max_tokens: 100 } },
      provider: () => ({
        script: jsonAnswer({
          ...{ id: 'm', type: 'message', role: 'assistant', model: 'claude-haiku-4-5', stop_reason: 'end_turn' },
          content: [{ type: 'text', text: 'Hello world' }],
          usage: { input_tokens: 10, output_tokens: 5, ...more },
        }),
        bill,
      }),
      promise,
    }),
  ),
  ...GEMINI_STATES.map(
    ([name, more, bill, promise]): Trick => ({
      name: `Gemini states ${name}`,
      by: 'provider',
      act: { body: { model: 'flash', max_tokens: 100 } },
      provider: () => ({
        script: jsonAnswer({
          candidates: [
            { index: 0, content: { role: 'model', parts: [{ text: 'Hello world' }] }, finishReason: 'STOP' },
          ],
          modelVersion: 'gemini-2.5-flash',
          usageMetadata: { promptTokenCount: 10, candidatesTokenCount: 5, ...more },
        }),
        bill,
      }),
      promise,
    }),
  ),
  {
    name: 'Gemini blocks a prompt, and bills it',
    by: 'provider',
    act: { body: { model: 'flash', max_tokens: 100 } },
    provider: () => ({
      script: jsonAnswer({
        promptFeedback: { blockReason: 'SAFETY' },
        modelVersion: 'gemini-2.5-flash',
        usageMetadata: { promptTokenCount: 10, totalTokenCount: 10 },
      }),
      bill: { model: 'gemini-2.5-flash', input: 10, output: 0 },
    }),
    promise: exact,
  },
  {
    name: 'Claude states a window before its first word, and its reader leaves after that',
    by: 'provider',
    act: { body: { model: 'claude', max_tokens: 100, stream: true }, leaveAfter: 2 },
    provider: () => {
      const event = (type: string, members: Json) => `event: ${type}\ndata: ${JSON.stringify({ type, ...members })}\n\n`
      const message = { id: 'm', type: 'message', role: 'assistant', model: 'claude-haiku-4-5', content: [] }
      const frames = [
        event('message_start', { message: { ...message, usage: { input_tokens: 200_000, output_tokens: 1 } } }),
        event('content_block_start', { index: 0, content_block: { type: 'text', text: '' } }),
        ...['Hello', ' world'].map((text) =>
          event('content_block_delta', { index: 0, delta: { type: 'text_delta', text } }),
        ),
      ]
      return { script: rawStream(frames), bill: { model: 'claude-haiku-4-5', input: 10, output: 2 } }
    },
    promise: disputed,
  },
]

const part = { type: 'image_url', image_url: { url: 'https://example.com/a.png' } }
const LISTS: readonly Trick[] = [
  {
    name: 'an image in a list in a list',
    by: 'caller',
    act: { body: { max_tokens: 5, messages: [{ role: 'user', content: [[part]] }] } },
    provider: greedy(openAiReader, { inputOf: () => INPUT + 2_833 + 4 * 5_667 }),
    promise: refused('invalid_request'),
  },
  {
    name: 'a message in a list',
    by: 'caller',
    act: { body: { max_tokens: 5, messages: [[{ role: 'user', content: 'Say hello' }]] } },
    provider: greedy(),
    promise: refused('invalid_request'),
  },
]

const KEY = { 'idempotency-key': 'attack-corners' }
const HEADERS: readonly Trick[] = [
  {
    name: 'a service asks under one key for two members: two calls',
    by: 'caller',
    users: 2,
    act: async ({ call, service }: Actor) => {
      const key = await service()
      await call({ key, headers: { ...KEY, 'x-user-id': 'bob' } })
      await call({ key, headers: { ...KEY, 'x-user-id': 'bob-2' } })
    },
    provider: honest({ input: INPUT, output: 2 }),
    promise: exact,
  },
  {
    name: 'a level with a blank behind it that is no blank of headers is none',
    by: 'caller',
    act: { headers: { 'x-power-level': 'eco\u00ad' } },
    provider: honest({ input: INPUT, output: 2 }),
    promise: exact,
  },
]

const PAID: readonly Trick[] = [
  {
    name: 'the first of two servers states what its failure cost: the second is not asked',
    by: 'provider',
    act: { body: { model: 'stairs', max_tokens: 100 } },
    provider: inTurn(
      {
        script: jsonAnswer({ error: { message: 'boom', code: 'server_error' }, usage: usageOf(INPUT, 40) }),
        bill: { input: INPUT, output: 40 },
      },
      { script: jsonAnswer({}), bill: { model: 'gpt-4o', input: 1e6, output: 0 } },
    ),
    promise: exact,
  },
  {
    name: 'both of two servers fail for nothing',
    by: 'provider',
    act: { body: { model: 'stairs', max_tokens: 100 } },
    provider: () => ({ script: jsonAnswer({ error: { message: 'boom', code: 'server_error' } }), bill: null }),
    promise: free,
  },
  {
    name: 'a dear server behind a cheap one whose stream breaks off after a word is not asked',
    by: 'provider',
    act: { body: { model: 'stairs', max_tokens: 100, stream: true } },
    provider: inTurn(
      { script: rawStream([ROLE, chunk({ content: ' word' })]), bill: { input: INPUT, output: 1 } },
      { script: rawStream([]), bill: { model: 'gpt-4o', input: 1e6, output: 0 } },
    ),
    promise: exact,
  },
]

/** As much as a model reads, which is what `check-config` prints: whoever has less is that much below zero at most. */
const most = (model: 'little' | 'gpt-4o', nano: bigint): Trick => ({
  name: `all that a model reads, for an image on little money: ${model}`,
  by: 'provider',
  act: {
    body: { model, max_tokens: 5, messages: [{ role: 'user', content: [{ type: 'text', text: 'Say hello' }, part] }] },
  },
  provider: (request, call) => {
    const name = model === 'little' ? 'gpt-4o-mini' : model
    return says(usageOf(128_000, 5), { model: name, input: 128_000, output: 5 }, { model: name })(request, call)
  },
  credits: 6,
  overdraft: (128_000n * nano * 3n) / 2n,
  promise: exact,
})

const MOST: readonly Trick[] = [most('little', 150n), most('gpt-4o', 2_500n)]

export const CORNERS: readonly Trick[] = [...TRANSLATED, ...STATED, ...LISTS, ...HEADERS, ...PAID, ...MOST]
