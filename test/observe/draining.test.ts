/** While calls are being finished on the way out: not ready, alive, and late calls are told to go elsewhere. */
import { expect, onTestFinished, test } from 'vitest'
import { useProduct } from '../support/product.ts'
import { configFor, get, postChat, startTollgate } from '../support/tollgate.ts'
import { chat } from '../support/upstream-answers.ts'
import { readSamples } from './samples.ts'

const product = useProduct()
const HELLO = { model: 'gpt-4o-mini', messages: [{ role: 'user', content: 'Say hello' }] }

test('A server is ready and alive until it drains, then alive only, and stops when the last call is answered.', async () => {
  const { db, upstream } = product
  const acme = await db.seedOrganization({ credits: 1_000, users: { alice: 500 } })
  const tollgate = await startTollgate({ databaseUrl: db.url, config: configFor(upstream.url) })
  onTestFinished(() => tollgate.kill())
  for (const path of ['/health/readiness', '/health/liveliness', '/health/liveness'])
    expect((await get(tollgate, null, path)).status, path).toBe(200)
  const gate = Promise.withResolvers<void>()
  const seen = upstream.requests.length
  upstream.respond(chat({ beforeHead: gate.promise }))
  const call = postChat(tollgate, acme.keys.alice, HELLO)
  await upstream.received(seen + 1)

  const exited = tollgate.stop()
  await tollgate.outputMatches(/no new calls; running ones finish/)
  const readiness = await get(tollgate, null, '/health/readiness')
  expect(readiness.status).toBe(503)
  expect(readiness.json()).toEqual({ status: 'not ready', reason: 'draining' })
  for (const path of ['/health/liveliness', '/health/liveness']) {
    const alive = await get(tollgate, null, path)
    expect([alive.status, alive.json()], path).toEqual([200, "I'm alive!"])
  }
  const late = await postChat(tollgate, acme.keys.alice, HELLO)
  expect(late.status).toBe(503)
  expect(late.headers.get('retry-after')).toBe('1')
  expect(late.json()).toMatchObject({ error: { code: 'draining' } })
  const samples = readSamples((await get(tollgate, null, '/metrics')).body)
  expect(samples.get('tollgate_calls_in_flight')).toBe(1)
  expect(samples.get('tollgate_errors_total{code="draining"}')).toBe(1)

  gate.resolve()
  expect((await call).status).toBe(200)
  expect(await exited).toBe(0)
})
