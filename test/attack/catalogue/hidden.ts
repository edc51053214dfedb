/** What does not show: thoughts, rejected predictions, and what is left before its usage. A provider bills all of it. */
import { rawStream } from '../../support/upstream-answers.ts'
import type { Actor } from '../actor.ts'
import type { Bill } from '../bill.ts'
import { chunk, DONE, FINISH, INPUT, openAiReader, ROLE, streams, usageFrame, usageOf, words } from '../provider.ts'
import { between, exact, type Promised, type Provider, type Trick } from '../trick.ts'

type Json = Record<string, unknown>

const three = words(3).map((content) => chunk({ content }))
const stated = (output: number, more: Json = {}) => [...three, FINISH, usageFrame(usageOf(INPUT, output, more)), DONE]

/** Shows its first frames, then writes on out of sight, and states all of it once its reader has left. */
function writesOn(first: readonly string[], rest: readonly string[], bill: Bill): Provider {
  return ({ aborted }) => {
    const slow = Promise.race([aborted, new Promise<void>((resolve) => setTimeout(resolve, 60))])
    const model = bill.model ?? 'gpt-4o-mini'
    const frames = [...first, ...rest].map((frame) => frame.replace('"model":"gpt-4o-mini"', `"model":"${model}"`))
    return { script: rawStream(frames, { gate: (i) => (i === first.length ? slow : undefined) }), bill }
  }
}

const left = (
  name: string,
  body: Json,
  at: number,
  provider: Provider,
  promise: Promised = exact,
  more: Partial<Trick> = {},
): Trick => ({
  name: `leaves what does not show: ${name}`,
  by: 'caller',
  act: { body: { stream: true, ...body }, leaveAfter: at },
  provider,
  promise,
  ...more,
})

const thought = (reasoning: number) => ({ completion_tokens_details: { reasoning_tokens: reasoning } })
/** Too short for any cache. */
const predicted = { prediction: { type: 'content', content: ' word'.repeat(500) } }
const REJECTED = { completion_tokens_details: { rejected_prediction_tokens: 490 } }

const gemini = (parts: Json[], usageMetadata: Json | null): string =>
  `data: ${JSON.stringify({
    candidates: [
      { index: 0, content: { role: 'model', parts }, ...(usageMetadata === null ? {} : { finishReason: 'STOP' }) },
    ],
    modelVersion: 'gemini-2.5-flash',
    ...(usageMetadata === null ? {} : { usageMetadata }),
  })}\r\n\r\n`

const PREDICTED: readonly Trick[] = [1, 3].map((at) =>
  left(
    `a prediction that is all wrong, after frame ${at}`,
    { ...predicted, max_tokens: 10 },
    at + 1,
    writesOn([ROLE, ...three.slice(0, at)], [FINISH, usageFrame(usageOf(INPUT, at + 490, REJECTED)), DONE], {
      input: INPUT,
      output: at + 490,
    }),
  ),
)

const THOUGHTS: readonly Trick[] = [
  left(
    'the thoughts of a model, once it has its role',
    { model: 'o4-mini', max_tokens: 4_000 },
    0,
    writesOn([ROLE], stated(2_003, thought(2_000)), { model: 'o4-mini', input: INPUT - 1, output: 2_003 }),
    between('true', 'held'),
  ),
  left(
    'the thoughts of a model, after its third word',
    { model: 'o4-mini', max_tokens: 4_000 },
    4,
    writesOn([ROLE, ...three], stated(2_003, thought(2_000)).slice(3), {
      model: 'o4-mini',
      input: INPUT,
      output: 2_003,
    }),
  ),
  left(
    'the thoughts of a model whose stream breaks off',
    { model: 'o4-mini', max_tokens: 4_000 },
    4,
    streams([ROLE, ...three], { model: 'o4-mini', input: INPUT, output: 3 }),
    // In the rates of the model that its frames name.
    between(4_725n, 'held'),
  ),
  left(
    'thoughts that are left out on request, through the router',
    { model: 'routed', reasoning: { exclude: true }, max_tokens: 4_000 },
    2,
    writesOn([ROLE, ...three.slice(0, 1)], stated(1_003, thought(1_000)).slice(1), { input: INPUT, output: 1_003 }),
  ),
  left(
    'the thoughts of Gemini, after its first frame',
    { model: 'flash', max_tokens: 4_000 },
    1,
    writesOn(
      [gemini([{ text: 'Hello' }], null)],
      [gemini([{ text: ' world' }], { promptTokenCount: 10, candidatesTokenCount: 5, thoughtsTokenCount: 900 })],
      { model: 'gemini-2.5-flash', input: 10, output: 905 },
    ),
  ),
]

const many = (count: number, credits: number, body: Json, provider: Provider): Trick => ({
  name: `${count} streams at once that think out of sight and are left, on ${credits} credits`,
  by: 'caller',
  act: async ({ call }: Actor) => {
    await Promise.all(Array.from({ length: count }, () => call({ body: { stream: true, ...body }, leaveAfter: 2 })))
  },
  provider,
  credits,
  promise: exact,
})

/** To its cap. 2,000 tokens at $4.40 a million, and half of it on top: 13.2 credits, and the input. */
const thinker: Provider = (request, call) => {
  const output = openAiReader.cap(request.json ?? {}) ?? 2_000
  const bill: Bill = { model: 'o4-mini', input: INPUT, output }
  return writesOn(
    [ROLE, chunk({ content: ' word' })],
    stated(output, thought(output - 4)).slice(1),
    bill,
  )(request, call)
}

const MANY: readonly Trick[] = [
  many(10, 45, { model: 'o4-mini', max_tokens: 2_000 }, thinker),
  many(10, 15, { model: 'o4-mini', max_tokens: 2_000 }, thinker),
]

export const HIDDEN: readonly Trick[] = [...PREDICTED, ...THOUGHTS, ...MANY]
