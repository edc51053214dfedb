/** What a provider might answer that means harm or is broken, in every dialect: streams, whole answers, errors, and none of them. */
import { gzipSync } from 'node:zlib'
import fc from 'fast-check'
import { HOSTILE_STREAMS } from '../support/hostile-streams.ts'
import { seeded } from '../support/splits.ts'
import type { Script } from '../support/upstream-answers.ts'
import { wholeAnswers } from './whole-answers.ts'

export interface FuzzedAnswer {
  model: string
  stream: boolean
  script: Script
}

/** Of test/attack/config.ts. */
const MODELS: readonly (readonly [model: string, dialect: Dialect])[] = [
  ['gpt-4o-mini', 'openai'],
  ['counted', 'openai'],
  ['routed', 'openai'],
  ['grok', 'openai'],
  ['claude', 'anthropic'],
  ['claude', 'anthropic'],
  ['flash', 'google'],
  ['flash', 'google'],
]

const NAMES =
  'content text role index delta type id name arguments function tool_calls usage parts candidates finishReason content_block message error status code thinking citations'.split(
    ' ',
  )

const word = fc.oneof(
  fc.string({ unit: 'binary', maxLength: 12 }),
  fc.constantFrom('a', '', 'stop', 'length', 'end_turn', 'STOP'),
)
const number = fc.oneof(fc.integer(), fc.constantFrom(0, 1, -1, 1e308, 2 ** 53, 0.5))
const { value } = fc.letrec<{ value: unknown }>((tie) => ({
  value: fc.oneof(
    { maxDepth: 4 },
    { weight: 3, arbitrary: fc.oneof(word, number, fc.boolean(), fc.constant(null)) },
    fc.array(tie('value'), { maxLength: 3 }),
    fc.dictionary(fc.constantFrom(...NAMES), tie('value'), { maxKeys: 4 }),
  ),
}))
const some = <T>(usual: fc.Arbitrary<T>) => fc.oneof({ weight: 6, arbitrary: usual as fc.Arbitrary<unknown> }, value)

const rarely = (odd: fc.Arbitrary<unknown>) => fc.oneof({ weight: 12, arbitrary: fc.constant<unknown>(undefined) }, odd)

const usage = fc.record(
  { prompt_tokens: some(fc.nat(50)), completion_tokens: some(fc.nat(50)), total_tokens: value, cost: value },
  { requiredKeys: [] },
)
const openai = fc.record(
  {
    id: some(fc.constant('c')),
    model: some(fc.constantFrom('gpt-4o-mini', 'm')),
    choices: some(
      fc.array(
        some(
          fc.record(
            {
              index: some(fc.constant(0)),
              delta: some(fc.record({ content: some(word), role: value, tool_calls: value }, { requiredKeys: [] })),
              message: value,
              finish_reason: some(fc.constantFrom(null, 'stop')),
            },
            { requiredKeys: ['index'] },
          ),
        ),
        { maxLength: 2 },
      ),
    ),
    usage: some(usage),
    error: rarely(value),
    x_groq: value,
    service_tier: value,
  },
  { requiredKeys: ['choices'] },
)
const EVENTS = [
  'message_start',
  'content_block_start',
  'content_block_delta',
  'content_block_stop',
  'message_delta',
  'message_stop',
  'error',
  'ping',
]
const claude = fc.record(
  {
    type: some(fc.constantFrom(...EVENTS)),
    index: some(fc.nat(2)),
    message: some(
      fc.record({
        id: value,
        model: value,
        usage: some(fc.record({ input_tokens: some(fc.nat(9)), output_tokens: some(fc.nat(9)), iterations: value })),
      }),
    ),
    content_block: some(
      fc.record({
        type: some(fc.constantFrom('text', 'tool_use', 'thinking', 'redacted_thinking')),
        text: value,
        id: value,
        name: value,
        input: value,
        thinking: value,
      }),
    ),
    delta: some(
      fc.record(
        {
          type: some(
            fc.constantFrom('text_delta', 'input_json_delta', 'thinking_delta', 'signature_delta', 'citations_delta'),
          ),
          text: some(word),
          partial_json: value,
          thinking: value,
          signature: value,
          stop_reason: value,
          citation: value,
        },
        { requiredKeys: [] },
      ),
    ),
    usage: some(fc.record({ output_tokens: some(fc.nat(9)) })),
    error: rarely(value),
  },
  { requiredKeys: ['type'] },
)
const gemini = fc.record(
  {
    candidates: some(
      fc.array(
        some(
          fc.record(
            {
              index: some(fc.nat(1)),
              content: some(fc.record({ parts: some(fc.array(value, { maxLength: 3 })), role: value })),
              finishReason: value,
              groundingMetadata: value,
              citationMetadata: value,
              logprobsResult: value,
            },
            { requiredKeys: [] },
          ),
        ),
        { maxLength: 2 },
      ),
    ),
    usageMetadata: some(
      fc.record(
        {
          promptTokenCount: some(fc.nat(9)),
          candidatesTokenCount: some(fc.nat(9)),
          totalTokenCount: value,
          thoughtsTokenCount: value,
        },
        { requiredKeys: [] },
      ),
    ),
    modelVersion: value,
    responseId: value,
    promptFeedback: value,
    error: rarely(value),
  },
  { requiredKeys: ['candidates'] },
)

