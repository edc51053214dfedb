/** Idempotency-Key: a call sent twice is made once and charged once. */
import { randomUUID } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import { ANSWER_BYTES_MAX, ANSWERS_MAX, forgetOldKeys } from '../../src/idempotency/idempotency.ts'
import { balanceOf, expectBooksMatch, rowsOf } from '../support/call-books.ts'
import { useProduct } from '../support/product.ts'
import { type CallAnswer, postChat } from '../support/tollgate.ts'
import { chat, chatAnswer, chatStream, errorAnswer } from '../support/upstream-answers.ts'

const product = useProduct()
const HELLO = { model: 'gpt-4o-mini', messages: [{ role: 'user', content: 'Say hello' }] }

function send(apiKey: string, key: string, body: unknown = HELLO): Promise<CallAnswer> {
  return postChat(product.tollgate, apiKey, body, { headers: { 'Idempotency-Key': key } })
}

async function seeded() {
  const { db, upstream } = product
  upstream.respond(chat())
  const acme = await db.seedOrganization({ credits: 1_000, users: { alice: 400, bob: 400 } })
  return { db, upstream, acme, key: randomUUID(), callsBefore: upstream.tally.calls }
}

test('A finished JSON call is answered again, byte for byte, and neither made nor charged again.', async () => {
  const { db, upstream, acme, key, callsBefore } = await seeded()
  const first = await send(acme.keys.alice, key)
  const second = await send(acme.keys.alice, key)

  expect(second.status).toBe(200)
  expect(second.body).toBe(first.body)
  expect(first.headers.get('idempotent-replayed')).toBeNull()
  expect(second.headers.get('idempotent-replayed')).toBe('true')
  for (const name of ['x-litellm-call-id', 'x-credits-used', 'x-credits-remaining', 'content-type'])
    expect(second.headers.get(name), name).toBe(first.headers.get(name))
  expect(upstream.tally.calls - callsBefore).toBe(1)
  expect(await rowsOf(db.pool, acme.id)).toHaveLength(1)
  expect(await balanceOf(db.pool, acme.id, 'alice')).toMatchObject({ used: '0.006975' })
  await expectBooksMatch(db.pool, upstream.tally)
})

test('While the first call runs, a second one under the same key is refused with 409 and told to come back.', async () => {
  const { db, upstream, acme, key, callsBefore } = await seeded()
  const gate = Promise.withResolvers<void>()
  upstream.respond(chatAnswer({ beforeHead: gate.promise }))
  const first = send(acme.keys.alice, key)
  await upstream.received(callsBefore + 1)

  const second = await send(acme.keys.alice, key)
  expect(second.status).toBe(409)
  expect(second.headers.get('x-should-retry')).toBe('true')
  gate.resolve()
  const answered = await first
  expect(answered.status).toBe(200)
  expect(second.json()).toMatchObject({
    error: { code: 'idempotency_key_in_use', call_id: answered.headers.get('x-litellm-call-id') },
    detail: expect.stringContaining('still running'),
  })
  expect((await send(acme.keys.alice, key)).body).toBe(answered.body)
  expect(await rowsOf(db.pool, acme.id)).toHaveLength(1)
})

test('Of two calls at the same time under one key one is made.', async () => {
  const { db, upstream, acme, key, callsBefore } = await seeded()
  const refused = Promise.withResolvers<void>()
  upstream.respond(chatAnswer({ beforeHead: refused.promise }))
  const both = [1, 2].map(async () => {
    const answer = await send(acme.keys.alice, key)
    if (answer.status === 409) refused.resolve()
    return answer.status
  })
  expect((await Promise.all(both)).sort()).toEqual([200, 409])
  expect(upstream.tally.calls - callsBefore).toBe(1)
  expect(await balanceOf(db.pool, acme.id, 'alice')).toMatchObject({ used: '0.006975' })
})

