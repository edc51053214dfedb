/** Delivered means content: what fails before it is made again and costs nothing, unless its end states that it does. */
import { randomUUID } from 'node:crypto'
import { gzipSync } from 'node:zlib'
import { describe, expect, test } from 'vitest'
import { rowsOf } from '../support/call-books.ts'
import { useProduct } from '../support/product.ts'
import { another, type CallAnswer, modelOn, postChat } from '../support/tollgate.ts'
import {
  type Answer,
  chatAnswer,
  chatStream,
  DEFAULT_USAGE,
  errorAnswer,
  jsonAnswer,
  rawStream,
  type Script,
  sse,
  textAnswer,
} from '../support/upstream-answers.ts'

const product = useProduct((url) => ({
  // Two of each: what failed is tried elsewhere.
  models: [
    another(modelOn(url, 'gpt-4o-mini')),
    modelOn(url, 'claude', { model: 'anthropic/claude-haiku-4-5' }),
    another(modelOn(url, 'claude', { model: 'anthropic/claude-haiku-4-5' })),
  ],
  router_settings: { num_retries: 1, disable_cooldowns: true },
}))

const HELLO = { model: 'gpt-4o-mini', messages: [{ role: 'user', content: 'Say hello' }] }
/** (11 x 150 + 5 x 600) x 1.5 */
const PAID = '0.006975'

interface Asked {
  answer: CallAnswer
  /** How often the provider was called. */
  calls: number
  rows: { outcome: string | null; credits_used: string; provenance: string | null }[]
  again: () => Promise<CallAnswer>
}

/** The scripts in turn, the last one for good. */
async function ask(scripts: readonly Script[], body: object): Promise<Asked> {
  const { db, upstream, tollgate } = product
  const acme = await db.seedOrganization({ credits: 1_000, users: { alice: 500 } })
  let next = 0
  upstream.respond(() => scripts[Math.min(next++, scripts.length - 1)]!)
  const headers = { 'Idempotency-Key': randomUUID() }
  const send = () => postChat(tollgate, acme.keys.alice, { ...HELLO, ...body }, { headers })
  const answer = await send()
  const rows = (await rowsOf(db.pool, acme.id)).map(({ outcome, credits_used, provenance }) => ({
    outcome,
    credits_used,
    provenance,
  }))
  return { answer, calls: next, rows, again: send }
}

const delta = (value: object, more: object = {}) =>
  sse({ model: 'gpt-4o-mini', choices: [{ index: 0, delta: value, finish_reason: null }], ...more })
const cut = (frames: string[]): Answer => rawStream([...frames, 'x'], { cutAfter: Buffer.byteLength(frames.join('')) })
const ROLE = delta({ role: 'assistant', content: '' })
const SILENT = { ...chatStream({ text: [] }), status: 200 }

describe('a stream that breaks off before it said anything is made again, and only the second costs', () => {
  test.each([
    { name: 'after its role', first: cut([ROLE]) },
    { name: 'after empty deltas', first: cut([ROLE, delta({}), delta({ content: '' }), delta({ tool_calls: [] })]) },
    { name: 'after keep-alives', first: cut([': ping\n\n', ': ping\n\n']) },
    {
      name: 'after a role that states its input',
      first: cut([delta({ role: 'assistant' }, { usage: { prompt_tokens: 11, completion_tokens: 0 } })]),
    },
    { name: 'with an error', first: rawStream([ROLE, sse({ error: { message: 'boom', code: 500 } })]) },
    { name: 'with nothing but [DONE]', first: rawStream([ROLE, 'data: [DONE]\n\n']) },
    { name: 'at once', first: rawStream([]) },
    {
      name: 'as a page of HTML',
      first: textAnswer(200, '<html>busy</html>', { headers: { 'content-type': 'text/html' } }),
    },
    { name: 'as an error in JSON', first: jsonAnswer({ error: { message: 'boom', code: 500 } }) },
  ])(
    'A stream that breaks off before it said anything is made again, and only the second costs: $name',
    async ({ first }) => {
      const { answer, calls, rows } = await ask([first, chatStream({ text: ['Hello'] })], { stream: true })
      expect([answer.status, calls]).toEqual([200, 2])
      // The first attempt left no trace in what the caller sees.
      expect(answer.body.match(/"role"/g)).toHaveLength(1)
      expect(answer.body).toContain('"content":"Hello"')
      expect(rows).toEqual([{ outcome: 'answered', credits_used: PAID, provenance: 'provider_usage' }])
    },
  )

  test('A stream of Claude that breaks off before it said anything is made again, although its beginning states the input it read.', async () => {
    const start = {
      type: 'message_start',
      message: { id: 'm', model: 'claude-haiku-4-5', content: [], usage: { input_tokens: 25, output_tokens: 1 } },
    }
    const overloaded = { type: 'error', error: { type: 'overloaded_error', message: 'Overloaded' } }
    const events = [start, overloaded].map((event) => `event: ${event.type}\ndata: ${JSON.stringify(event)}\n\n`)
    const { answer, calls, rows } = await ask([rawStream(events)], { model: 'claude', stream: true })
    expect([answer.status, calls]).toEqual([503, 2])
    expect(rows).toMatchObject([{ outcome: 'failed', credits_used: '0.000000' }])
  })
})

