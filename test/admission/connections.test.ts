/** What strangers do with connections keeps nobody out: not by their number, not by silence, not by sending ahead, not by never reading. */
import { expect, onTestFinished, test, vi } from 'vitest'
import { connectionsWithin, descriptorLimit } from '../../src/admission/descriptor-limit.ts'
import { growth, scrape } from '../observe/samples.ts'
import { useProduct } from '../support/product.ts'
import { openRaw, postHead, type RawConnection } from '../support/raw-connection.ts'
import { postChat } from '../support/tollgate.ts'
import { chat, chatAnswer } from '../support/upstream-answers.ts'

const CONNECTIONS = 12
const product = useProduct(() => ({
  tollgate: {
    limits: { connections: CONNECTIONS, silent_seconds: 2, client_stall_seconds: 0.5, requests_per_connection: 30 },
  },
}))
const HELLO = { model: 'gpt-4o-mini', messages: [{ role: 'user', content: 'Say hello' }] }
const GET = 'GET /health/liveness HTTP/1.1\r\nHost: tollgate\r\n\r\n'

async function open(): Promise<RawConnection> {
  const connection = await openRaw(product.tollgate)
  onTestFinished(() => connection.leave())
  return connection
}

async function refusals(): Promise<() => Promise<Record<string, number>>> {
  const before = await scrape(product.tollgate)
  return async () => growth(before, await scrape(product.tollgate), 'tollgate_refused_total')
}

test('A flood of silent connections replaces silent ones only, and a call is served.', async () => {
  const { keys } = await product.db.seedOrganization({ credits: 100, users: { alice: 50 } })
  product.upstream.respond(chat())
  const count = await refusals()
  const flood = await Promise.all(Array.from({ length: 5 * CONNECTIONS }, open))
  expect((await postChat(product.tollgate, keys.alice, HELLO)).status).toBe(200)
  await vi.waitFor(() => expect(flood.filter(({ isOpen }) => isOpen).length).toBeLessThan(CONNECTIONS))
  const counted = await count()
  expect(counted['tollgate_refused_total{limit="connections"}']).toBeGreaterThanOrEqual(4 * CONNECTIONS)
  const { get } = await scrape(product.tollgate).then((samples) => ({ get: (name: string) => samples.get(name) }))
  expect(get('tollgate_connections')).toBeLessThanOrEqual(CONNECTIONS)
})

test('A connection that was served before goes after those of strangers.', async () => {
  const kept = await open()
  kept.write(GET)
  await kept.matches(/alive/)
  await Promise.all(Array.from({ length: 3 * CONNECTIONS }, open))
  kept.write(GET)
  await kept.answers(2)
})

test('Where all connections are busy, a new one is closed and the busy ones finish.', async () => {
  const { keys } = await product.db.seedOrganization({ credits: 1_000, users: { alice: 500 } })
  const gate = Promise.withResolvers<void>()
  const seen = product.upstream.requests.length
  product.upstream.respond(chat({ beforeHead: gate.promise }))
  const body = JSON.stringify(HELLO)
  onTestFinished(() => gate.resolve())
  const busy = []
  for (let at = 1; at <= CONNECTIONS; at += 1) {
    const connection = await open()
    connection.write(postHead(keys.alice, { 'Content-Length': body.length, Connection: 'close' }) + body)
    await product.upstream.received(seen + at)
    busy.push(connection)
  }
  expect(await (await open()).closed).toBe('')
  gate.resolve()
  for (const one of busy) expect(await one.closed).toMatch(/^HTTP\/1\.1 200 /)
})

test('A connection that says nothing, and one that begins and stops, are closed with 408.', async () => {
  const count = await refusals()
  const [silent, half] = [await open(), await open()]
  half.write('POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nX-Slow:')
  expect(await silent.closed).toMatch(/^HTTP\/1\.1 408 Request Timeout\r\nRetry-After: 1\r\nConnection: close\r\n/)
  expect(await half.closed).toMatch(/^HTTP\/1\.1 408 Request Timeout\r\nRetry-After: 1\r\nConnection: close\r\n/)
  expect(await count()).toEqual({ 'tollgate_refused_total{limit="silent"}': 2 })
})