test('Of sixteen calls at the same time under one key one is made, and nothing of the others is held or charged.', async () => {
  const { db, upstream, acme, key, callsBefore } = await seeded()
  const refused = Promise.withResolvers<void>()
  upstream.respond(chatAnswer({ beforeHead: refused.promise }))
  let others = 0
  const all = Array.from({ length: 16 }, async () => {
    const { status } = await send(acme.keys.alice, key)
    if (status === 409) others += 1
    if (others === 15) refused.resolve()
    return status
  })
  const statuses = await Promise.all(all)
  expect(statuses.filter((status) => status === 200)).toHaveLength(1)
  expect(others).toBe(15)
  expect(upstream.tally.calls - callsBefore).toBe(1)
  expect(await balanceOf(db.pool, acme.id, 'alice')).toMatchObject({ used: '0.006975', held: '0.000000' })
})

test('Another request under the same key is a 409, not the first one’s response.', async () => {
  const { upstream, acme, key, callsBefore } = await seeded()
  await send(acme.keys.alice, key)
  const other = await send(acme.keys.alice, key, { ...HELLO, temperature: 0 })
  expect(other.status).toBe(409)
  expect(other.headers.get('x-should-retry')).toBe('false')
  expect(other.json()).toMatchObject({ error: { code: 'idempotency_key_reused' } })
  expect(upstream.tally.calls - callsBefore).toBe(1)
})

test('A finished stream is not repeated: 409 names the call.', async () => {
  const { db, upstream, acme, key, callsBefore } = await seeded()
  upstream.respond(chatStream())
  const first = await send(acme.keys.alice, key, { ...HELLO, stream: true })
  expect(first.body.endsWith('data: [DONE]\n\n')).toBe(true)
  const second = await send(acme.keys.alice, key, { ...HELLO, stream: true })
  expect(second.status).toBe(409)
  const callId = first.headers.get('x-litellm-call-id')
  expect(second.json()).toMatchObject({
    error: {
      code: 'idempotency_key_streamed',
      call_id: callId,
      message: expect.stringContaining(`/v1/calls/${callId}`),
    },
  })
  expect(upstream.tally.calls - callsBefore).toBe(1)
  expect(await rowsOf(db.pool, acme.id)).toHaveLength(1)
})

test.each([false, true])('A call that failed frees its key (stream: %s).', async (stream) => {
  const { db, upstream, acme, key } = await seeded()
  upstream.respond(errorAnswer(400, { message: 'no', type: 'invalid_request_error' }))
  expect((await send(acme.keys.alice, key, { ...HELLO, stream })).status).toBe(400)
  upstream.respond(chat())
  expect((await send(acme.keys.alice, key, { ...HELLO, stream })).status).toBe(200)
  const rows = await rowsOf(db.pool, acme.id)
  expect(rows.map(({ outcome, credits_used }) => [outcome, credits_used])).toEqual([
    ['failed', '0.000000'],
    ['answered', '0.006975'],
  ])
})

test('A call refused before it was made frees its key.', async () => {
  const { acme, key } = await seeded()
  expect((await send(acme.keys.alice, key, { ...HELLO, model: 'nonexistent' })).status).toBe(404)
  expect((await send(acme.keys.alice, key)).status).toBe(200)
})

test('A call that is refused leaves no key, and what was answered is repeated whatever is left to spend.', async () => {
  const { db, acme, key } = await seeded()
  const first = await send(acme.keys.alice, key)
  const poor = await db.seedOrganization({ credits: 1, users: { alice: 0 } })
  expect((await send(poor.keys.alice, key)).status).toBe(402)
  const left = await db.pool.query('select org_id from tollgate.idempotency_keys where key = $1', [key])
  expect(left.rows).toEqual([{ org_id: acme.id }])
  await db.pool.query('update user_credit_allocations set is_active = false where org_id = $1', [acme.id])
  expect((await send(acme.keys.alice, key)).body).toBe(first.body)
})