type Dialect = 'openai' | 'anthropic' | 'google'
const OWN = { openai, anthropic: claude, google: gemini } as const
const WHOLE = wholeAnswers(some, value, word)

/** A content and an end as the provider writes them. */
const PROPER: Readonly<Record<Dialect, readonly [string, string]>> = {
  openai: [
    'data: {"model":"m","choices":[{"index":0,"delta":{"content":"a"}}]}\n\n',
    'data: {"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n',
  ],
  anthropic: [
    'data: {"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"a"}}\n\n',
    'data: {"type":"message_delta","delta":{"stop_reason":"end_turn"}}\n\ndata: {"type":"message_stop"}\n\n',
  ],
  google: [
    'data: {"candidates":[{"index":0,"content":{"parts":[{"text":"a"}]}}]}\n\n',
    'data: {"candidates":[{"index":0,"finishReason":"STOP"}]}\n\n',
  ],
}

const frameOf = (json: fc.Arbitrary<unknown>) =>
  fc.oneof(
    { weight: 12, arbitrary: json.map((one) => `data: ${JSON.stringify(one)}\n\n`) },
    fc.constantFrom(
      ': x\n\n',
      'data: [DONE]\n\n',
      'event: error\ndata: {}\n\n',
      'data: {\ndata: }\n\n',
      '\r\n\r\n',
      '[',
      ']',
    ),
    fc.string({ unit: 'binary', maxLength: 20 }),
  )

/** Most often what was asked for, in the dialect of the model: what is of another form is refused before most of us has seen it. */
function bytesOf(dialect: Dialect, stream: boolean): fc.Arbitrary<Buffer> {
  const own: fc.Arbitrary<unknown> = OWN[dialect]
  const json = fc.oneof({ weight: 20, arbitrary: own }, openai, claude, gemini, value)
  const [content, end] = PROPER[dialect]
  const streamed = fc
    .tuple(
      fc.constantFrom('', content, content),
      fc.array(frameOf(json), { maxLength: 8 }),
      fc.constantFrom('', end, end, end),
    )
    .map(([first, frames, last]) => Buffer.from([first, ...frames, last].join('')))
  const hostile = fc
    .record({
      shape: fc.constantFrom(...HOSTILE_STREAMS.filter((shape) => shape.dialect === dialect)),
      bytes: fc.integer({ min: 100, max: 20_000 }),
    })
    .map(({ shape, bytes }) => shape.make(bytes))
  const whole = (WHOLE[dialect] as fc.Arbitrary<unknown>).map((one) => Buffer.from(JSON.stringify(one)))
  const [asked, other] = stream ? [streamed, whole] : [whole, streamed]
  return fc.oneof(
    { weight: 16, arbitrary: asked },
    { weight: 1, arbitrary: other },
    { weight: stream ? 4 : 1, arbitrary: hostile },
    fc.uint8Array({ maxLength: 300 }).map((raw) => Buffer.from(raw)),
  )
}

const headers = fc.dictionary(
  fc.constantFrom('content-type', 'retry-after', 'x-request-id', 'x-ratelimit-reset', 'x-should-retry'),
  fc.constantFrom(
    'application/json',
    'text/event-stream',
    'text/html',
    '0',
    '-1',
    '1e99',
    'Thu, 01 Jan 1970 00:00:00 GMT',
    'caf\xe9',
  ),
  { maxKeys: 2, noNullPrototype: true },
)

const answerOf = (dialect: Dialect, stream: boolean) =>
  fc
    .record({
      bytes: bytesOf(dialect, stream),
      headers,
      status: fc.oneof(
        { weight: 40, arbitrary: fc.constant(200) },
        fc.constantFrom(201, 204, 400, 401, 403, 404, 408, 413, 429, 500, 503, 529),
      ),
      seed: fc.nat(),
      cutAfter: fc.oneof({ weight: 12, arbitrary: fc.constant(undefined) }, fc.nat(400)),
      packed: fc.constantFrom(...Array<string>(20).fill('no'), 'gzip', 'not really'),
    })
    .map(({ bytes: plain, headers: own, status, seed, cutAfter, packed }): Script => {
      const body = packed === 'gzip' ? gzipSync(plain) : plain
      return {
        status,
        headers: { ...own, ...(packed === 'no' ? {} : { 'content-encoding': 'gzip' }) },
        frames: status === 204 ? [] : [body],
        split: seeded(seed, 200),
        ...(cutAfter === undefined ? {} : { cutAfter }),
      }
    })

export const fuzzedAnswer: fc.Arbitrary<FuzzedAnswer> = fc
  .tuple(fc.constantFrom(...MODELS), fc.boolean())
  .chain(([[model, dialect], stream]) =>
    fc.record({
      model: fc.constant(model),
      stream: fc.constant(stream),
      script: fc.oneof({ weight: 60, arbitrary: answerOf(dialect, stream) }, fc.constant<Script>('hangUp')),
    }),
  )
