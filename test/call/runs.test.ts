/** Runs: budgets that callers open for several calls. Exactly what was opened is spent, over two processes. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { balanceOf, rowsOf } from '../support/call-books.ts'
import { useProduct } from '../support/product.ts'
import {
  type CallAnswer,
  configFor,
  type ExtraConfig,
  get,
  postChat,
  startTollgate,
  type Tollgate,
} from '../support/tollgate.ts'
import { chatAnswer, chatStream } from '../support/upstream-answers.ts'

/** Nobody waits for running calls of its run: how long they take on a busy machine is not what is tested. */
const AT_ONCE: ExtraConfig = { tollgate: { limits: { credit_wait_seconds: 0 } } }
const product = useProduct(() => AT_ONCE)
let second: Tollgate
beforeAll(async () => {
  second = await startTollgate({ databaseUrl: product.db.url, config: configFor(product.upstream.url, AT_ONCE) })
})
afterAll(() => second.stop())

/** 100 tokens at $0.00002 and 50 % on top: 3 credits, held and charged. */
const CALL = { model: 'exact', max_tokens: 100, messages: [{ role: 'user', content: 'Count to a hundred' }] }
const USAGE = { prompt_tokens: 7, completion_tokens: 100, total_tokens: 107 }

async function seeded() {
  product.upstream.respond(chatAnswer({ model: 'exact', usage: USAGE }))
  return product.db.seedOrganization({ credits: 10_000, users: { alice: 4_000, bob: 4_000 } })
}

async function open(key: string, body: object): Promise<string> {
  const answer = await postChat(product.tollgate, key, body, { path: '/v1/runs' })
  expect(answer.status, answer.body).toBe(201)
  return String(answer.json().id)
}

const look = async (key: string, run: string) => (await get(second, key, `/v1/runs/${run}`)).json()

async function close(key: string, run: string): Promise<Record<string, unknown>> {
  const headers = { authorization: `Bearer ${key}` }
  const answer = await fetch(`${second.url}/v1/runs/${run}`, { method: 'DELETE', headers })
  expect(answer.status).toBe(200)
  return (await answer.json()) as Record<string, unknown>
}

function call(key: string, run: string, n = 0, body: object = CALL, path = '/v1/chat/completions') {
  return postChat(n % 2 === 0 ? product.tollgate : second, key, body, { path, headers: { 'x-tollgate-run': run } })
}

const many = (count: number, one: (n: number) => Promise<CallAnswer>) =>
  Promise.all(Array.from({ length: count }, (_, n) => one(n)))
const served = (answers: readonly CallAnswer[]) => answers.filter(({ status }) => status === 200).length

