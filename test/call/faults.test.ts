/**
 * Deployments that fail, hang, refuse or are slow, beside ones that don't: what callers get, how many requests reach each deployment, and
 * that each call is held and charged once whatever happened on its way.
 */
import { setTimeout as pause } from 'node:timers/promises'
import { describe, expect, test, vi } from 'vitest'
import { balanceOf, rowOfCall, rowsOf } from '../support/call-books.ts'
import { expectRefusal } from '../support/error-shape.ts'
import { useProduct } from '../support/product.ts'
import { type CallAnswer, type ModelEntry, modelOn, postChat } from '../support/tollgate.ts'
import type { ReceivedRequest } from '../support/upstream.ts'
import { type Answer, chatAnswer, chatStream, errorAnswer, type Script } from '../support/upstream-answers.ts'

const DEAR = 0.0002
/** What a call costs: five tokens of $0.00002, or of $0.0002, and 50 % on top. */
const PAID = '0.150000'
const PAID_DEARLY = '1.500000'

const ITS_PRICE = { input_cost_per_token: 0, output_cost_per_token: 0.00002 }

/** Deployments of a group, in the order in which they are tried; each is known upstream by its id. */
function group(url: string, name: string, ...params: Record<string, unknown>[]): ModelEntry[] {
  return params.map((own, index) => {
    const id = `${name}-${index + 1}`
    const entry = modelOn(url, name, { model: `openai/${id}`, order: index + 1, ...ITS_PRICE, ...own })
    return { ...entry, model_info: { id } }
  })
}

const PAIRS = ['broken', 'shaky', 'limited', 'rejected', 'both-down', 'recovering', 'wrong']

const product = useProduct((url) => ({
  models: [
    ...PAIRS.flatMap((name) => group(url, name, {}, {})),
    ...group(url, 'hanging', { timeout: 0.3 }, {}),
    ...['one', 'two', 'three', 'four'].map((name) => {
      const entry = modelOn(url, 'storm', { model: `openai/storm-${name}`, timeout: 2, ...ITS_PRICE })
      return { ...entry, model_info: { id: `storm-${name}` } }
    }),
    ...group(url, 'alone', {}),
    ...group(url, 'primary', {}),
    ...group(url, 'poor', {}),
    ...group(url, 'dear', { output_cost_per_token: DEAR }),
    ...group(url, 'last', {}),
    ...group(url, 'short', {}),
    ...group(url, 'strict', {}),
    ...group(url, 'single', { max_parallel_requests: 1 }, { max_parallel_requests: 1 }),
    ...group(url, 'minute', { rpm: 1 }, { rpm: 1 }),
    ...group(url, 'tokens', { tpm: 20 }, {}),
  ],
  router_settings: {
    num_retries: 2,
    cooldown_time: 0.5,
    fallbacks: [{ primary: ['dear', 'last'] }, { dear: ['primary', 'alone'] }, { poor: ['dear'] }],
    context_window_fallbacks: [{ short: ['last'] }],
    content_policy_fallbacks: [{ strict: ['last'] }],
  },
}))

/** What each deployment says; the others answer. Returns how many requests reached a deployment since then. */
function respond(scripts: Record<string, Script | ((request: ReceivedRequest, before: number) => Script)>) {
  const { upstream } = product
  const from = upstream.requests.length
  const asked = () => upstream.requests.slice(from).map(({ json }) => String(json?.model))
  upstream.respond((request) => {
    const model = String(request.json?.model)
    const script = scripts[model]
    if (script === undefined) return answering(request)
    return typeof script === 'function' ? script(request, asked().filter((one) => one === model).length - 1) : script
  })
  return { asked, of: (model: string) => asked().filter((one) => one === model).length }
}

function answering({ json }: ReceivedRequest): Answer {
  return json?.stream === true ? chatStream({ model: 'exact' }) : chatAnswer({ model: 'exact' })
}

const failing = errorAnswer(500, { message: 'boom' })
/** A pause longer than any test. */
const failingForLong = errorAnswer(500, { message: 'boom' }, { headers: { 'retry-after': '600' } })
const limited = errorAnswer(429, { message: 'slow down' }, { headers: { 'retry-after': '600' } })

