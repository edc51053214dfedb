/** Whoever stops reading the log stops nothing: calls go on and are booked, and the process ends in order. */
import { expect, onTestFinished, test, vi } from 'vitest'
import { expectNothingHeld, rowsOf } from '../support/call-books.ts'
import { useDatabase } from '../support/database.ts'
import { configFor, modelOn, postChat, startTollgate } from '../support/tollgate.ts'
import { startUpstream } from '../support/upstream.ts'
import { chat, errorAnswer } from '../support/upstream-answers.ts'
import { scrape } from './samples.ts'

vi.setConfig({ testTimeout: 120_000 })
const db = useDatabase()
const HELLO = { model: 'long-lines', max_tokens: 20, messages: [{ role: 'user', content: 'Hello' }] }
const FAILING = 900

test('A call is served although nobody reads standard error.', async () => {
  const upstream = await startUpstream()
  onTestFinished(() => upstream.close())
  const tollgate = await startTollgate({
    databaseUrl: db.url,
    config: configFor(upstream.url, {
      litellm_settings: { num_retries: 0 },
      models: [
        { ...modelOn(upstream.url, 'gpt-4o-mini'), model_name: 'long-lines', model_info: { id: 'i'.repeat(1_000) } },
      ],
    }),
    unreadLog: true,
  })
  onTestFinished(() => tollgate.kill())
  const { id, keys } = await db.seedOrganization({ credits: 1_000, users: { alice: 500 } })

  // A pipe and the backlog take 1.1 MB.
  upstream.respond(errorAnswer(400, { message: 'm'.repeat(1_000) }))
  let left = FAILING
  const caller = async () => {
    while (left-- > 0) expect((await postChat(tollgate, keys.alice, HELLO)).status).toBe(400)
  }
  await Promise.all(Array.from({ length: 20 }, caller))
  expect((await scrape(tollgate)).get('tollgate_log_lines_dropped_total')).toBeGreaterThan(0)

  upstream.respond(chat())
  expect((await postChat(tollgate, keys.alice, HELLO)).status).toBe(200)
  await expectNothingHeld(db.pool)
  expect(await rowsOf(db.pool, id)).toHaveLength(FAILING + 1)
  expect(await tollgate.stop()).toBe(0)
})
