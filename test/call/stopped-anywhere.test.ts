/**
 * An honest caller who stops a stream at any frame never pays more than the call read to its end would have cost. Each stream is of one
 * token a frame, as models write, and its provider states what it wrote; the settling is the product's own.
 */
import { describe, expect, onTestFinished, test } from 'vitest'
import { createSettler } from '../support/settle-frames.ts'
import { configFor, modelOn } from '../support/tollgate.ts'
import { sse } from '../support/upstream-answers.ts'

const URL = 'http://127.0.0.1:9/v1'
const PROMPT = 'Say hello'
/** "user" and "Say hello" are 3 tokens, the frame of the message and the answer's opening 6. */
const INPUT = 9

const CONFIG = configFor(URL, { models: [modelOn(URL, 'claude', { model: 'anthropic/claude-haiku-4-5' })] })

interface Stream {
  name: string
  model: string
  frames: string[]
}

const chunk = (delta: object, more: object = {}) =>
  sse({ id: 'c', model: 'gpt-4o-mini', choices: [{ index: 0, delta, finish_reason: null }], ...more })
const usageOf = (output: number) => ({ prompt_tokens: INPUT, completion_tokens: output, total_tokens: INPUT + output })
const finish = (more: object = {}) =>
  sse({ id: 'c', model: 'gpt-4o-mini', choices: [{ index: 0, delta: {}, finish_reason: 'stop' }], ...more })
const last = (output: number) => [
  finish(),
  sse({ id: 'c', model: 'gpt-4o-mini', choices: [], usage: usageOf(output) }),
  'data: [DONE]\n\n',
]
const words = [
  'Hello',
  ' there',
  ',',
  ' this',
  ' is',
  ' a',
  ' test',
  ' of',
  ' many',
  ' words',
  '.',
  '\n',
  ' It',
  ' ends',
]
const ROLE = chunk({ role: 'assistant', content: '' })

function claude(pieces: readonly string[]): string[] {
  const event = (type: string, members: object) => `event: ${type}\ndata: ${JSON.stringify({ type, ...members })}\n\n`
  const usage = { input_tokens: INPUT, output_tokens: 1 }
  return [
    event('message_start', { message: { id: 'm', model: 'claude-haiku-4-5', content: [], usage } }),
    event('content_block_start', { index: 0, content_block: { type: 'text', text: '' } }),
    ...pieces.map((text) => event('content_block_delta', { index: 0, delta: { type: 'text_delta', text } })),
    event('content_block_stop', { index: 0 }),
    event('message_delta', { delta: { stop_reason: 'end_turn' }, usage: { output_tokens: pieces.length } }),
    event('message_stop', {}),
  ]
}

const STREAMS: readonly Stream[] = [
  {
    name: 'text',
    model: 'gpt-4o-mini',
    frames: [ROLE, ...words.map((content) => chunk({ content })), ...last(words.length)],
  },
  {
    name: 'thoughts that are shown',
    model: 'gpt-4o-mini',
    frames: [ROLE, ...words.map((reasoning) => chunk({ reasoning })), ...last(words.length)],
  },
  {
    name: 'a tool call',
    model: 'gpt-4o-mini',
    frames: [
      chunk({
        role: 'assistant',
        content: null,
        tool_calls: [{ index: 0, id: 'call_1', type: 'function', function: { name: 'weather', arguments: '' } }],
      }),
      ...['{"', 'city', '":"', 'Paris', '"}'].map((args) =>
        chunk({ tool_calls: [{ index: 0, function: { arguments: args } }] }),
      ),
      ...last(8),
    ],
  },
  {
    name: 'usage in every frame',
    model: 'gpt-4o-mini',
    frames: [
      chunk({ role: 'assistant' }, { usage: usageOf(0) }),
      ...words.map((content, i) => chunk({ content }, { usage: usageOf(i + 1) })),
      finish({ usage: usageOf(words.length) }),
      'data: [DONE]\n\n',
    ],
  },
  {
    name: 'usage in the finish frame',
    model: 'gpt-4o-mini',
    frames: [ROLE, ...words.map((content) => chunk({ content })), finish({ usage: usageOf(words.length) })],
  },
  {
    name: 'usage stated first',
    model: 'gpt-4o-mini',
    frames: [
      chunk({ role: 'assistant' }, { usage: usageOf(0) }),
      ...words.map((content) => chunk({ content })),
      ...last(words.length),
    ],
  },
  {
    name: 'no usage at all',
    model: 'gpt-4o-mini',
    frames: [ROLE, ...words.map((content) => chunk({ content })), finish(), 'data: [DONE]\n\n'],
  },
  {
    name: 'a model of an unknown limit',
    model: 'exact',
    frames: [ROLE, ...words.map((content) => chunk({ content })), ...last(words.length)],
  },
  { name: 'Claude', model: 'claude', frames: claude(words) },
]

describe('stopped at any frame, a stream costs no more than read to its end', () => {
  test.each(STREAMS)(
    'A stream that is stopped at any frame costs no more than read to its end: $name',
    async ({ model, frames }) => {
      const settler = createSettler(CONFIG)
      onTestFinished(settler.close)
      const stream = settler.stream({ model, messages: [{ role: 'user', content: PROMPT }], stream: true })
      const whole = await stream.readToItsEnd(frames)
      let before = 0n
      for (let stop = 0; stop < frames.length; stop += 1) {
        const charged = await stream.stoppedAfter(frames.slice(0, stop))
        expect(charged, `stopped after ${stop} frames`).toBeLessThanOrEqual(whole)
        // Nor is it cheaper to wait.
        expect(charged, `stopped after ${stop} frames`).toBeGreaterThanOrEqual(before)
        before = charged
      }
      expect(whole).toBeGreaterThan(0n)
    },
  )
})