async function alice(credits = 500): Promise<{ id: string; key: string }> {
  const { id, keys } = await product.db.seedOrganization({ credits: 1_000, users: { alice: credits } })
  return { id, key: keys.alice }
}

const ask = (key: string, model: string, more: object = {}) =>
  postChat(product.tollgate, key, { model, max_tokens: 100, messages: [{ role: 'user', content: 'Go on' }], ...more })

async function askTimes(times: number, key: string, model: string, more: object = {}): Promise<CallAnswer[]> {
  const answers: CallAnswer[] = []
  for (let call = 0; call < times; call += 1) answers.push(await ask(key, model, more))
  return answers
}

const servedBy = (answers: CallAnswer[]) => answers.map(({ headers }) => headers.get('x-litellm-model-id'))

describe('of two deployments, one', () => {
  test('A deployment that fails every time is asked by five calls of twenty, and all are answered and charged once.', async () => {
    const { id, key } = await alice()
    const reached = respond({ 'broken-1': failingForLong })
    const answers = [...(await askTimes(10, key, 'broken')), ...(await askTimes(10, key, 'broken', { stream: true }))]
    expect(answers.map(({ status }) => status)).toEqual(Array(20).fill(200))
    expect([reached.of('broken-1'), reached.of('broken-2')]).toEqual([5, 20])
    expect(answers.map(({ headers }) => headers.get('x-litellm-attempted-retries'))).toEqual([
      ...Array(5).fill('1'),
      ...Array(15).fill('0'),
    ])
    const rows = await rowsOf(product.db.pool, id)
    expect(rows.map(({ credits_used }) => credits_used)).toEqual(Array(20).fill(PAID))
  })

  test('A deployment that fails every third time is asked by all calls, and all are answered.', async () => {
    const { key } = await alice()
    const reached = respond({ 'shaky-1': (request, before) => (before % 3 === 0 ? failing : answering(request)) })
    const answers = await askTimes(15, key, 'shaky')
    expect(answers.map(({ status }) => status)).toEqual(Array(15).fill(200))
    expect([reached.of('shaky-1'), reached.of('shaky-2')]).toEqual([15, 5])
  })

  test.each([
    ['limited', limited],
    ['rejected', errorAnswer(401, { message: 'No.' }, { headers: { 'retry-after': '600' } })],
  ] as const)('A deployment that is %s is asked once.', async (name, script) => {
    const { key } = await alice()
    const reached = respond({ [`${name}-1`]: script })
    const answers = await askTimes(5, key, name)
    expect(servedBy(answers)).toEqual(Array(5).fill(`${name}-2`))
    expect([reached.of(`${name}-1`), reached.of(`${name}-2`)]).toEqual([1, 5])
  })

  test.each([false, true])(
    'A deployment that hangs holds up a call for its time-out, and is charged nothing (stream: %s).',
    async (stream) => {
      const { id, key } = await alice()
      const reached = respond({ 'hanging-1': 'silence' })
      const answers = [await ask(key, 'hanging', { stream }), await ask(key, 'hanging', { stream })]
      expect(servedBy(answers)).toEqual(['hanging-2', 'hanging-2'])
      expect(reached.of('hanging-2')).toBe(2)
      expect((await rowsOf(product.db.pool, id)).map(({ credits_used }) => credits_used)).toEqual([PAID, PAID])
    },
  )

  test('A request that is refused spares nobody, and is not tried elsewhere.', async () => {
    const { key } = await alice()
    const reached = respond({ 'wrong-1': errorAnswer(400, { message: 'No.' }) })
    const answers = await askTimes(7, key, 'wrong')
    expect(answers.map(({ status }) => status)).toEqual(Array(7).fill(400))
    expect(reached.asked()).toEqual(Array(7).fill('wrong-1'))
  })

  test('A deployment that was spared gets one call, and further calls once that one was answered.', async () => {
    const { key } = await alice()
    const { promise: later, resolve: goOn } = Promise.withResolvers<void>()
    const reached = respond({
      'recovering-1': (request, before) =>
        before === 0 ? errorAnswer(429, { message: 'No.' }) : { ...answering(request), beforeHead: later },
    })
    expect(servedBy([await ask(key, 'recovering')])).toEqual(['recovering-2'])
    const trials: Promise<CallAnswer>[] = []
    await vi.waitFor(() => {
      trials.push(ask(key, 'recovering'))
      expect(reached.of('recovering-1')).toBe(2)
    }, 5_000)
    const meanwhile = await askTimes(3, key, 'recovering')
    expect(servedBy(meanwhile)).toEqual(Array(3).fill('recovering-2'))
    expect(reached.of('recovering-1')).toBe(2)
    goOn()
    await Promise.all(trials)
    expect(servedBy(await askTimes(3, key, 'recovering'))).toEqual(Array(3).fill('recovering-1'))
  })
})

