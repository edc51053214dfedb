/** Bodies take no more memory than they may, in total and for each caller, and who can't pay is told before a large one is read. */
import { expect, onTestFinished, test, vi } from 'vitest'
import { newApiKey } from '../../src/identity/api-key.ts'
import { growth, scrape } from '../observe/samples.ts'
import { balanceOf } from '../support/call-books.ts'
import { useProduct } from '../support/product.ts'
import { openRaw, postHead, type RawConnection } from '../support/raw-connection.ts'
import { MASTER_KEY, postChat } from '../support/tollgate.ts'
import { chat, chatAnswer } from '../support/upstream-answers.ts'

const MEGABYTE = 1_048_576
const product = useProduct(() => ({
  tollgate: {
    limits: { body_megabytes: 2, bodies_megabytes: 4, silent_seconds: 5, uploads_per_caller: 3, body_values: 1_000 },
  },
}))
const HELLO = { model: 'gpt-4o-mini', messages: [{ role: 'user', content: 'Say hello' }] }
/** A request of so many bytes. */
const large = (bytes: number) =>
  JSON.stringify({ ...HELLO, user: 'x'.repeat(bytes - JSON.stringify({ ...HELLO, user: '' }).length) })

async function open(): Promise<RawConnection> {
  const connection = await openRaw(product.tollgate)
  onTestFinished(() => connection.leave())
  return connection
}

async function keyWith(credits: number, plan: 'platform' | 'byok' = 'platform'): Promise<{ id: string; key: string }> {
  const { id, keys } = await product.db.seedOrganization({ plan, credits: 1_000, users: { alice: credits } })
  return { id, key: keys.alice }
}

/** All of a large body but its end is there. */
async function upload(key: string, bytes: number): Promise<RawConnection> {
  const connection = await open()
  connection.write(postHead(key, { 'Content-Length': bytes }))
  connection.write(large(bytes).slice(0, -1))
  return connection
}

const inUse = async () => (await scrape(product.tollgate)).get('tollgate_body_bytes')
const reaches = (bytes: number) => vi.waitFor(async () => expect(await inUse()).toBe(bytes), { timeout: 20_000 })

test('Without credits a body of 2 MB is refused with 402 before any of it is sent.', async () => {
  const { key } = await keyWith(0)
  const before = await scrape(product.tollgate)
  const connection = await open()
  connection.write(postHead(key, { 'Content-Length': 2 * MEGABYTE }))
  await connection.matches(/^HTTP\/1\.1 402 .*insufficient_credits/s)
  expect(growth(before, await scrape(product.tollgate), 'tollgate_refused_total')).toEqual({
    'tollgate_refused_total{limit="no_credits"}': 1,
  })
})

test('A body that does not state its size is read to a megabyte, then refused with 402.', async () => {
  const { key } = await keyWith(0)
  const connection = await open()
  const piece = `20000\r\n${'x'.repeat(0x20000)}\r\n`
  connection.write(`${postHead(key, { 'Transfer-Encoding': 'chunked' })}9\r\n{"user":"\r\n${piece.repeat(3)}`)
  await expect.poll(inUse, { timeout: 10_000 }).toBeLessThan(1.1 * MEGABYTE)
  expect(connection.text()).toBe('')
  connection.write(piece.repeat(7))
  await connection.matches(/^HTTP\/1\.1 402 .*insufficient_credits/s)
  await reaches(0)
})

test('A small body without credits is read, and the hold says what it costs.', async () => {
  const { key } = await keyWith(0)
  const answer = await postChat(product.tollgate, key, large(MEGABYTE))
  expect([answer.status, answer.json()]).toMatchObject([402, { error: { code: 'insufficient_credits' } }])
  expect(answer.body).not.toContain('0.000001')
})

test('A caller without an allocation gets 403, as it would after the hold.', async () => {
  const { id } = await keyWith(10)
  await product.db.pool.query(
    "insert into organization_members (org_id, user_id, role) values ($1, 'carol', 'member')",
    [id],
  )
  const { key, hash, preview } = newApiKey()
  await product.db.pool.query(
    'insert into tollgate.api_keys (key_hash, preview, org_id, user_id) values ($1, $2, $3, $4)',
    [hash, preview, id, 'carol'],
  )
  const connection = await open()
  connection.write(postHead(key, { 'Content-Length': 2 * MEGABYTE }))
  await connection.matches(/^HTTP\/1\.1 403 .*no_allocation/s)
})

test('The bodies of callers who may pay otherwise are read: credits that calls hold, a reset that is due, overage, keys of their own.', async () => {
  const size = 1.5 * MEGABYTE
  const { pool } = product.db
  product.upstream.respond(chat())
  const due = await keyWith(0)
  await pool.query(`update user_credit_allocations set next_reset_date = now() - interval '1 day' where org_id = $1`, [
    due.id,
  ])
  const over = await keyWith(0)
  await pool.query(
    'update organization_credit_pools set allow_overage = true, overage_limit = 100000 where org_id = $1',
    [over.id],
  )
  const own = await keyWith(0, 'byok')
  const statuses = []
  for (const { key } of [due, over, own]) statuses.push((await postChat(product.tollgate, key, large(size))).json())
  expect(statuses).toMatchObject([
    { error: { code: 'insufficient_credits', required: expect.not.stringMatching('0.000001') } },
    { object: 'chat.completion' },
    { error: { code: 'byok_key_missing' } },
  ])
  expect((await postChat(product.tollgate, MASTER_KEY, large(size))).status).toBe(200)
})

