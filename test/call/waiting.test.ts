/** A call that only running calls stand in the way of waits for them: in order, each allocation for itself, and not for ever. */
import { expect, test, vi } from 'vitest'
import { balanceOf } from '../support/call-books.ts'
import { openCall } from '../support/open-call.ts'
import { useProduct } from '../support/product.ts'
import { get, postChat } from '../support/tollgate.ts'
import { chatAnswer } from '../support/upstream-answers.ts'

const product = useProduct(() => ({
  tollgate: { limits: { credit_wait_seconds: 1 } },
  litellm_settings: { num_retries: 0 },
}))

/** Input is free; 100 tokens are 3 credits, held, and 5 are charged: 0.15. */
const CALL = { model: 'exact', max_tokens: 100, messages: [{ role: 'user', content: 'Go on' }] }
const never = new Promise<never>(() => {})

/** The provider keeps the first call until it is told; every later one is answered at once. */
async function oneRuns(credits: number) {
  const { db, upstream, tollgate } = product
  const acme = await db.seedOrganization({ credits: 100, users: { alice: credits, bob: 3 } })
  const done = Promise.withResolvers<void>()
  const seen: unknown[] = []
  upstream.respond(({ json }) => {
    seen.push(json?.user)
    return chatAnswer({ model: 'exact', ...(json?.user === 'first' ? { beforeHead: done.promise } : {}) })
  })
  const before = upstream.requests.length
  const first = openCall(tollgate, acme.keys.alice, { ...CALL, user: 'first' })
  await upstream.received(before + 1)
  return { acme, first, done: done.resolve, seen }
}

/** Once these are answered, the process has read what was sent before. */
async function settleDown(): Promise<void> {
  for (let turn = 0; turn < 3; turn += 1) await get(product.tollgate, null, '/health/liveliness')
}

test('Those who wait are let in one after another, in the order they came, and are told how long it took.', async () => {
  const { acme, first, done, seen } = await oneRuns(3.5)
  const waiting = []
  for (const user of ['second', 'third', 'fourth']) {
    waiting.push(postChat(product.tollgate, acme.keys.alice, { ...CALL, max_tokens: 90, user }))
    await settleDown()
  }
  expect(seen).toEqual(['first'])
  done()
  const answers = await Promise.all(waiting)
  expect(answers.map(({ status }) => status)).toEqual([200, 200, 200])
  expect(seen).toEqual(['first', 'second', 'third', 'fourth'])
  for (const { headers } of answers) expect(headers.get('x-tollgate-waited')).toMatch(/^\d+$/)
  expect((await first.head).headers).not.toHaveProperty('x-tollgate-waited')
  expect((await first.closed).complete).toBe(true)
  expect(await balanceOf(product.db.pool, acme.id, 'alice')).toMatchObject({ used: '0.600000', held: '0.000000' })
})

test('When the time to wait is over, the call is refused as without waiting, and nobody else has to wait.', async () => {
  const { acme, first, done } = await oneRuns(3)
  const late = postChat(product.tollgate, acme.keys.alice, { ...CALL, user: 'second' })
  // Of another allocation.
  const bobs = await postChat(product.tollgate, acme.keys.bob, { ...CALL, user: 'bob' })
  expect([bobs.status, bobs.headers.get('x-tollgate-waited')]).toEqual([200, null])
  const answer = await late
  expect([answer.status, answer.headers.get('retry-after')]).toEqual([402, '1'])
  expect(answer.json()).toMatchObject({ error: { code: 'credits_in_flight', required: '3', available: '0' } })
  done()
  expect((await first.closed).complete).toBe(true)
})

test('A caller who disconnects while waiting leaves the line.', async () => {
  const { acme, first, done, seen } = await oneRuns(3.5)
  const gone = openCall(product.tollgate, acme.keys.alice, { ...CALL, max_tokens: 90, user: 'gone' })
  gone.head.catch(() => {})
  await settleDown()
  const stays = postChat(product.tollgate, acme.keys.alice, { ...CALL, max_tokens: 90, user: 'stays' })
  await settleDown()
  gone.leave()
  await settleDown()
  done()
  expect((await stays).status).toBe(200)
  expect((await first.closed).complete).toBe(true)
  expect(seen).toEqual(['first', 'stays'])
})

test('Two calls of an agent with large caps run side by side.', async () => {
  const { db, upstream, tollgate } = product
  const acme = await db.seedOrganization({ credits: 1_000, users: { alice: 300 } })
  upstream.respond({ frames: [], beforeHead: never })
  const before = upstream.requests.length
  const body = { ...CALL, max_tokens: 32_000, stream: true }
  const calls = [openCall(tollgate, acme.keys.alice, body), openCall(tollgate, acme.keys.alice, body)]
  await upstream.received(before + 2)
  // 4 096 tokens each, of the 32 000 they may come to.
  await vi.waitFor(
    async () => expect(await balanceOf(db.pool, acme.id, 'alice')).toMatchObject({ held: '245.760000' }),
    { interval: 10 },
  )
  // Each keeps what it grows by next, 1 024 tokens, so a third has to wait until one of them is over.
  const third = await postChat(tollgate, acme.keys.alice, { ...CALL, max_tokens: 100 })
  expect(third.json()).toMatchObject({ error: { code: 'credits_in_flight', required: '3', available: '0' } })
  for (const call of calls) {
    call.head.catch(() => {})
    call.leave()
  }
  await vi.waitFor(async () => expect(await balanceOf(db.pool, acme.id, 'alice')).toMatchObject({ held: '0.000000' }), {
    timeout: 20_000,
    interval: 10,
  })
})