test('Of four deployments one hangs, one fails, one fails three times in ten and one is slow: 200 calls are all answered, held and charged once.', async () => {
  const { id, key } = await alice()
  const { upstream } = product
  const before = { ...upstream.tally }
  const reached = respond({
    'storm-one': 'silence',
    'storm-two': failing,
    'storm-three': (request, earlier) => (earlier % 10 < 3 ? failing : answering(request)),
    'storm-four': (request) => ({ ...answering(request), beforeHead: pause(100) }),
  })
  const answers: CallAnswer[] = []
  for (let round = 0; round < 4; round += 1) {
    const calls = Array.from({ length: 50 }, (_, call) => ask(key, 'storm', { stream: call % 2 === 0, num_retries: 3 }))
    answers.push(...(await Promise.all(calls)))
  }
  expect(answers.map(({ status }) => status)).toEqual(Array(200).fill(200))
  const rows = await rowsOf(product.db.pool, id)
  expect(rows.map(({ credits_used, outcome }) => [credits_used, outcome])).toEqual(Array(200).fill([PAID, 'answered']))
  expect(await balanceOf(product.db.pool, id, 'alice')).toEqual({
    used: '30.000000',
    remaining: '470.000000',
    held: '0.000000',
  })
  // What the provider bills is what was charged, and nobody who failed or hung was asked by every call.
  expect(upstream.tally.completionTokens - before.completionTokens).toBe(200 * 5)
  expect(reached.of('storm-one')).toBeLessThan(150)
  expect(reached.of('storm-two')).toBeLessThan(150)
})

test('Where all deployments are spared, the caller is told when to try again, no provider is called, and nothing is charged.', async () => {
  const { id, key } = await alice()
  const reached = respond({ 'both-down-1': limited, 'both-down-2': limited })
  expectRefusal(await ask(key, 'both-down'), { status: 429, code: 'provider_rate_limited' })
  const answer = await ask(key, 'both-down')
  expectRefusal(answer, { status: 429, code: 'no_deployments_available' })
  expect(Number(answer.headers.get('retry-after'))).toBeGreaterThan(590)
  expect(answer.body).toContain('No deployments available for selected model')
  expect(reached.asked()).toEqual(['both-down-1', 'both-down-2'])
  const rows = await rowsOf(product.db.pool, id)
  expect(rows.map(({ credits_used, outcome }) => [credits_used, outcome])).toEqual(
    Array(2).fill(['0.000000', 'failed']),
  )
})

test('A deployment that is alone is always asked, however often it fails.', async () => {
  const { key } = await alice()
  const reached = respond({ 'alone-1': limited })
  await askTimes(7, key, 'alone')
  expect(reached.of('alone-1')).toBe(7)
})

