/** Going down on SIGTERM: what runs is finished or stopped, and settled either way; nothing new starts. */
import { afterAll, beforeAll, expect, test } from 'vitest'
import { expectBooksMatch, expectNothingHeld, rowOfCall } from '../support/call-books.ts'
import { useDatabase } from '../support/database.ts'
import { configFor, postChat, startTollgate, type Tollgate } from '../support/tollgate.ts'
import { type ScriptedUpstream, startUpstream } from '../support/upstream.ts'
import { chat, chatStream } from '../support/upstream-answers.ts'

const db = useDatabase()
const started: Tollgate[] = []
let upstream: ScriptedUpstream
beforeAll(async () => {
  upstream = await startUpstream()
})
afterAll(async () => {
  for (const tollgate of started) tollgate.kill()
  await Promise.all(started.map(({ exited }) => exited))
  await upstream.close()
})

const HELLO = { model: 'gpt-4o-mini', messages: [{ role: 'user', content: 'Say hello now' }] }
const DRAINING = /no new calls; running ones finish/

async function start(drainSeconds: number): Promise<Tollgate> {
  const config = configFor(upstream.url, { tollgate: { limits: { drain_seconds: drainSeconds } } })
  const tollgate = await startTollgate({ databaseUrl: db.url, config })
  started.push(tollgate)
  return tollgate
}

test.each(['SIGTERM', 'SIGINT'] as const)(
  'On %s running calls finish and are settled, new ones are refused, and the exit code is 0.',
  async (signal) => {
    const tollgate = await start(30)
    const acme = await db.seedOrganization({ credits: 1_000, users: { alice: 500 } })
    const before = upstream.tally.calls
    const gate = Promise.withResolvers<void>()
    upstream.respond(chat({ beforeHead: gate.promise }))
    const json = postChat(tollgate, acme.keys.alice, HELLO)
    await upstream.received(before + 1)
    upstream.respond(chat({ gate: (i) => (i === 2 ? gate.promise : undefined) }))
    const stream = postChat(tollgate, acme.keys.alice, { ...HELLO, stream: true })
    await upstream.received(before + 2)

    const exited = tollgate.stop(signal)
    await tollgate.outputMatches(DRAINING)
    const late = await postChat(tollgate, acme.keys.alice, HELLO).then(
      ({ status }) => status,
      (error: { cause?: { code?: string } }) => error.cause?.code,
    )
    // Answered, not let in, or dropped unread: it depends on how far its connection had come.
    expect([503, 'ECONNREFUSED', 'ECONNRESET', 'UND_ERR_SOCKET']).toContain(late)
    gate.resolve()

    const [answer, streamed] = await Promise.all([json, stream])
    expect(answer.status).toBe(200)
    expect(answer.headers.get('x-credits-used')).toBe('0.006975')
    expect(streamed.body.endsWith('"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n')).toBe(true)
    expect(await exited).toBe(0)
    expect(upstream.tally.calls - before).toBe(2)
    for (const { headers } of [answer, streamed])
      expect(await rowOfCall(db.pool, headers.get('x-litellm-call-id'))).toMatchObject({
        credits_used: '0.006975',
        provenance: 'provider_usage',
        outcome: 'answered',
      })
    await expectNothingHeld(db.pool)
    await expectBooksMatch(db.pool, upstream.tally)
  },
)

test('A stream that outlasts drain_seconds is stopped with finish reason length and charged for what was delivered, and the exit code is 0.', async () => {
  const tollgate = await start(1)
  const acme = await db.seedOrganization({ credits: 1_000, users: { alice: 500 } })
  const before = upstream.tally.calls
  const never = new Promise<void>(() => {})
  upstream.respond(chatStream({ text: ['Hello', ' world', ' never'], gate: (i) => (i === 3 ? never : undefined) }))
  const stream = postChat(tollgate, acme.keys.alice, {
    ...HELLO,
    stream: true,
    stream_options: { include_usage: true },
  })
  const request = await upstream.received(before + 1)

  const exited = tollgate.stop()
  const answer = await stream
  await request.aborted
  expect(await exited).toBe(0)

  const frames = answer.body.trimEnd().split('\n\n')
  expect(frames.at(-1)).toBe('data: [DONE]')
  const [finish, usage] = frames.slice(-3, -1).map((frame) => JSON.parse(frame.slice(6)) as Record<string, unknown>)
  expect(finish).toMatchObject({ choices: [{ index: 0, delta: {}, finish_reason: 'length' }] })
  // "user" and "Say hello now" 4 + 3 + 3, "Hello world" 2: (10 x 150 + 2 x 600) x 1.5 nano-dollars
  expect(usage).toMatchObject({ choices: [], usage: { prompt_tokens: 10, completion_tokens: 2, cost: 0.00000405 } })
  expect(await rowOfCall(db.pool, answer.headers.get('x-litellm-call-id'))).toMatchObject({
    credits_used: '0.004050',
    provenance: 'estimated',
    outcome: 'stopped',
  })
  await expectNothingHeld(db.pool)
})

test('A process with no running call ends at once, with exit code 0.', async () => {
  const tollgate = await start(30)
  expect(await tollgate.stop()).toBe(0)
})
