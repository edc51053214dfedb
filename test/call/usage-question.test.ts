/** Streams are asked for their usage; a server that does not know the question is asked once more without it, and never again. */
import { describe, expect, test } from 'vitest'
import { createUsageQuestionRefused } from '../../src/call/usage-question.ts'
import { rowOfCall } from '../support/call-books.ts'
import { useProduct } from '../support/product.ts'
import { type CallAnswer, modelOn, postChat } from '../support/tollgate.ts'
import type { ReceivedRequest } from '../support/upstream.ts'
import { type Answer, chat, chatStream, errorAnswer, type Handler } from '../support/upstream-answers.ts'

const NAMES = ['first', 'second', 'third', 'fourth', 'fifth', 'sixth', 'seventh', 'eighth', 'ninth', 'tenth'] as const
const product = useProduct((url) => ({
  models: NAMES.map((name) => modelOn(url, name, { model: 'openai/gpt-4o-mini' })),
  litellm_settings: { num_retries: 0 },
}))

const HELLO = { messages: [{ role: 'user', content: 'Say hello now' }] }
const ASKED = { stream: true, stream_options: { include_usage: true } }
/** The input counts 10 tokens, "Hello world" 2: (10 x 150 + 2 x 600) x 1.5 nano-dollars. */
const COUNTED = { credits_used: '0.004050', provenance: 'estimated', outcome: 'answered' }
const STATED = { credits_used: '0.006975', provenance: 'provider_usage', outcome: 'answered' }

const refusal = (message: string, param?: string) =>
  errorAnswer(400, { message, type: 'invalid_request_error', ...(param === undefined ? {} : { param }) })
/** Refuses requests with `stream_options` and states no usage. */
const unknowing: Handler = ({ json }) =>
  json !== null && 'stream_options' in json ? refusal('Unknown: stream_options', 'stream_options') : plain()
const plain = (model = 'gpt-4o-mini'): Answer => chatStream({ usage: null, model })

interface Result {
  answer: CallAnswer
  /** What reached the provider. */
  sent: (ReceivedRequest['json'] | null)[]
}

async function call(model: string, handler: Handler, body: object): Promise<Result> {
  const { db, upstream, tollgate } = product
  const acme = await db.seedOrganization({ credits: 1_000, users: { alice: 500 } })
  upstream.respond(handler)
  const before = upstream.requests.length
  const answer = await postChat(tollgate, acme.keys.alice, { model, ...HELLO, ...body })
  return { answer, sent: upstream.requests.slice(before).map(({ json }) => json) }
}

const rowOf = ({ answer }: Result) => rowOfCall(product.db.pool, answer.headers.get('x-litellm-call-id'))
const SENT = { model: 'gpt-4o-mini', ...HELLO, stream: true }

describe('a server that does not know stream_options', () => {
  test('A server that does not know stream_options is asked once more without; the caller sees nothing of it; later streams are not asked.', async () => {
    const first = await call('first', unknowing, { stream: true })
    expect(first.sent).toEqual([{ ...SENT, ...ASKED }, SENT])
    expect(first.answer.status).toBe(200)
    expect(first.answer.body).toBe(plain('first').frames.join(''))
    expect(first.answer.headers.get('x-litellm-attempted-retries')).toBe('0')
    expect(await rowOf(first)).toMatchObject({ ...COUNTED, details: { retries: 0, fallbacks: 0 } })

    const second = await call('first', unknowing, { stream: true })
    expect(second.sent).toEqual([SENT])
    expect(second.answer.body).toBe(plain('first').frames.join(''))
    expect(await rowOf(second)).toMatchObject(COUNTED)
  })

  test('Where a server does not know stream_options, a usage frame is made for a caller who asked, the first time and later.', async () => {
    for (const requests of [2, 1]) {
      const result = await call('second', unknowing, ASKED)
      expect(result.sent).toHaveLength(requests)
      expect(result.sent.at(-1)).toEqual(SENT)
      const frames = result.answer.body.split('\n\n')
      expect(frames.slice(-2)).toEqual(['data: [DONE]', ''])
      expect(JSON.parse(frames.at(-3)?.slice(6) ?? '')).toMatchObject({
        object: 'chat.completion.chunk',
        choices: [],
        usage: { prompt_tokens: 10, completion_tokens: 2, total_tokens: 12, cost: 0.00000405 },
      })
      expect(await rowOf(result)).toMatchObject(COUNTED)
    }
  })

  test('A server that does not know stream_options is found out by several streams at once, none of which fails because of it.', async () => {
    const bothAsked = Promise.withResolvers<void>()
    let asked = 0
    const together: Handler = async (request) => {
      if (request.json !== null && 'stream_options' in request.json) {
        asked += 1
        if (asked === 2) bothAsked.resolve()
        await bothAsked.promise
      }
      return unknowing(request)
    }
    const calls = await Promise.all([1, 2].map(() => call('seventh', together, { stream: true })))
    for (const result of calls) {
      expect(result.answer.body).toBe(plain('seventh').frames.join(''))
      expect(await rowOf(result)).toMatchObject(COUNTED)
    }
    expect(asked).toBe(2)
  })

  test('One server that does not know stream_options keeps no other from being asked.', async () => {
    const { sent, ...result } = await call('third', chat(), { stream: true })
    expect(sent).toEqual([{ ...SENT, ...ASKED }])
    expect(await rowOf({ sent, ...result })).toMatchObject(STATED)
  })
})

