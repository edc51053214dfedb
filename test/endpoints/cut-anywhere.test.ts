/**
 * A stream that its provider cuts after any of its frames, in every dialect, as its provider speaks it and by chat: one row, nothing for
 * what delivered nothing, never more than the whole, and never less for more.
 */
import { describe, expect, test, vi } from 'vitest'
import { rowsOf } from '../support/call-books.ts'
import { useProduct } from '../support/product.ts'
import { type Json, message, respondingOn, responseEvents } from '../support/response-answers.ts'
import { modelOn, postChat } from '../support/tollgate.ts'
import { rawStream, sse } from '../support/upstream-answers.ts'

const PRICES = { input_cost_per_token: 0.000001, output_cost_per_token: 0.00001 }
const product = useProduct((url) => ({
  models: [
    modelOn(url, 'chat', { model: 'openai/gpt-4o-mini', ...PRICES }),
    modelOn(url, 'text', { model: 'openai/gpt-3.5-turbo-instruct', ...PRICES }),
    respondingOn(url, 'response', { model: 'openai/gpt-4o-mini', ...PRICES }),
    modelOn(url, 'claude', { model: 'anthropic/claude-sonnet-4-5', ...PRICES }),
    modelOn(url, 'gemini', { model: 'gemini/gemini-2.5-flash', api_base: url.replace(/v1$/, 'v1beta'), ...PRICES }),
  ],
  router_settings: { num_retries: 0, disable_cooldowns: true },
}))

const WORDS = ['Hello', ' there', ' this', ' is', ' a', ' test']
const [INPUT, OUTPUT] = [40, 10]
/** 40 tokens at $1 a million and 10 at $10, and half of it on top. */
const WHOLE = '0.210000'

const chatUsage = { prompt_tokens: INPUT, completion_tokens: OUTPUT, total_tokens: INPUT + OUTPUT }
const chunk = (choice: Json, more: Json = {}) =>
  sse({ id: 'c', object: 'chat.completion.chunk', created: 1, model: 'm', choices: [{ index: 0, ...choice }], ...more })
const usageFrame = (object: string) => sse({ id: 'c', object, created: 1, model: 'm', choices: [], usage: chatUsage })
const event = (type: string, members: Json = {}) => `event: ${type}\ndata: ${JSON.stringify({ type, ...members })}\n\n`
const candidate = (text: string, more: Json = {}) =>
  sse({ candidates: [{ index: 0, content: { role: 'model', parts: [{ text }] } }], modelVersion: 'm', ...more })

const CHAT = [
  chunk({ delta: { role: 'assistant', content: '' }, finish_reason: null }),
  ...WORDS.map((content) => chunk({ delta: { content }, finish_reason: null })),
  chunk({ delta: {}, finish_reason: 'stop' }),
  usageFrame('chat.completion.chunk'),
  'data: [DONE]\n\n',
]
const TEXT = [
  ...WORDS.map((text) => chunk({ text, finish_reason: null }, { object: 'text_completion' })),
  chunk({ text: '', finish_reason: 'stop' }, { object: 'text_completion' }),
  usageFrame('text_completion'),
  'data: [DONE]\n\n',
]
const RESPONSE = responseEvents([message(WORDS.join(''))], {
  usage: {
    input_tokens: INPUT,
    input_tokens_details: { cached_tokens: 0 },
    output_tokens: OUTPUT,
    output_tokens_details: { reasoning_tokens: 0 },
    total_tokens: INPUT + OUTPUT,
  },
})
const begun = { id: 'm', type: 'message', role: 'assistant', model: 'm', content: [], stop_reason: null }
const MESSAGE = [
  event('message_start', { message: { ...begun, usage: { input_tokens: INPUT, output_tokens: 1 } } }),
  event('content_block_start', { index: 0, content_block: { type: 'text', text: '' } }),
  ...WORDS.map((text) => event('content_block_delta', { index: 0, delta: { type: 'text_delta', text } })),
  event('content_block_stop', { index: 0 }),
  event('message_delta', { delta: { stop_reason: 'end_turn' }, usage: { output_tokens: OUTPUT } }),
  event('message_stop'),
]
const CONTENT = [
  ...WORDS.map((text) => candidate(text)),
  sse({
    candidates: [{ index: 0, content: { role: 'model', parts: [{ text: '' }] }, finishReason: 'STOP' }],
    modelVersion: 'm',
    usageMetadata: { promptTokenCount: INPUT, candidatesTokenCount: OUTPUT, totalTokenCount: INPUT + OUTPUT },
  }),
]