describe('a run', () => {
  test('A run with money for 37 of 200 calls over two processes has 37 of them served, and the others end for good.', async () => {
    const { db, upstream } = product
    const acme = await seeded()
    const run = await open(acme.keys.alice, { credits: 111, name: 'a task' })
    const before = upstream.tally.calls
    const answers = await many(200, (n) => call(acme.keys.alice, run, n))
    expect([served(answers), upstream.tally.calls - before]).toEqual([37, 37])
    for (const refused of answers.filter(({ status }) => status !== 200)) {
      const { code } = refused.json().error as { code: string }
      const isRunning = code === 'budget_in_flight'
      expect([refused.status, refused.headers.get('x-should-retry'), code]).toEqual(
        isRunning ? [429, 'true', code] : [402, 'false', 'run_exhausted'],
      )
    }
    const late = await call(acme.keys.alice, run)
    expect([late.status, late.headers.get('x-should-retry')]).toEqual([402, 'false'])
    expect(late.json()).toMatchObject({ error: { code: 'run_exhausted', limit_amount: 111, required: '3' } })
    expect(await look(acme.keys.alice, run)).toMatchObject({
      ...{ object: 'run', name: 'a task', state: 'open', credits: '111', used_credits: '111', held_credits: '0' },
      ...{ calls: null, used_calls: 37, running_calls: 0 },
    })
    // Nothing was set aside for it: the user has what is left, and may spend it without the run.
    expect(await balanceOf(db.pool, acme.id, 'alice')).toMatchObject({ used: '111.000000', remaining: '3889.000000' })
    expect((await postChat(second, acme.keys.alice, CALL)).status).toBe(200)
    expect(await rowsOf(db.pool, acme.id)).toHaveLength(38)
  })

  test('A run within a run counts on both: 10 of its own, 37 in all.', async () => {
    const acme = await seeded()
    const outer = await open(acme.keys.alice, { credits: 111 })
    const inner = await open(acme.keys.alice, { credits: 30, parent: outer })
    expect(served(await many(60, (n) => call(acme.keys.alice, inner, n)))).toBe(10)
    expect(served(await many(140, (n) => call(acme.keys.alice, outer, n)))).toBe(27)
    expect(await look(acme.keys.alice, inner)).toMatchObject({ used_credits: '30', used_calls: 10 })
    expect(await look(acme.keys.alice, outer)).toMatchObject({ used_credits: '111', used_calls: 37 })
  })

  test('A run and one within it, called at the same time, spend what the outer one has, to the call.', async () => {
    const acme = await seeded()
    const outer = await open(acme.keys.alice, { credits: 111 })
    const inner = await open(acme.keys.alice, { calls: 20, parent: outer })
    const answers = await many(120, (n) => call(acme.keys.alice, n % 4 < 2 ? inner : outer, n))
    expect(served(answers)).toBe(37)
    const inside = served(answers.filter((_, n) => n % 4 < 2))
    expect(inside).toBeLessThanOrEqual(20)
    expect(await look(acme.keys.alice, inner)).toMatchObject({ credits: null, calls: 20, used_calls: inside })
    expect(await look(acme.keys.alice, outer)).toMatchObject({ used_credits: '111', held_credits: '0' })
  })

  test('A closed run lets running calls end and no call start, also in runs within it; what is left stays with the user.', async () => {
    const { db, upstream } = product
    const acme = await seeded()
    const outer = await open(acme.keys.alice, { credits: 111, calls: 50 })
    const inner = await open(acme.keys.alice, { credits: 30, parent: outer })
    const gate = Promise.withResolvers<void>()
    upstream.respond(chatAnswer({ model: 'exact', usage: USAGE, beforeHead: gate.promise }))
    const before = upstream.requests.length
    const running = call(acme.keys.alice, inner)
    await upstream.received(before + 1)
    expect(await close(acme.keys.alice, outer)).toMatchObject({
      ...{ state: 'closed', calls: 50, running_calls: 1, held_credits: '3' },
    })
    gate.resolve()
    expect((await running).status).toBe(200)
    for (const run of [outer, inner]) {
      const refused = await call(acme.keys.alice, run, 1)
      expect([refused.status, refused.headers.get('x-should-retry')]).toEqual([402, 'false'])
      expect(refused.json()).toMatchObject({ error: { code: 'run_closed' } })
      expect(await look(acme.keys.alice, run)).toMatchObject({ state: 'closed', used_credits: '3' })
    }
    expect(await close(acme.keys.alice, outer)).toMatchObject({ state: 'closed', used_calls: 1 })
    const late = await postChat(second, acme.keys.alice, { credits: 1, parent: outer }, { path: '/v1/runs' })
    expect([late.status, late.json()]).toMatchObject([409, { error: { code: 'run_ended', param: 'parent' } }])
    expect(await balanceOf(db.pool, acme.id, 'alice')).toMatchObject({ used: '3.000000', remaining: '3997.000000' })
  })

  test('A run that has expired starts no call.', async () => {
    const { db } = product
    const acme = await seeded()
    const run = await open(acme.keys.alice, { calls: 5, expires_in: 60 })
    const { rows } = await db.pool.query<{ seconds: number }>(
      "select extract(epoch from expires_at - created_at)::int as seconds from tollgate.runs where user_id = 'alice' and org_id = $1",
      [acme.id],
    )
    expect(rows).toEqual([{ seconds: 60 }])
    const within = await open(acme.keys.alice, { calls: 5, expires_in: 3_600, parent: run })
    const [outer, inner] = await Promise.all([run, within].map((one) => look(acme.keys.alice, one)))
    expect(inner?.expires_at).toBe(outer?.expires_at)
    const past = await open(acme.keys.alice, { calls: 9_999, expires_in: 1 })
    await expect.poll(async () => (await call(acme.keys.alice, past)).status, { timeout: 10_000 }).toBe(402)
    expect((await call(acme.keys.alice, past)).json()).toMatchObject({ error: { code: 'run_expired' } })
    expect(await look(acme.keys.alice, past)).toMatchObject({ state: 'expired' })
  })

  test('A run grants a stream what it has left, and no more.', async () => {
    const { upstream } = product
    const acme = await seeded()
    const run = await open(acme.keys.alice, { credits: 3 })
    upstream.respond(chatStream({ model: 'exact', usage: USAGE }))
    const answer = await call(acme.keys.alice, run, 0, { ...CALL, max_tokens: 400, stream: true })
    expect([answer.status, answer.headers.get('x-max-tokens-applied')]).toEqual([402, null])
    const fits = await call(acme.keys.alice, run, 0, { ...CALL, stream: true })
    expect(fits.status).toBe(200)
    expect(await look(acme.keys.alice, run)).toMatchObject({ used_credits: '3', used_calls: 1 })
  })
})