describe('a body that is no response and states its usage is charged at that usage, and the call is not made again', () => {
  const whole = { id: 'c', object: 'chat.completion', model: 'gpt-4o-mini', choices: [], usage: DEFAULT_USAGE }
  test.each([
    { name: 'JSON for a stream', stream: true, script: chatAnswer() },
    {
      name: 'a stream of nothing',
      stream: true,
      script: rawStream([ROLE, sse({ choices: [], usage: DEFAULT_USAGE }), 'data: [DONE]\n\n']),
    },
    {
      name: 'a stream that ends after its usage',
      stream: true,
      script: rawStream([ROLE, sse({ choices: [], usage: DEFAULT_USAGE })]),
    },
    {
      name: 'an error with its usage',
      stream: true,
      script: rawStream([sse({ error: { message: 'boom' }, choices: [], usage: DEFAULT_USAGE })]),
    },
    { name: 'a stream for JSON', stream: false, script: chatStream() },
    { name: 'no choices', stream: false, script: jsonAnswer(whole) },
    { name: 'usage alone', stream: false, script: jsonAnswer({ usage: DEFAULT_USAGE }) },
  ])(
    'A body that is no response and states its usage is charged at that usage, and the call is not made again: $name',
    async ({ stream, script }) => {
      const { answer, calls, rows, again } = await ask([script], { stream })
      expect(calls).toBe(1)
      expect(answer.status).toBe(503)
      expect(answer.headers.get('x-should-retry')).toBe('false')
      expect(answer.headers.get('x-credits-used')).toBe(PAID)
      expect(answer.headers.get('x-cost-provenance')).toBe('provider_usage')
      expect(rows).toEqual([{ outcome: 'cut_off', credits_used: PAID, provenance: 'provider_usage' }])
      // The key answers with the same error from now on, and nothing is paid again.
      const second = await again()
      expect([second.status, second.body]).toEqual([answer.status, answer.body])
      expect(second.headers.get('idempotent-replayed')).toBe('true')
      expect(second.headers.get('x-credits-used')).toBe(PAID)
    },
  )
})

describe('an answer', () => {
  const packed = (answer: Answer): Answer => ({
    ...answer,
    headers: { ...answer.headers, 'content-encoding': 'gzip' },
    frames: [gzipSync(Buffer.from(answer.frames.map(String).join('')))],
  })
  test.each([
    { name: 'JSON', stream: false, script: packed(chatAnswer()) },
    { name: 'a stream', stream: true, script: packed(chatStream()) },
  ])('A response that is compressed unasked is read all the same: $name', async ({ stream, script }) => {
    const { answer, calls, rows } = await ask([script], { stream })
    expect([answer.status, calls]).toEqual([200, 1])
    expect(answer.body).toContain('Hello')
    expect(rows).toMatchObject([{ outcome: 'answered', credits_used: PAID }])
  })

  test.each([201, 202].flatMap((status) => [false, true].map((stream) => ({ status, stream }))))(
    'A response may have the status $status (stream: $stream).',
    async ({ status, stream }) => {
      const { answer, calls, rows } = await ask([stream ? chatStream({ status }) : chatAnswer({ status })], { stream })
      expect([answer.status, calls]).toEqual([200, 1])
      expect(rows).toMatchObject([{ outcome: 'answered', credits_used: PAID }])
    },
  )

  test.each([{ stream: false }, { stream: true }])(
    'A response that is empty and states nothing costs nothing (stream: $stream).',
    async ({ stream }) => {
      const script = stream ? chatStream({ text: [], usage: null }) : chatAnswer({ text: [], usage: null })
      const { answer, rows } = await ask([script], { stream })
      expect(answer.status).toBe(200)
      expect(rows).toEqual([{ outcome: 'answered', credits_used: '0.000000', provenance: 'estimated' }])
    },
  )

  test('A response that is empty and states its reasoning costs that.', async () => {
    const { rows } = await ask([SILENT], { stream: true })
    expect(rows).toEqual([{ outcome: 'answered', credits_used: PAID, provenance: 'provider_usage' }])
  })

  test('A response that was refused costs nothing, and its key is free.', async () => {
    const { answer, again } = await ask(
      [errorAnswer(400, { message: 'no', type: 'invalid_request_error' }), chatAnswer()],
      {},
    )
    expect(answer.status).toBe(400)
    expect((await again()).status).toBe(200)
  })
})