test('A response that is larger than what is kept names its call.', async () => {
  const { upstream, acme, key, callsBefore } = await seeded()
  upstream.respond(chatAnswer({ text: ['x'.repeat(ANSWER_BYTES_MAX)] }))
  const first = await send(acme.keys.alice, key)
  expect(first.status).toBe(200)
  const again = await send(acme.keys.alice, key)
  expect(again.status).toBe(409)
  const callId = first.headers.get('x-litellm-call-id')
  expect(again.json()).toMatchObject({ error: { code: 'idempotency_key_streamed', call_id: callId } })
  expect(upstream.tally.calls - callsBefore).toBe(1)
})

test('Of one user the newest thousand responses are kept: an older one names its call.', async () => {
  const { db, upstream, acme, key, callsBefore } = await seeded()
  const first = await send(acme.keys.alice, key)
  await db.pool.query(
    `insert into tollgate.idempotency_keys (org_id, user_id, key, body_hash, call_id, state, status, headers, body)
      select $1, user_id, 'other-' || i, '\\x00', gen_random_uuid(), 'answered', 200, '{}', 'kept'
      from generate_series(1, $2::integer) i, unnest(array['alice', 'bob']) user_id`,
    [acme.id, ANSWERS_MAX - 1],
  )
  expect((await send(acme.keys.alice, key)).body).toBe(first.body)
  expect((await send(acme.keys.alice, randomUUID())).status).toBe(200)
  const again = await send(acme.keys.alice, key)
  expect(again.status).toBe(409)
  expect(again.json()).toMatchObject({ error: { code: 'idempotency_key_streamed' } })
  const { rows } = await db.pool.query(
    `select user_id, count(*)::integer as kept from tollgate.idempotency_keys
      where org_id = $1 and state = 'answered' group by 1 order by 1`,
    [acme.id],
  )
  expect(rows).toEqual([
    { user_id: 'alice', kept: ANSWERS_MAX },
    { user_id: 'bob', kept: ANSWERS_MAX - 1 },
  ])
  expect(upstream.tally.calls - callsBefore).toBe(2)
})

test('Keys older than a day are forgotten, a thousand at a time, but for those of calls that run.', async () => {
  const { db, upstream, acme, key, callsBefore } = await seeded()
  await db.pool.query(
    `insert into tollgate.idempotency_keys (org_id, user_id, key, body_hash, call_id, state)
      select $1, 'alice', 'old-' || i, '\\x00', gen_random_uuid(), 'streamed' from generate_series(1, 2001) i`,
    [acme.id],
  )
  const gate = Promise.withResolvers<void>()
  upstream.respond(chatAnswer({ beforeHead: gate.promise }))
  const runs = send(acme.keys.alice, key)
  await upstream.received(callsBefore + 1)
  await db.moveClock('25 hours')
  await forgetOldKeys(db.database)
  const { rows } = await db.pool.query('select key from tollgate.idempotency_keys where org_id = $1', [acme.id])
  expect(rows).toEqual([{ key }])
  // Whoever repeats it a day later does not call the provider beside the call that runs.
  expect((await send(acme.keys.alice, key)).json()).toMatchObject({ error: { code: 'idempotency_key_in_use' } })
  gate.resolve()
  expect((await runs).status).toBe(200)
})

test('The same key of another user is another key.', async () => {
  const { upstream, acme, key, callsBefore } = await seeded()
  const [alice, bob] = [await send(acme.keys.alice, key), await send(acme.keys.bob, key, { ...HELLO, top_p: 1 })]
  expect([alice.status, bob.status]).toEqual([200, 200])
  expect(bob.headers.get('x-litellm-call-id')).not.toBe(alice.headers.get('x-litellm-call-id'))
  expect(upstream.tally.calls - callsBefore).toBe(2)
})