describe('a call that names a run', () => {
  test('A call that names a run of another user, a changed one or none is refused, and nothing is held.', async () => {
    const { db, upstream } = product
    const acme = await seeded()
    const run = await open(acme.keys.alice, { calls: 5 })
    const before = upstream.tally.calls
    const middle = run.length >> 1
    const changed = run.slice(0, middle) + (run[middle] === 'A' ? 'B' : 'A') + run.slice(middle + 1)
    const answers = await Promise.all([
      call(acme.keys.bob, run),
      call(acme.keys.alice, changed),
      call(acme.keys.alice, 'run_'),
      call(acme.keys.alice, 'not a run'),
      call(acme.keys.alice, `${run}AAAA`),
    ])
    expect(answers.map(({ status }) => status)).toEqual([403, 400, 400, 400, 400])
    expect(answers.map((answer) => (answer.json().error as { code: string }).code)).toEqual([
      ...['run_of_another', 'invalid_run', 'invalid_run', 'invalid_run', 'invalid_run'],
    ])
    expect(upstream.tally.calls - before).toBe(0)
    expect((await get(second, acme.keys.bob, `/v1/runs/${run}`)).status).toBe(403)
    expect(await rowsOf(db.pool, acme.id)).toEqual([])
  })

  test.each([
    ['messages', '/v1/messages', { model: 'exact', max_tokens: 100, messages: CALL.messages }, { type: 'error' }],
    ['responses', '/v1/responses', { model: 'exact', max_output_tokens: 100, input: 'Count' }, {}],
    [
      "Gemini's generateContent",
      '/v1beta/models/exact:generateContent',
      { contents: [{ role: 'user', parts: [{ text: 'Count' }] }], generationConfig: { maxOutputTokens: 100 } },
      { error: { code: 402 } },
    ],
  ])(
    'A call that names a run by %s gets the end of it as a 402 that no client tries again.',
    async (_, path, body, shape) => {
      const acme = await seeded()
      const run = await open(acme.keys.alice, { credits: 3 })
      expect((await call(acme.keys.alice, run, 0, body, path)).status).toBe(200)
      const refused = await call(acme.keys.alice, run, 1, body, path)
      expect([refused.status, refused.headers.get('x-should-retry')]).toEqual([402, 'false'])
      expect(refused.json()).toMatchObject(shape)
      expect(refused.body).toContain('The budget of this run is used up')
    },
  )

  test.each([
    [{}, 'State credits, calls, or both.'],
    [{ credits: 0 }, 'credits'],
    [{ credits: '1.0000001' }, 'credits'],
    [{ calls: 0 }, 'calls'],
    [{ calls: 1, expires_in: 0 }, 'expires_in'],
    [{ calls: 1, parent: 'run_x' }, 'This is no run'],
  ])('Opening a run with %j is refused with what would be right.', async (body, text) => {
    const acme = await seeded()
    const refused = await postChat(product.tollgate, acme.keys.alice, body, { path: '/v1/runs' })
    expect(refused.status).toBe(400)
    expect(refused.body).toContain(text)
  })

  test('Runs may be four deep.', async () => {
    const acme = await seeded()
    let run = await open(acme.keys.alice, { calls: 9 })
    for (let depth = 2; depth <= 4; depth += 1) run = await open(acme.keys.alice, { calls: 9, parent: run })
    expect((await call(acme.keys.alice, run)).status).toBe(200)
    const fifth = await postChat(product.tollgate, acme.keys.alice, { calls: 9, parent: run }, { path: '/v1/runs' })
    expect([fifth.status, fifth.json()]).toMatchObject([400, { error: { code: 'run_too_deep' } }])
  })
})