interface Route {
  path: string
  body: Json
  frames: readonly string[]
}

const hello = { messages: [{ role: 'user', content: 'Hello' }], max_tokens: 300 }
const contents = [{ role: 'user', parts: [{ text: 'Hello' }] }]
const chatted = { model: 'chat', stream: true }
const generate = (model: string) => `/v1beta/models/${model}:streamGenerateContent?alt=sse`
const ROUTES: readonly [string, Route][] = [
  ['chat completions', { path: '/v1/chat/completions', body: { ...chatted, ...hello }, frames: CHAT }],
  [
    'chat completions of Claude',
    { path: '/v1/chat/completions', body: { ...chatted, ...hello, model: 'claude' }, frames: MESSAGE },
  ],
  [
    'responses as they are',
    { path: '/v1/responses', body: { ...chatted, model: 'response', input: 'Hello' }, frames: RESPONSE },
  ],
  ['responses by chat', { path: '/v1/responses', body: { ...chatted, input: 'Hello' }, frames: CHAT }],
  [
    'responses of Claude',
    { path: '/v1/responses', body: { ...chatted, model: 'claude', input: 'Hello' }, frames: MESSAGE },
  ],
  ['messages as they are', { path: '/v1/messages', body: { ...chatted, ...hello, model: 'claude' }, frames: MESSAGE }],
  ['messages by chat', { path: '/v1/messages', body: { ...chatted, ...hello }, frames: CHAT }],
  ['Gemini’s surface as it is', { path: generate('gemini'), body: { contents }, frames: CONTENT }],
  ['Gemini’s surface by chat', { path: generate('chat'), body: { contents }, frames: CHAT }],
  [
    'completions as they are',
    { path: '/v1/completions', body: { ...chatted, model: 'text', prompt: 'Hello', max_tokens: 300 }, frames: TEXT },
  ],
  [
    'completions by chat',
    { path: '/v1/completions', body: { ...chatted, prompt: 'Hello', max_tokens: 300 }, frames: CHAT },
  ],
]

/** A frame that has a word of the answer. */
const hasWord = (frame: string) => /(?:Hello| there| this| is| a| test)"/.test(frame)

describe.each(ROUTES)('%s', (name, { path, body, frames }) => {
  test(`A stream of ${name} that is cut after any frame is charged for what came, once.`, async () => {
    const { id, keys } = await product.db.seedOrganization({ credits: 10_000, users: { alice: 10_000 } })
    const charged: number[] = []
    for (let passed = 0; passed <= frames.length; passed += 1) {
      const bytes = Buffer.byteLength(frames.slice(0, passed).join(''))
      const isCut = passed < frames.length
      product.upstream.respond(rawStream(frames, isCut ? { cutAfter: bytes } : {}))
      const before = product.upstream.requests.length
      await postChat(product.tollgate, keys.alice as string, body, { path })
      expect(product.upstream.requests.length - before).toBe(1)
      const row = await vi.waitFor(
        async () => {
          const rows = await rowsOf(product.db.pool, id)
          expect(rows).toHaveLength(passed + 1)
          return rows.at(-1)!
        },
        { timeout: 10_000, interval: 20 },
      )
      charged.push(Number(row.credits_used))
      if (!isCut) expect([row.outcome, row.credits_used, row.provenance]).toEqual(['answered', WHOLE, 'provider_usage'])
    }
    for (const [passed, charge] of charged.entries()) {
      const at = `cut after ${passed} of ${frames.length} frames`
      if (!frames.slice(0, passed).some(hasWord)) expect(charge, at).toBe(0)
      else expect(charge, at).toBeGreaterThan(0)
      expect(charge, at).toBeLessThanOrEqual(Number(WHOLE))
      expect(charge, at).toBeGreaterThanOrEqual(charged[passed - 1] ?? 0)
    }
  })
})