test('A response that was paid for is repeated to a caller without credits.', async () => {
  const { id, key } = await keyWith(3)
  product.upstream.respond(chatAnswer({ usage: { prompt_tokens: 11, completion_tokens: 100, total_tokens: 111 } }))
  const headers = { 'Idempotency-Key': 'large-and-paid' }
  const body = large(1.5 * MEGABYTE).replace('"gpt-4o-mini"', '"exact","max_tokens":100')
  const first = await postChat(product.tollgate, key, body, { headers })
  expect([first.status, await balanceOf(product.db.pool, id, 'alice')]).toMatchObject([200, { remaining: '0.000000' }])
  const again = await postChat(product.tollgate, key, body, { headers })
  expect([again.status, again.body]).toEqual([200, first.body])
  const other = await postChat(product.tollgate, key, body)
  expect([other.status, other.json()]).toMatchObject([402, { error: { required: '0.000001' } }])
})

test('One caller has a share of the memory for bodies, all callers have the total, and small bodies always pass.', async () => {
  const [alice, bob, carol] = [await keyWith(500), await keyWith(500), await keyWith(500)]
  product.upstream.respond(chat())
  const size = 2 * MEGABYTE
  const free = 65_536
  const first = await upload(alice.key, size)
  await reaches(size - free)
  expect((await postChat(product.tollgate, alice.key, large(size))).json()).toMatchObject({
    error: { code: 'caller_bodies_in_flight' },
  })
  const second = await upload(bob.key, size)
  await reaches(2 * (size - free))
  const refused = await postChat(product.tollgate, carol.key, large(size))
  expect([refused.status, refused.headers.get('retry-after'), refused.json()]).toMatchObject([
    503,
    '2',
    { error: { code: 'bodies_in_flight' } },
  ])
  for (const { key } of [alice, carol]) expect((await postChat(product.tollgate, key, large(60_000))).status).toBe(200)
  first.leave()
  await reaches(size - free)
  second.write('}')
  await second.matches(/^HTTP\/1\.1 200 /)
  await reaches(0)
})

test('Requests to count tokens, which cost nothing, share the memory of callers without credits, whoever sends them.', async () => {
  const [alice, bob, carol] = [await keyWith(500), await keyWith(500), await keyWith(500)]
  product.upstream.respond(chat())
  const size = 2 * MEGABYTE
  const path = '/v1/messages/count_tokens'
  const empty = { ...HELLO, messages: [{ role: 'user', content: '' }] }
  const count = JSON.stringify({
    ...HELLO,
    messages: [{ role: 'user', content: 'x'.repeat(size - JSON.stringify(empty).length) }],
  })
  const counting = await open()
  counting.write(postHead(alice.key, { 'Content-Length': size }).replace('/v1/chat/completions', path))
  counting.write(count.slice(0, -1))
  await reaches(size - 65_536)
  const refused = await postChat(product.tollgate, bob.key, count, { path })
  expect([refused.status, refused.json()]).toMatchObject([429, { error: { code: 'caller_bodies_in_flight' } }])
  expect((await postChat(product.tollgate, carol.key, large(size))).status).toBe(200)
  counting.write('}')
  await counting.matches(/^HTTP\/1\.1 200 .*"input_tokens":/s)
  await reaches(0)
})

test('Bodies that are still being sent are counted for each caller.', async () => {
  const [alice, bob] = [await keyWith(50), await keyWith(50)]
  product.upstream.respond(chat())
  const sending = await Promise.all([1, 2, 3, 4].map(() => upload(alice.key, 1_000)))
  // Three are read. Whichever came last is refused, and so is every further request.
  await Promise.any(sending.map((one) => one.matches(/^HTTP\/1\.1 429 .*too_many_uploads/s)))
  const refused = await postChat(product.tollgate, alice.key, HELLO)
  expect(refused.status).toBe(429)
  expect([refused.headers.get('retry-after'), refused.json()]).toMatchObject([
    '1',
    { error: { code: 'too_many_uploads' } },
  ])
  expect((await postChat(product.tollgate, bob.key, HELLO)).status).toBe(200)
  for (const one of sending) one.leave()
  await vi.waitFor(async () => expect((await postChat(product.tollgate, alice.key, HELLO)).status).toBe(200))
})

test.for([
  { name: 'one-byte chunks', body: '1\r\n \r\n'.repeat(100_000), answer: /^HTTP\/1\.1 413 .*body_in_pieces/s },
  {
    name: 'a million elements',
    body: `40000\r\n{"a":[${'0,'.repeat(0x1fffd)}`,
    answer: /^HTTP\/1\.1 413 .*too_many_values/s,
  },
  { name: 'a deep list', body: `40000\r\n${'['.repeat(0x40000)}`, answer: /^HTTP\/1\.1 400 .*nests deeper/s },
])('$name end as soon as they are too many.', async ({ body, answer }) => {
  const { key } = await keyWith(50)
  const connection = await open()
  connection.write(postHead(key, { 'Transfer-Encoding': 'chunked' }) + body)
  await connection.matches(answer)
  await reaches(0)
})

test('A body that stops coming gets 408, with when to try again.', async () => {
  const { key } = await keyWith(50)
  const connection = await upload(key, 1_000)
  expect(await connection.closed).toMatch(/^HTTP\/1\.1 408 .*Retry-After: 1\r\n.*body_timeout/is)
})
