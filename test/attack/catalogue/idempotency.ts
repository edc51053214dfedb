/** One key for several calls: none is paid for twice, and none is had for nothing. */
import { jsonAnswer, sse } from '../../support/upstream-answers.ts'
import type { Actor } from '../actor.ts'
import { chunk, greedy, honest, INPUT, ROLE, streams, streamsThenWaits, usageOf, words } from '../provider.ts'
import { between, exact, type Provider, refused, type Trick } from '../trick.ts'

const BILL = { input: INPUT, output: 2 }
const KEY = { 'idempotency-key': 'attack-1' }

/** The provider bills each call that reaches it: two calls are charged as two. */
function once(
  name: string,
  act: (actor: Actor) => Promise<void>,
  provider: Provider = honest(BILL),
  more: Partial<Trick> = {},
): Trick {
  return { name, by: 'caller', act, provider, promise: exact, ...more }
}

function expectCalls(limit: number, provider: Provider): Provider {
  return (request, call) => {
    if (call > limit) throw new Error(`the provider was called ${call} times`)
    return provider(request, call)
  }
}

const paidFailure = jsonAnswer({ error: { message: 'boom' }, choices: [], usage: usageOf(INPUT, 50) })

export const IDEMPOTENCY: readonly Trick[] = [
  once(
    'the same call three times',
    async ({ call }) => {
      for (let i = 0; i < 3; i += 1) await call({ headers: KEY })
    },
    expectCalls(1, honest(BILL)),
  ),
  once(
    'the same call, cheaper',
    async ({ call }) => {
      await call({ headers: { ...KEY, 'x-power-level': 'balanced' } })
      await call({ headers: { ...KEY, 'x-power-level': 'eco' } })
    },
    expectCalls(1, honest(BILL)),
  ),
  once(
    'bought cheap, asked for again at precision',
    async ({ call }) => {
      await call({ headers: { ...KEY, 'x-power-level': 'eco' } })
      await call({ headers: { ...KEY, 'x-power-level': 'precision' } })
    },
    expectCalls(1, honest(BILL)),
    { factor: 1_000n },
  ),
  once(
    'another call under the key of one that was paid',
    async ({ call }) => {
      await call({ headers: KEY, body: { max_tokens: 2 } })
      await call({ headers: KEY, body: { max_tokens: 9_000 } })
    },
    expectCalls(1, greedy()),
  ),
  once(
    'ten at once',
    async ({ call }) => {
      await Promise.all(Array.from({ length: 10 }, () => call({ headers: KEY })))
    },
    expectCalls(1, honest(BILL)),
  ),
  once(
    'a failure that was paid for, asked for again',
    async ({ call }) => {
      for (let i = 0; i < 3; i += 1) await call({ headers: KEY })
    },
    expectCalls(1, () => ({ script: paidFailure, bill: { input: INPUT, output: 50 } })),
  ),
  once(
    'a stream, asked for again',
    async ({ call }) => {
      for (let i = 0; i < 3; i += 1) await call({ headers: KEY, body: { stream: true } })
    },
    expectCalls(1, honest(BILL)),
  ),
  once(
    'a stream that was left, asked for again',
    async ({ call }) => {
      await call({ headers: KEY, body: { stream: true }, leaveAfter: 4 })
      await call({ headers: KEY, body: { stream: true } })
    },
    expectCalls(
      1,
      streamsThenWaits([ROLE, ...words(3).map((content) => chunk({ content }))], { input: INPUT, output: 3 }),
    ),
  ),
  once(
    'a stream that failed in the middle, asked for again',
    async ({ call }) => {
      await call({ headers: KEY, body: { stream: true } })
      await call({ headers: KEY, body: { stream: true } })
    },
    expectCalls(
      1,
      streams([ROLE, ...words(3).map((content) => chunk({ content })), sse({ error: { message: 'boom' } })], {
        input: INPUT,
        output: 3,
      }),
    ),
  ),
  once('a call that was refused leaves its key free', async ({ call }) => {
    await call({ headers: KEY, body: { n: 0 } })
    await call({ headers: KEY })
  }),
  ...['two words', '', 'é', 'x'.repeat(300)].map(
    (key): Trick => ({
      name: `a key that is none: ${key.slice(0, 12)}`,
      by: 'caller',
      act: { headers: { 'idempotency-key': Buffer.from(key).toString('latin1') } },
      provider: honest(BILL),
      promise: key === '' ? between('true', 'true') : refused('invalid_idempotency_key'),
    }),
  ),
  once('the ids of one call on another', async ({ call }) => {
    const headers = { 'x-request-id': 'same', 'x-litellm-call-id': '01a1ff32-7504-72b4-8f9f-79e97b0c6176' }
    await call({ headers })
    await call({ headers })
  }),
]