test('A response is repeated for 24 hours, and the call is made anew after.', async () => {
  const { db, upstream, acme, key, callsBefore } = await seeded()
  const first = await send(acme.keys.alice, key)
  await db.moveClock('23 hours 59 minutes')
  expect((await send(acme.keys.alice, key)).headers.get('idempotent-replayed')).toBe('true')
  await db.moveClock('2 minutes')
  const later = await send(acme.keys.alice, key)
  expect(later.headers.get('idempotent-replayed')).toBeNull()
  expect(later.headers.get('x-litellm-call-id')).not.toBe(first.headers.get('x-litellm-call-id'))
  expect(upstream.tally.calls - callsBefore).toBe(2)
  expect(await balanceOf(db.pool, acme.id, 'alice')).toMatchObject({ used: '0.013950' })
})

test('Another power level under the same key is a different request; the same in other words is not.', async () => {
  const { tollgate } = product
  const { acme, key, callsBefore, upstream } = await seeded()
  const at = (level: string | null, body: object = HELLO) =>
    postChat(tollgate, acme.keys.alice, body, {
      headers: { 'Idempotency-Key': key, ...(level === null ? {} : { 'X-Power-Level': level }) },
    })
  const first = await at('balanced')
  expect(first.status).toBe(200)
  for (const level of ['eco', 'precision']) {
    const other = await at(level)
    expect(other.status).toBe(409)
    expect(other.json()).toMatchObject({ error: { code: 'idempotency_key_reused' } })
  }
  expect((await at(null)).body).toBe(first.body)
  expect(upstream.tally.calls - callsBefore).toBe(1)
})

describe('a key that a crash left running', () => {
  async function left() {
    const { db } = product
    const { acme, key, upstream, callsBefore } = await seeded()
    const first = await send(acme.keys.alice, key)
    const callId = first.headers.get('x-litellm-call-id')
    expect(first.status).toBe(200)
    // As a process that died left it: the key was not closed, and the call was by another process.
    await db.pool.query(
      "update tollgate.idempotency_keys set state = 'running', body = null, headers = null where call_id = $1",
      [callId],
    )
    return { acme, key, upstream, callsBefore, callId }
  }

  test('A key that a crash left running finds the charge its call left, also after an hour: 409 names the call, and nothing is paid again.', async () => {
    const { acme, key, upstream, callsBefore, callId } = await left()
    for (const wait of ['61 seconds', '61 minutes']) {
      await product.db.moveClock(wait)
      const again = await send(acme.keys.alice, key)
      expect(again.status).toBe(409)
      expect(again.headers.get('x-should-retry')).toBe('false')
      expect(again.json()).toMatchObject({ error: { code: 'idempotency_key_streamed', call_id: callId } })
    }
    expect(upstream.tally.calls - callsBefore).toBe(1)
  })

  test('A key that a crash left running is free where its call cost nothing.', async () => {
    const { db, upstream, acme, key } = await seeded()
    upstream.respond(errorAnswer(400, { message: 'no', type: 'invalid_request_error' }))
    const first = await send(acme.keys.alice, key)
    expect(first.status).toBe(400)
    const callId = first.headers.get('x-litellm-call-id')
    await db.pool.query(
      `insert into tollgate.idempotency_keys (org_id, user_id, key, body_hash, call_id) values ($1, 'alice', $2, '\\x00', $3)`,
      [acme.id, key, callId],
    )
    upstream.respond(chat())
    // A process that lives closes the key itself, at once.
    expect((await send(acme.keys.alice, key)).status).toBe(409)
    await db.moveClock('61 seconds')
    expect((await send(acme.keys.alice, key)).status).toBe(200)
  })
})

test.each(['', 'with space', 'ü', 'x'.repeat(256)])('A malformed key is a 400: %.20s.', async (key) => {
  const { upstream, acme, callsBefore } = await seeded()
  const answer = await send(acme.keys.alice, key)
  expect(answer.status).toBe(400)
  expect(answer.json()).toMatchObject({ error: { code: 'invalid_idempotency_key' } })
  expect(upstream.tally.calls).toBe(callsBefore)
})