test('Bytes that are not HTTP get an error that says so and repeats none of them.', async () => {
  const [noise, large] = [await open(), await open()]
  noise.write('\x16\x03\x01secret\r\n\r\n')
  expect(await noise.closed).toBe('HTTP/1.1 400 Bad Request\r\nConnection: close\r\nContent-Length: 0\r\n\r\n')
  large.write(`GET / HTTP/1.1\r\nX: ${'x'.repeat(20_000)}\r\n\r\n`)
  expect(await large.closed).toMatch(/^HTTP\/1\.1 431 /)
})

test('A health check in HTTP/1.0, without a host, is answered.', async () => {
  const connection = await open()
  connection.write('GET /health/liveness HTTP/1.0\r\n\r\n')
  expect(await connection.closed).toMatch(/^HTTP\/1\.1 200 .*alive/s)
})

test('Requests sent ahead are answered in order, one at a time.', async () => {
  const connection = await open()
  const paths = ['/nowhere-1', '/health/liveness', '/nowhere-2', '/health/liveness']
  connection.write(paths.map((path) => `GET ${path} HTTP/1.1\r\nHost: x\r\n\r\n`).join(''))
  await connection.answers(4)
  expect(connection.text().match(/HTTP\/1\.1 \d+/g)).toEqual(['404', '200', '404', '200'].map((s) => `HTTP/1.1 ${s}`))
})

test('A call among them runs alone, and its charge is on the books once.', async () => {
  const { id, keys } = await product.db.seedOrganization({ credits: 100, users: { alice: 50 } })
  product.upstream.respond(chat())
  const connection = await open()
  const body = JSON.stringify(HELLO)
  connection.write(`${postHead(keys.alice, { 'Content-Length': body.length })}${body}${GET}`)
  await connection.answers(2)
  expect(connection.text()).toMatch(/^HTTP\/1\.1 200 .*"chat\.completion".*HTTP\/1\.1 200 .*alive/s)
  const { rows } = await product.db.pool.query('select 1 from credit_usage_attribution where org_id = $1', [id])
  expect(rows).toHaveLength(1)
})

test('More than a handful of requests ahead close the connection.', async () => {
  const count = await refusals()
  const connection = await open()
  connection.write(GET.repeat(2_000))
  await connection.closed
  expect(await count()).toMatchObject({ 'tollgate_refused_total{limit="requests_ahead"}': 1 })
})

test('After its last request a connection accepts no other.', async () => {
  const connection = await open()
  for (let at = 1; at <= 30; at += 1) {
    connection.write(GET)
    await connection.answers(at)
  }
  expect(
    connection
      .text()
      .match(/^Connection: .*$/gm)
      ?.slice(-2),
  ).toEqual(['Connection: keep-alive', 'Connection: close'])
  connection.write(GET)
  await connection.closed
  expect(connection.text().match(/HTTP\/1\.1 200/g)).toHaveLength(30)
})

test('A reader that stops is cut off, and what it was sent is charged.', async () => {
  const { id, keys } = await product.db.seedOrganization({ credits: 1_000, users: { alice: 500 } })
  product.upstream.respond(chatAnswer({ text: ['go on '.repeat(1_500_000)] }))
  const count = await refusals()
  const connection = await open()
  connection.stopReading()
  const body = JSON.stringify(HELLO)
  connection.write(postHead(keys.alice, { 'Content-Length': body.length }) + body)
  await vi.waitFor(async () => expect(await count()).toEqual({ 'tollgate_refused_total{limit="stalled_reader"}': 1 }), {
    timeout: 20_000,
    interval: 200,
  })
  const { rows } = await product.db.pool.query('select 1 from credit_usage_attribution where org_id = $1', [id])
  expect(rows).toHaveLength(1)
})

test.for([
  { name: 'whole pieces', body: `${'8000'}\r\n${'a'.repeat(0x8000)}\r\n`.repeat(100) },
  { name: 'one-byte chunks', body: '1\r\na\r\n'.repeat(200_000) },
])('A body nobody reads, in $name, gets a 401 and its connection is closed.', async ({ body }) => {
  const connection = await open()
  connection.write(postHead(null, { 'Transfer-Encoding': 'chunked' }))
  await connection.matches(/^HTTP\/1\.1 401 /)
  connection.write(body)
  await connection.closed
})

test('The limit of connections leaves room for as many to providers, and for the program.', () => {
  expect(descriptorLimit()).toBeGreaterThan(0)
  expect([1_024, 65_536, null, 50].map((limit) => connectionsWithin(limit, 10_000))).toEqual([448, 10_000, 10_000, 16])
})