describe.each(['JSON', 'stream'])('a %s call', (kind) => {
  const more = { stream: kind === 'stream' }

  test('A call whose group fails goes to the fallbacks, each with its own behind it, and costs what it costs there.', async () => {
    const { id, key } = await alice()
    const reached = respond({ 'primary-1': failing, 'dear-1': failing, 'alone-1': failing })
    const answer = await ask(key, 'primary', more)
    expect(answer.status).toBe(200)
    expect(reached.asked()).toEqual(['primary-1', 'dear-1', 'alone-1', 'last-1'])
    expect(Object.fromEntries(answer.headers)).toMatchObject({
      'x-litellm-model-group': 'last',
      'x-litellm-model-id': 'last-1',
      'x-litellm-attempted-fallbacks': '3',
      'x-litellm-attempted-retries': '0',
    })
    expect(await rowsOf(product.db.pool, id)).toMatchObject([{ credits_used: PAID, outcome: 'answered' }])
    expect(await rowOfCall(product.db.pool, answer.headers.get('x-litellm-call-id'))).toMatchObject({
      details: { model: 'primary', group: 'last', fallbacks: 3 },
    })

    respond({ 'primary-1': failing })
    await ask(key, 'primary', more)
    const paid = (await rowsOf(product.db.pool, id)).map(({ credits_used }) => credits_used)
    expect(new Set(paid)).toEqual(new Set([PAID, PAID_DEARLY]))
  })

  test('A call goes to no fallback whose price its payer can’t cover, and its caller is told of the first failure.', async () => {
    // 100 tokens are held at 3 credits, and at 30 there.
    const { key } = await alice(5)
    const reached = respond({ 'poor-1': errorAnswer(503, { message: 'busy' }) })
    expectRefusal(await ask(key, 'poor', { ...more, max_tokens: 100 }), { status: 503, code: 'provider_overloaded' })
    expect(reached.asked()).toEqual(['poor-1'])
  })

  test.each([
    ['short', errorAnswer(400, { message: 'too long', code: 'context_length_exceeded' })],
    ['strict', errorAnswer(400, { message: 'no', code: 'content_filter' })],
  ])('A request that is too much for %s goes to the fallback for that case, and to no other.', async (name, script) => {
    const { key } = await alice()
    respond({ [`${name}-1`]: script })
    expect(servedBy([await ask(key, name, more)])).toEqual(['last-1'])
    respond({ [`${name}-1`]: failing })
    expectRefusal(await ask(key, name, more), { status: 503, code: 'provider_failed' })
  })
})

describe('a deployment with a limit', () => {
  test('Calls beyond those that a deployment takes at once go to another, and callers beyond all of them are told when to try again.', async () => {
    const { key } = await alice()
    const { promise: later, resolve: goOn } = Promise.withResolvers<void>()
    const slow = (request: ReceivedRequest) => ({ ...answering(request), beforeHead: later })
    const reached = respond({ 'single-1': slow, 'single-2': slow })
    const running = [ask(key, 'single'), ask(key, 'single')]
    await vi.waitFor(() => expect(reached.asked().sort()).toEqual(['single-1', 'single-2']))
    const refused = await ask(key, 'single')
    expectRefusal(refused, { status: 429, code: 'no_deployments_available' })
    expect(refused.headers.get('retry-after')).toBe('1')
    goOn()
    const answers = await Promise.all(running)
    expect(answers.map(({ headers }) => headers.get('x-litellm-attempted-retries'))).toEqual(['0', '0'])
    expect(servedBy([await ask(key, 'single')])).toEqual(['single-1'])
  })

  test('Calls beyond those of a minute go to another deployment, and callers beyond all of them are told when to try again.', async () => {
    const { key } = await alice()
    const reached = respond({})
    expect(servedBy(await askTimes(2, key, 'minute'))).toEqual(['minute-1', 'minute-2'])
    const refused = await ask(key, 'minute')
    expectRefusal(refused, { status: 429, code: 'no_deployments_available' })
    const seconds = Number(refused.headers.get('retry-after'))
    expect(seconds).toBeGreaterThan(50)
    expect(seconds).toBeLessThanOrEqual(60)
    expect(reached.asked()).toEqual(['minute-1', 'minute-2'])
  })

  test('A deployment whose tokens of the minute are used gets no further call.', async () => {
    const { key } = await alice()
    respond({})
    // The first states 16 tokens.
    expect(servedBy(await askTimes(3, key, 'tokens'))).toEqual(['tokens-1', 'tokens-2', 'tokens-2'])
  })
})