describe('no request keeps a server from being asked for its usage:', () => {
  /** What a later stream of an honest caller is sent and charged. */
  async function expectAskedOn(model: string): Promise<void> {
    const honest = await call(model, chat(), { stream: true })
    expect(honest.sent).toEqual([{ ...SENT, ...ASKED }])
    expect(await rowOf(honest)).toMatchObject(STATED)
  }

  test('No request keeps a server from being asked for its usage by options of its own, which no server gets to see.', async () => {
    const own = { stream: true, stream_options: { include_obfuscation: 'yes' } }
    const { answer, sent } = await call('fourth', chat(), own)
    expect(answer.status).toBe(200)
    expect(sent).toEqual([{ ...SENT, ...ASKED }])
    await expectAskedOn('fourth')
  })

  test('No request keeps a server from being asked for its usage by options in a call that is no stream, which no server gets to see.', async () => {
    const { answer, sent } = await call('fifth', chat(), { stream_options: { include_usage: true } })
    expect(answer.status).toBe(200)
    expect(sent).toEqual([{ model: 'gpt-4o-mini', ...HELLO }])
  })

  test('No request keeps a server from being asked for its usage by a refusal of such options in a call that is no stream.', async () => {
    const wrong = refusal("'stream_options' is only allowed when 'stream' is enabled.", 'stream_options')
    const { answer, sent } = await call('fifth', () => wrong, { stream_options: { include_usage: true } })
    expect(answer.status).toBe(400)
    expect(answer.json()).toMatchObject({ error: { param: 'stream_options' } })
    expect(sent).toHaveLength(1)
    await expectAskedOn('fifth')
  })

  test('No request keeps a server from being asked for its usage by a request that is refused either way, in words that name the member.', async () => {
    const wrong = refusal("Invalid value: 'stream_options'. Supported values are: 'user'.", 'messages[0].role')
    const { answer, sent } = await call('sixth', () => wrong, {
      stream: true,
      messages: [{ role: 'stream_options', content: 'Say hello now' }],
    })
    expect(answer.status).toBe(400)
    expect(answer.json()).toMatchObject({ error: { param: 'messages[0].role' } })
    expect(sent).toHaveLength(1)
    await expectAskedOn('sixth')
  })

  test('No request keeps a server from being asked for its usage by words of its own that the server quotes.', async () => {
    const wrong = refusal("'stream_options' is no role.")
    const { answer, sent } = await call('eighth', () => wrong, {
      stream: true,
      messages: [{ role: 'stream_options', content: 'Say hello now' }],
    })
    expect(answer.status).toBe(400)
    expect(sent).toHaveLength(2)
    await expectAskedOn('eighth')
  })

  test('No request keeps a server from being asked for its usage by words of its own that the server stumbles over once.', async () => {
    const quoted = refusal("'stream_options' is no role.")
    const { answer, sent } = await call('tenth', ({ json }) => (json?.stream_options ? quoted : plain()), {
      stream: true,
      messages: [{ role: 'user', name: 'stream_options', content: 'Say hello now' }],
    })
    expect(answer.status).toBe(200)
    expect(sent).toHaveLength(2)
    await expectAskedOn('tenth')
  })

  test('No request keeps a server from being asked for its usage by such words, where the second try fails for another reason.', async () => {
    const quoted = refusal("'stream_options' is no role.")
    const busy = errorAnswer(429, { message: 'Slow down', code: 'rate_limit_exceeded' })
    const { answer, sent } = await call('ninth', ({ json }) => (json?.stream_options ? quoted : busy), {
      stream: true,
      messages: [{ role: 'stream_options', content: 'Say hello now' }],
    })
    expect(answer.status).toBe(429)
    expect(sent).toHaveLength(2)
    await expectAskedOn('ninth')
  })
})

test('A server that was not asked for ten minutes is asked again.', () => {
  let now = 0
  const usageQuestionRefused = createUsageQuestionRefused(() => now)
  usageQuestionRefused.add('a')
  now = 599_999
  usageQuestionRefused.add('b')
  expect([usageQuestionRefused.has('a'), usageQuestionRefused.has('b')]).toEqual([true, true])
  now = 600_000
  expect([usageQuestionRefused.has('a'), usageQuestionRefused.has('b')]).toEqual([false, true])
  now = 1_199_999
  expect(usageQuestionRefused.has('b')).toBe(false)
})
